"""Provenance of a set's joints: the source and options that made them, to prepare new recordings in the same way."""

import inspect
from typing import Any

from maskel.conversion import Conversion, conversion
from maskel.datasets import SOURCES
from maskel.datasets.base import Provenance, Source
from maskel.datasets.store import SkeletonSet
from maskel.errors import InputError
from maskel.files import damaged_as, one_line
from maskel.layouts import LAYOUTS, layout_named


def provenance_of(dataset: SkeletonSet) -> Provenance | None:
    """Return the provenance of a set; None if it is not known, for example for an unknown source."""
    if dataset.source not in SOURCES:
        return None
    source = SOURCES[dataset.source]
    names = [name for name in inspect.signature(source).parameters if name not in source.choosing]
    options = {name: dataset.options[name] for name in names if name in dataset.options}
    to_layout = dataset.options.get("to_layout")
    if "layout" in names and options.get("layout") not in LAYOUTS:  # older sets, and npz, do not record it
        if to_layout:
            return None
        options["layout"] = dataset.layout.name
    return Provenance(dataset.source, options, to_layout)


def build_source(made: Provenance, **others: Any) -> Source:
    """Build the source again, to read new recordings.

    Args:
        made: The provenance of the clips.
        **others: Options that differ for the new recordings.

    Raises:
        InputError: If there is no such source or option.
    """
    parameters = inspect.signature(SOURCES[made.source]).parameters if made.source in SOURCES else {}
    if made.source not in SOURCES or (unknown := sorted({*made.options, *others} - set(parameters))):
        what = f"an option {unknown[0]}" if made.source in SOURCES else "that source"
        raise InputError(f"its clips come from source {made.source}; this version of maskel does not have {what}")
    what = f"the options {dict(made.options)} of source {made.source} do not fit it"
    with damaged_as(lambda fault: InputError(f"{what}: {one_line(fault)}")):
        return SOURCES[made.source](**{**made.options, **others})


def describe(made: Provenance) -> str:
    """Return the source and its options that differ from the defaults, as text."""
    parameters = inspect.signature(SOURCES[made.source]).parameters
    said = {**made.options} | ({"to_layout": made.to_layout} if made.to_layout else {})
    usual = {name: [] if parameters[name].default == () else parameters[name].default for name in made.options}
    words = [f"{name} {value}" for name, value in said.items() if name not in usual or value != usual[name]]
    return ", ".join([made.source, *words])


def differences(made: Provenance, other: Provenance, coordinates: int) -> str:
    """Describe the differences of two provenances; empty if there are none, or they are not known.

    Two sets of one source are compared by its options; sets of two sources by origin, unit and upward direction.

    Args:
        made: Provenance of the first set.
        other: Provenance of the second set.
        coordinates: Coordinates of a joint in both, 2 or 3.
    """
    if made.source == other.source in SOURCES:
        mine, others = _said(made), _said(other)
    else:
        try:
            mine, others = (dict[str, object](build_source(each).conventions(coordinates)) for each in (made, other))
        except InputError:
            return ""
    names = [name for name in mine if name in others]
    return ", ".join(f"{name} {mine[name]} and not {others[name]}" for name in names if mine[name] != others[name])


def _said(made: Provenance) -> dict[str, object]:
    """Return every option that changes how joints are made, defaults included."""
    parameters, choosing = inspect.signature(SOURCES[made.source]).parameters, SOURCES[made.source].choosing
    options = {name: made.options.get(name, parameters[name].default) for name in parameters if name not in choosing}
    same = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
    return {**same, "to_layout": made.to_layout}


def conversion_to(source: Source, to_layout: str | None) -> Conversion | None:
    """Return the conversion of a source's joints to another layout; None for the source's own layout.

    Raises:
        InputError: If there is no such layout, or the joints cannot be converted.
    """
    if to_layout is None or layout_named(to_layout) == source.layout:
        return None
    if source.may_miss_joints:
        raise InputError(
            "a joint that is missing as zeros cannot be averaged with others; to convert the layout, fill the gaps "
            "(--missing interpolate)"
        )
    return conversion(source.layout, layout_named(to_layout))
