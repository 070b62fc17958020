"""UTKinect-Action3D: 199 clips of ten actions by ten people, seen by one Kinect v1.

Xia, Chen, Aggarwal: View Invariant Human Action Recognition Using Histograms of 3D Joints, CVPR Workshops 2012. The
files read here are ``joints_s01_e01.txt``, a line a frame: its number, and x, y, z of 20 joints in metres; and
``actionLabel.txt``, which says the first and the last frame of each action of a recording.
"""

import re
from collections.abc import Mapping, Sequence
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
from maskel.layouts import KINECT20, Layout
from maskel.sequence import Clip, SkeletonSequence

LABELS = "actionLabel.txt"
NAME = re.compile(r"joints_(?P<name>s(?P<subject>\d{2})_e(?P<replication>\d{2}))\.txt")
NAMES = tuple("walk sitDown standUp pickUp carry throw push pull waveHands clapHands".split())
"""Actions as the label file spells them; the position is the label."""
TWICE = "lines of a frame that an earlier line has too, left out"
NO_FRAMES = "actions without a frame (NaN), left out"
UNLABELLED_FILES = "recordings without labels, not read"


class UtKinect(LeaveOneOut):
    """UTKinect-Action3D.

    One body, 20 joints of Kinect v1, metres. A clip is one action; its lines are its frames in their order, also where
    the sensor skipped some. The origin is the middle of the trunk in the first frame.

    Benchmarks ``fold1`` to ``fold10`` leave one subject out each.

    Args:
        missing: Missing joints (0, NaN) are interpolated in time, or stay zero.

    Examples:
        >>> UtKinect.classes[:2], len(UtKinect().benchmarks([]))
        (('walk', 'sit down'), 10)
    """

    name: ClassVar[str] = "utkinect"
    layout: Layout = KINECT20
    classes: tuple[str, ...] = tuple(re.sub("([A-Z])", r" \1", name).lower() for name in NAMES)
    people = 10

    def __init__(self, missing: Missing = "interpolate") -> None:
        self.missing = missing
        self.preparation = Preparation(self.layout, "xyz", missing=missing, bodies=1)
        self.may_miss_joints = missing == "zero"
        self._actions: Mapping[str, Sequence[tuple[int, int, int]]] = {}

    def find(self, roots: Sequence[Path]) -> list[RawFile]:
        """Find the recordings below ``roots`` and their label file.

        Raises:
            InputError: If there is no recording, or not one label file.
            BadFileError: If the label file is malformed.
        """
        files = sorted(path for root in roots for path in root.rglob("joints_*.txt") if NAME.fullmatch(path.name))
        labels = {path.resolve(): path for root in roots for path in root.rglob(LABELS)}
        where = ", ".join(map(str, roots))
        if not files or len(labels) != 1:
            raise InputError(
                f"found {len(files)} files called like joints_s01_e01.txt and {len(labels)} called {LABELS} in "
                f"{where}, expected the recordings and one file of labels"
            )
        (table,) = labels.values()
        self._actions, empty = _read_labels(table)
        known = [path for path in files if _recording(path) in self._actions]
        if len({path.name for path in known}) < len(known):
            raise InputError(f"two recordings in {where} have one name; give the folder of one release")
        self.passed = {NO_FRAMES: empty, UNLABELLED_FILES: len(files) - len(known)}
        return [RawFile(path, labels=table) for path in known]

    def read(self, file: RawFile) -> list[SkeletonSequence]:
        """Read the clips of one recording, without actions of which no frame has a body.

        Raises:
            BadFileError: If a line is malformed, or no frame of an action is in the file.
        """
        numbers, values, twice = _read_joints(file.path, len(self.layout))
        sequences: list[SkeletonSequence] = []
        for clip, (label, first, last) in zip(self.clips(file), self._actions[_recording(file.path)], strict=True):
            inside = (numbers >= first) & (numbers <= last)
            if not inside.any():
                found = f"no frame from {first} to {last} ({NAMES[label]})"
                raise BadFileError(file.path, "wrong count", found, f"those that {LABELS} names")
            pose = to_pose(file.path, values[inside], self.layout, "xyz")
            joints, counts = self.preparation.apply(file.path, pose)
            counts = {**counts, TWICE: 0 if sequences else twice}
            if joints.any():
                sequences.append(SkeletonSequence(clip, joints, self.layout, counts))
        return sequences

    def clips(self, file: RawFile) -> list[Clip]:
        """Return the clips that the label file describes."""
        match = NAME.fullmatch(file.path.name)
        assert match is not None
        name, subject, replication = match["name"], match["subject"].lstrip("0"), match["replication"].lstrip("0")
        return [  # without frames of the recording: lines skip some
            Clip(f"{name}_{NAMES[label]}", label, subject, replication=replication)
            for label, _, _ in self._actions[_recording(file.path)]
        ]


def _recording(path: Path) -> str:
    return path.name.removeprefix("joints_").removesuffix(".txt")


def _read_labels(path: Path) -> tuple[dict[str, list[tuple[int, int, int]]], int]:
    """Return label, first and last frame of each recording's actions, and the number of actions without frames."""
    actions: dict[str, list[tuple[int, int, int]]] = {}
    recording, empty = "", 0
    for number, line in read_numbered(path, MAX_TEXT, "labels"):
        text = line.strip()
        if re.fullmatch(r"s\d{2}_e\d{2}", text):
            recording = text
            if actions.setdefault(recording, []):
                raise BadFileError(path, "wrong count", f"recording {recording} twice", "once", line=number)
        else:
            match = re.fullmatch(r"(\w+):\s*(\d{1,7}|NaN)\s+(\d{1,7}|NaN)", text)
            if not match or match[1] not in NAMES or not recording:
                expected = "a recording (s01_e01), or an action with first and last frame (walk: 252 390)"
                raise BadFileError(path, "not text", text[:40], expected, line=number)
            if "NaN" in match.groups():
                empty += 1
                continue
            action = (NAMES.index(match[1]), int(match[2]), int(match[3]))
            if action[1] > action[2] or action[0] in (label for label, _, _ in actions[recording]):
                expected = f"each action once in {recording}, its first frame not after its last"
                raise BadFileError(path, "wrong count", text[:40], expected, line=number)
            actions[recording].append(action)
    return actions, empty


def _read_joints(path: Path, joints: int) -> tuple[np.ndarray, Float64[np.ndarray, "t v 3"], int]:
    """Return number and joints of each frame, and the number of lines about a frame that was there already."""
    frames: dict[int, list[float]] = {}
    twice = 0
    for number, line in read_numbered(path, MAX_TEXT, "a line a frame"):
        fields = line.split()
        frame, *values = parse_numbers(path, number, fields)
        if len(values) != 3 * joints or frame != frame // 1 or not 0 <= frame < 10**7:
            expected = f"the number of a frame, and x, y, z of {joints} joints"
            raise BadFileError(path, "wrong count", f"{len(fields)} numbers, frame {frame:g}", expected, line=number)
        twice += int(frame) in frames
        frames.setdefault(int(frame), values)
    return np.array(list(frames)), np.array(list(frames.values())).reshape(len(frames), joints, 3), twice
