"""How the joints of a set were made, so that those of new recordings can be made the same way."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maskel.conversion import Conversion, conversion
from maskel.datasets import SOURCES
from maskel.datasets.base import Source
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.layouts import LAYOUTS, layout_named


@dataclass(frozen=True)
class Provenance:
    """The source of a set's joints, with its options.

    Args:
        source: Its name.
        options: Those that say how joints are made; of others, such as labels and splits, nothing depends on.
        to_layout: The layout that the joints were converted to; None where they were not.

    Raises:
        InputError: If a name is no text, or the options are no mapping.
    """

    source: str
    options: Mapping[str, Any]
    to_layout: str | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.source, str) and isinstance(self.options, dict)):
            raise InputError(
                f"provenance: found clips of {self.source!r}, expected the name of a source and its options"
            )
        if not (self.to_layout is None or isinstance(self.to_layout, str)):
            raise InputError(f"provenance: found to_layout {self.to_layout!r}, expected the name of a layout")

    @classmethod
    def of(cls, clips: SkeletonSet) -> "Provenance | None":
        """How a set was made; None where it does not say so, as of a source that is not known."""
        if clips.source not in SOURCES:
            return None
        source = SOURCES[clips.source]
        names = [name for name in inspect.signature(source).parameters if name not in source.choosing]
        options = {name: clips.options[name] for name in names if name in clips.options}
        to_layout = clips.options.get("to_layout")
        if "layout" in names and options.get("layout") not in LAYOUTS:  # older sets, and npz, do not record it
            if to_layout:
                return None
            options["layout"] = clips.layout.name
        return cls(clips.source, options, to_layout)

    def build(self, **others: Any) -> Source:
        """The source, to read new recordings with.

        Args:
            **others: Options that are another's for these recordings.

        Raises:
            InputError: If there is no such source or option.
        """
        known = inspect.signature(SOURCES[self.source]).parameters if self.source in SOURCES else {}
        if self.source not in SOURCES or (unknown := sorted({*self.options, *others} - set(known))):
            what = f"an option {unknown[0]}" if self.source in SOURCES else "that source"
            raise InputError(f"its clips come from source {self.source}; this version of maskel has not {what}")
        try:
            return SOURCES[self.source](**{**self.options, **others})
        except (TypeError, ValueError, AttributeError, LookupError, OverflowError) as fault:
            raise InputError(
                f"the options {dict(self.options)} of source {self.source} do not fit it: {fault}"
            ) from fault

    def convert(self, source: Source) -> Conversion | None:
        """What takes the source's joints to the set's layout; call it after the source has found its files."""
        return conversion_to(source, self.to_layout)

    def describe(self) -> str:
        """The source and those of its options that are not the default ones, in words."""
        known = inspect.signature(SOURCES[self.source]).parameters
        said = {**self.options} | ({"to_layout": self.to_layout} if self.to_layout else {})
        usual = {name: [] if known[name].default == () else known[name].default for name in self.options}
        words = [f"{name} {value}" for name, value in said.items() if name not in usual or value != usual[name]]
        return ", ".join([self.source, *words])

    def differences(self, other: "Provenance", coordinates: int) -> str:
        """How two sets were made otherwise, in words; empty where they were not, or that is not known.

        Sets of one source differ in its options; those of two in what both sources say of origin, unit and up.

        Args:
            other: How the other one was made.
            coordinates: Coordinates of a joint in both, 2 or 3.
        """
        if self.source == other.source in SOURCES:
            mine, others = self._said(), other._said()
        else:
            try:
                mine, others = (dict[str, object](one.build().conventions(coordinates)) for one in (self, other))
            except InputError:
                return ""
        names = [name for name in mine if name in others]
        words = [f"{name} {mine[name]} and not {others[name]}" for name in names if mine[name] != others[name]]
        return ", ".join(words)

    def _said(self) -> dict[str, object]:
        """Every option that says how joints are made, the default ones too."""
        known, choosing = inspect.signature(SOURCES[self.source]).parameters, SOURCES[self.source].choosing
        options = {name: self.options.get(name, known[name].default) for name in known if name not in choosing}
        same = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
        return {**same, "to_layout": self.to_layout}


def conversion_to(source: Source, to_layout: str | None) -> Conversion | None:
    """What takes a source's joints to another layout; None where it is the source's own.

    Raises:
        InputError: If there is no such layout, or joints do not convert.
    """
    if to_layout is None or layout_named(to_layout) == source.layout:
        return None
    if source.may_miss_joints:
        raise InputError(
            "a joint that is missing as zeros cannot be averaged with others; to convert the layout, fill the gaps "
            "(--missing interpolate)"
        )
    return conversion(source.layout, layout_named(to_layout))
