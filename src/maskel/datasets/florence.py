"""Florence 3D Actions: 215 clips of nine actions by ten people, seen by one Kinect v1.

Seidenari, Varano, Berretti, Del Bimbo, Pala: Recognizing Actions from Depth Cameras as Weakly Aligned Multi-Part
Bag-of-Poses, CVPR Workshops 2013. The file read here is ``Florence_dataset_WorldCoordinates.txt``, a line a frame: the
numbers of video, actor and category, and x, y, z of 15 joints.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from maskel.datasets.base import LeaveOneOut, RawFile
from maskel.datasets.folder.arrays import to_pose
from maskel.datasets.folder.pose import Missing
from maskel.datasets.folder.preparation import Preparation
from maskel.datasets.raw_file import MAX_TEXT, parse_numbers, read_numbered
from maskel.errors import BadFileError, InputError
from maskel.layouts import FLORENCE15, Layout
from maskel.sequence import Clip, SkeletonSequence

FILE = "Florence_dataset_WorldCoordinates.txt"
ACTORS = 10
_FACTS = 3  # numbers before the joints


class Florence(LeaveOneOut):
    """Florence 3D Actions.

    One body, 15 joints. The origin is the middle of the trunk in the first frame.

    Benchmarks ``fold1`` to ``fold10`` leave one actor out each, as the authors propose.

    Args:
        missing: Missing joints (0, NaN) are interpolated in time, or stay zero.
        scale: Factor from the file's unit to metres; by default the file must be in metres.

    Examples:
        >>> len(Florence.classes), list(Florence().benchmarks([]))[-1]
        (9, 'fold10')
    """

    name: ClassVar[str] = "florence"
    layout: Layout = FLORENCE15
    classes: tuple[str, ...] = (
        *("wave", "drink from a bottle", "answer phone", "clap", "tight lace", "sit down", "stand up", "read watch"),
        "bow",
    )
    one_process: ClassVar[bool] = True
    people, person = ACTORS, "actor"

    def __init__(self, missing: Missing = "interpolate", scale: float | None = None) -> None:
        if scale is not None and not 0 < scale < 10_000:
            raise InputError(f"florence: found --scale {scale}, expected a number above 0")
        self.missing, self.scale = missing, scale
        self.preparation = Preparation(self.layout, "xyz", missing=missing, scale=scale, bodies=1)
        self.may_miss_joints = missing == "zero"
        self._videos: dict[RawFile, tuple[Clip, Float64[np.ndarray, "t n"]]] = {}

    def find(self, roots: Sequence[Path]) -> list[RawFile]:
        """Read the file in or below ``roots``, and find its videos.

        Raises:
            InputError: If there is no such file, or more than one.
            BadFileError: If a line is malformed.
        """
        files = {path.resolve(): path for root in roots for path in ([root] if root.is_file() else root.rglob(FILE))}
        if len(files) != 1:
            raise InputError(f"found {len(files)} files called {FILE} in {', '.join(map(str, roots))}, expected one")
        (path,) = files.values()
        self._videos = _videos(path, len(self.layout), len(self.classes))
        return list(self._videos)

    def read(self, file: RawFile) -> list[SkeletonSequence]:
        """Read one video; none if no frame has a body.

        Raises:
            BadFileError: If its positions are in another unit.
        """
        clip, lines = self._videos[file]
        pose = to_pose(file.path, lines.reshape(len(lines), -1, 3), self.layout, "xyz")
        joints, counts = self.preparation.apply(file.path / file.member, pose)
        return [SkeletonSequence(clip, joints, self.layout, counts)] if joints.any() else []

    def clips(self, file: RawFile) -> list[Clip]:
        """Return the clip that the numbers of a video describe."""
        return [self._videos[file][0]]


def _videos(path: Path, joints: int, classes: int) -> dict[RawFile, tuple[Clip, Float64[np.ndarray, "t n"]]]:
    """Return clip and lines of each video, without the numbers before the joints."""
    found: dict[int, tuple[Clip, list[list[float]]]] = {}
    last = 0
    for number, line in read_numbered(path, MAX_TEXT, "a line a frame"):
        values = parse_numbers(path, number, line.split())
        if len(values) != _FACTS + 3 * joints:
            expected = f"video, actor, category, and x, y, z of {joints} joints: {_FACTS + 3 * joints}"
            raise BadFileError(path, "wrong count", f"{len(values)} numbers", expected, line=number)
        video, actor, category = values[:_FACTS]
        in_range = video >= 1 and 1 <= actor <= ACTORS and 1 <= category <= classes
        if not in_range or not all(map(float.is_integer, values[:_FACTS])):
            what = f"video {video:g}, actor {actor:g}, category {category:g}"
            expected = f"whole numbers from 1, actors to {ACTORS}, categories to {classes}"
            raise BadFileError(path, "not a number", what, expected, line=number)
        clip = Clip(f"video{int(video):03}", int(category) - 1, subject=str(int(actor)))
        known, lines = found.setdefault(int(video), (clip, []))
        if known != clip or (lines and int(video) != last):
            raise BadFileError(
                path, "wrong count", f"video {video:g} once more", "its lines together, of one action", line=number
            )
        lines.append(values[_FACTS:])
        last = int(video)
    return {RawFile(path, clip.name): (clip, np.array(lines)) for clip, lines in found.values()}
