"""Published data sets of one file a clip, whose name says what it shows and who."""

import re
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from maskel.datasets.base import RawFile, Source, Split
from maskel.datasets.folder.pose import Missing, Pose
from maskel.datasets.folder.preparation import Preparation
from maskel.errors import BadFileError, InputError
from maskel.sequence import Clip, SkeletonSequence


class NamedFiles(Source):
    """A data set whose files are those of own recordings, with names that say class, subject and camera.

    A subclass states the facts below and `trains`, and documents the options; benchmark ``xsub`` follows.

    Raises:
        InputError: If an option is out of range.
    """

    pattern: ClassVar[re.Pattern[str]]
    """Whole name of a file. Groups ``name`` (the clip's), ``label`` (its number from 1, or its name), ``subject``, and
    maybe ``camera``, ``setup`` and ``replication``."""
    form: ClassVar[str]
    """Example of a file's name, for messages."""

    def __init__(self, missing: Missing = "interpolate", bodies: int = 1, scale: float | None = None) -> None:
        if bodies < 1 or (scale is not None and not 0 < scale < 10_000):
            raise InputError(f"{self.name}: found bodies {bodies} and scale {scale}, expected 1 or more, and above 0")
        self.missing, self.bodies, self.scale = missing, bodies, scale
        self.preparation = Preparation(self.layout, missing=missing, bodies=bodies, scale=scale, channels="xyz")
        self.may_miss_joints = missing == "zero"

    @abstractmethod
    def trains(self, clip: Clip) -> bool:
        """Return True for clips of the training part of ``xsub``."""

    def find(self, roots: Sequence[Path]) -> list[RawFile]:
        """Find the files of the data set below the folders ``roots``, sorted by name.

        Raises:
            InputError: If a root is no folder, none holds such a file, or two have one name.
        """
        found: dict[str, Path] = {}
        ending = Path(self.form).suffix
        others = 0
        for root in roots:
            if not root.is_dir():
                raise InputError(f"{root} is not a folder; unpack the archive, and give the folder with the files")
            for path in sorted(root.rglob(f"*{ending}")):
                match = self.pattern.fullmatch(path.name)
                others += match is None
                other = found.setdefault(match["name"], path) if match else path
                if other.resolve() != path.resolve():
                    raise InputError(f"{other} and {path} are one clip; give the folder of one release")
        if not found:
            raise InputError(f"no file called like {self.form} is in {', '.join(map(str, roots))}")
        self.passed = {f"files not called like {self.form}, not read": others}
        return [RawFile(path) for _, path in sorted(found.items())]

    def clips(self, file: RawFile) -> list[Clip]:
        """Return the clip that a file's name describes."""
        match = self.pattern.fullmatch(file.path.name)
        facts = match.groupdict("") if match else {}
        label = facts.get("label", "")
        number = self.classes.index(label) if label in self.classes else int(label) - 1 if label.isdecimal() else -1
        if not 0 <= number < len(self.classes):
            expected = f"a name like {self.form}, of one of {len(self.classes)} classes"
            raise BadFileError(file.path, "bad name", file.path.name, expected)
        origin = ("subject", "camera", "setup", "replication")
        subject, camera, setup, replication = (_plain(facts.get(what, "")) for what in origin)
        return [Clip(facts["name"], number, subject, camera, setup, replication)]

    def read(self, file: RawFile) -> list[SkeletonSequence]:
        """Read the clip of one file; none if no frame has a body."""
        (clip,) = self.clips(file)
        joints, counts = self.preparation.apply(file.path, self.pose(file.path))
        return [SkeletonSequence(clip, joints, self.layout, counts)] if joints.any() else []

    def pose(self, path: Path) -> Pose:
        """Read the bodies of one file, in the order of the layout."""
        return self.preparation.read(path)

    def benchmarks(self, clips: Sequence[Clip]) -> dict[str, Split]:
        """Divide the clips by subjects."""
        return {"xsub": Split.of(self.trains(clip) for clip in clips)}


def _plain(number: str) -> str:
    """Return a number without leading zeros."""
    return number.lstrip("0") or number[:1]
