"""Sources of `maskel prepare`: where a data set's files are, how one is read, and its benchmarks."""

import inspect
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from maskel.datasets.counts import Counts
from maskel.datasets.windows import Windows, cut_windows
from maskel.errors import BadFileError, InputError
from maskel.layouts import Layout
from maskel.sequence import XYZ, Channels, Clip, SkeletonSequence, num_coordinates

ON_THE_BODY, AS_RECORDED, IN_THE_IMAGE = "on the body in its first frame", "as recorded", "in the middle of the image"
"""Places of a clip's origin."""
METRES, HALF_SIDES, HALF_LONGER = "metres", "halves of the image's sides", "halves of the image's longer side"
"""Units of coordinates."""
IN_IMAGES: Mapping[str, str] = {"origin": IN_THE_IMAGE, "unit": HALF_SIDES, "up": "-y"}
"""Conventions of joints in 2D that span -1 to 1 over the image."""

SPLIT_BY: Mapping[str, str] = {"xsub": "subject", "xview": "camera", "xset": "setup"}
"""Benchmarks that split clips by a fact about them: none of a subject, say, is on both sides."""


def upwards(layout: Layout) -> Mapping[str, str]:
    """Return the upward direction of a layout's recordings, for `Source.conventions`; empty if it is not known."""
    return {"up": layout.up} if layout.up else {}


@dataclass(frozen=True)
class RawFile:
    """One raw file: a path, or a part of a file that holds several.

    Args:
        path: The file, or the archive that holds it.
        member: Name inside the archive; empty for a plain file.
        labels: The file that holds its labels, where that is another one.
        parts: All of its files where each is a frame, the first of them ``path``.

    Examples:
        >>> print(RawFile(Path("all_sqe.zip"), "a01_s01_e00_v01.json"))
        all_sqe.zip/a01_s01_e00_v01.json
    """

    path: Path
    member: str = ""
    labels: Path | None = None
    parts: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return f"{self.path}/{self.member}" if self.member else str(self.path)


@dataclass(frozen=True)
class Split:
    """The clips of one benchmark, by position in the prepared set, in the published order.

    Args:
        train: Training clips, each with a label.
        test: Test clips, each with a label.
        unlabelled: Clips without a label that pre-training may see; none is of a subject who tests.

    Examples:
        >>> Split(train=(0, 1), test=(2,), unlabelled=(3,))
        Split(train=(0, 1), test=(2,), unlabelled=(3,))
    """

    train: tuple[int, ...]
    test: tuple[int, ...]
    unlabelled: tuple[int, ...] = ()

    @classmethod
    def of(cls, trains: Iterable[bool], positions: Iterable[int] | None = None) -> "Split":
        """Divide clips, in their order, into those that train and those that test.

        Args:
            trains: Whether each clip trains.
            positions: Their positions; 0, 1, 2, … by default.

        >>> Split.of([True, False, True])
        Split(train=(0, 2), test=(1,), unlabelled=())
        """
        pairs = list(zip(itertools.count() if positions is None else positions, trains, strict=False))
        return cls(*(tuple(position for position, train in pairs if train is side) for side in (True, False)))


class Source(ABC):
    """A data set in the form in which it is published.

    A subclass is one file: it states the facts below, finds its files, reads one, and says which clip belongs to
    which side of each benchmark. Its constructor's arguments are the options of ``maskel prepare NAME``. Instances
    travel to worker processes, so they must pickle.

    Examples:
        >>> from maskel.datasets import SOURCES
        >>> source = SOURCES["synthetic"]()
        >>> files = source.find([Path("raw")])
        >>> len(files), source.read(files[0])[0].clip.name
        (26, 'S001C001P001R001A001')
        >>> {name: len(split.train) for name, split in source.benchmarks(source.clips(files[0])).items()}
        {'xsub': 1, 'xview': 0, 'xset': 0}
    """

    name: ClassVar[str]
    """Name on the command line."""
    layout: Layout
    """Joint layout. Layout, classes and channels may depend on the files; they are valid after `find`."""
    classes: tuple[str, ...]
    """Class names; label i is ``classes[i]``."""
    channels: Channels = XYZ
    published: Mapping[str, tuple[int, int]] = {}
    """Published sizes (train, test) of each benchmark, to compare a finished set with."""
    exemplars: ClassVar[Mapping[str, frozenset[str]]] = {}
    """Names of the clips that stand for the tested classes, in benchmarks that test classes without training clips."""
    one_process: ClassVar[bool] = False
    """True where one file holds all clips and is read front to back: more processes would only read it again."""
    choosing: ClassVar[tuple[str, ...]] = ()
    """Options that choose clips, labels and splits, but do not change how joints are made."""
    untrimmed: bool = False
    """True where a clip is a whole recording with labelled ranges; its label is then `UNLABELLED`."""
    may_miss_joints: bool = False
    """True if single joints of an existing body may be missing (all zero); the layout is then not converted."""
    passed: Mapping[str, int] = {}
    """Items that `find` passed over, such as files of an unknown form: phrase -> number, maybe 0."""

    @abstractmethod
    def find(self, roots: Sequence[Path]) -> list[RawFile]:
        """Return the raw files below ``roots`` (folders, or the archives of the set), in the set's order.

        Raises:
            InputError: If a root does not exist or none holds a file of this data set.
        """

    def find_new(self, roots: Sequence[Path], channels: Channels) -> list[RawFile]:
        """Return new recordings to classify: inputs of `find`, or single files of a folder that `find` reads.

        Args:
            roots: Files and folders.
            channels: The channels that every clip should have.

        Raises:
            InputError: If `find` does not accept the files.
        """
        try:
            return self.find(roots)
        except BadFileError:
            raise
        except InputError:
            alone = {root.resolve() for root in roots if root.is_file()}
            if len(alone) < len(set(roots)):
                raise
            around = self.find(sorted({root.parent for root in roots}))
            found = [file for file in around if file.path.resolve() in alone]
            if {file.path.resolve() for file in found} != alone:
                raise
            return found

    @abstractmethod
    def read(self, file: RawFile) -> list[SkeletonSequence]:
        """Read the clips of one raw file, centred as published; none if the published procedure drops the file.

        Raises:
            BadFileError: If the file is damaged or of another form: file, line, content, expectation.
        """

    def read_windows(self, file: RawFile, windows: Windows) -> list[SkeletonSequence]:
        """Read the clips of one raw file in windows, each centred as a clip; see `cut_windows` for their names.

        Raises:
            BadFileError: If the file is not what it should be.
            InputError: If the windows are in seconds and no frame rate is known, or leave frames out.
        """
        coordinates = num_coordinates(self.channels)
        centred = self.conventions(coordinates).get("origin") == ON_THE_BODY
        return [
            window
            for sequence in self.read(file)
            for window in cut_windows(sequence, windows, coordinates, centred, self.may_miss_joints)
        ]

    def frame_rates(self) -> Mapping[str, float]:
        """Return the frames a second of recordings that say it, by name; known after `find_new`."""
        return {}

    def clips(self, file: RawFile) -> list[Clip]:
        """Return names, labels and origins of a file's clips, maybe with clips that have no body.

        Trial sets are chosen from these facts. A source that knows them without reading joints overrides this
        method, so that no file is read in vain.

        Raises:
            BadFileError: If the file is damaged or of another form.
        """
        return [sequence.clip for sequence in self.read(file)]

    @abstractmethod
    def benchmarks(self, clips: Sequence[Clip]) -> dict[str, Split]:
        """Divide ``clips`` into training and test clips for each benchmark of this data set."""

    def all_benchmarks(self, clips: Sequence[Clip]) -> dict[str, Split]:
        """`benchmarks`, and those that test classes by `exemplars`."""
        return self.benchmarks(clips)

    def recorded(self) -> dict[str, object]:
        """Return the options that the set records: the constructor's arguments that are attributes as well."""
        names = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in names if hasattr(self, name)}

    def conventions(self, coordinates: int) -> Mapping[str, str]:
        """Return origin, unit and upward direction of the joints, in the sources' common words; without unknown ones.

        Args:
            coordinates: 2 or 3.
        """
        return {"origin": ON_THE_BODY, "unit": METRES, **upwards(self.layout)}

    def notes(self) -> Counts:
        """Return counts of what `find` skipped, such as files of an unknown form: phrase -> number."""
        return {what: number for what, number in self.passed.items() if number}

    def explain(self, benchmark: str, found: tuple[int, int]) -> str:
        """Explain why a benchmark may have ``found`` (train, test) clips instead of the published number."""
        return "every clip, for pre-training; there is no part to test on" if benchmark == "all" else ""


class LeaveOneOut(Source):
    """A data set with benchmarks ``fold1`` to ``foldN``: each tests on the person of that number, a clip's subject."""

    people: ClassVar[int]
    """People N of the data set."""
    person: ClassVar[str] = "subject"
    """Word for one of them."""

    def benchmarks(self, clips: Sequence[Clip]) -> dict[str, Split]:
        """Leave one person out: ``fold1`` tests on person 1 and trains on the others, and so on."""
        numbers = map(str, range(1, self.people + 1))
        return {f"fold{number}": Split.of(clip.subject != number for clip in clips) for number in numbers}

    def explain(self, benchmark: str, found: tuple[int, int]) -> str:
        """Name the person who tests."""
        return f"tests {self.person} {benchmark.removeprefix('fold')}"


@dataclass(frozen=True)
class Provenance:
    """The source of a set's joints, with its options.

    Args:
        source: Its name.
        options: Its options that change how joints are made; options for labels and splits are left out.
        to_layout: Layout after conversion; None where the joints were not converted.

    Raises:
        InputError: If a name is not text, or the options are not a mapping.
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
