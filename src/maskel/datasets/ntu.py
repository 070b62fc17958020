"""NTU RGB+D 60 and 120: 56,880 and 114,480 recordings of a Kinect v2, with 60 and 120 actions.

Shahroudy, Liu, Ng, Wang: NTU RGB+D: A Large Scale Dataset for 3D Human Activity Analysis, CVPR 2016; Liu, Shahroudy,
Perez, Wang, Duan, Kot: NTU RGB+D 120, TPAMI 2019. Bodies, origin and order of the clips are those of the public
scripts of SGN, CTR-GCN, MAMP and HA-CM, bit for bit.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float32

from maskel.datasets.base import SPLIT_BY, RawFile, Source, Split
from maskel.datasets.ntu_bodies import TrackedBody, select_bodies
from maskel.datasets.raw_file import MAX_TEXT, read_raw
from maskel.datasets.skeleton_file import SkeletonFile, parse_skeleton
from maskel.errors import BadFileError, InputError
from maskel.files import one_line, read_lines
from maskel.layouts import NTU25, Layout
from maskel.sequence import Clip, SkeletonSequence

SUFFIX = ".skeleton"
NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})")

ACTIONS = tuple(
    action.strip()
    for action in """
    drink water, eat meal, brush teeth, brush hair, drop, pick up, throw, sit down, stand up, clapping,
    reading, writing, tear up paper, put on jacket, take off jacket, put on a shoe, take off a shoe, put on glasses,
    take off glasses, put on a hat or cap, take off a hat or cap, cheer up, hand waving, kicking something,
    reach into pocket, hopping, jump up, phone call, play with phone or tablet, type on a keyboard,
    point to something, taking a selfie, check time (from watch), rub two hands, nod head or bow, shake head, wipe face,
    salute, put palms together, cross hands in front, sneeze or cough, staggering, falling down, headache, chest pain,
    back pain, neck pain, nausea or vomiting, fan self, punch or slap, kicking, pushing, pat on back, point finger,
    hugging, giving object, touch pocket, shaking hands, walking towards, walking apart,
    put on headphone, take off headphone, shoot at basket, bounce ball, tennis bat swing, juggle table tennis ball,
    hush, flick hair, thumb up, thumb down, make OK sign, make victory sign, staple book, counting money, cutting nails,
    cutting paper, snap fingers, open bottle, sniff or smell, squat down, toss a coin, fold paper, ball up paper,
    play magic cube, apply cream on face, apply cream on hand, put on bag, take off bag, put object into bag,
    take object out of bag, open a box, move heavy objects, shake fist, throw up cap or hat, capitulate, cross arms,
    arm circles, arm swings, run on the spot, butt kicks, cross toe touch, side kick, yawn, stretch oneself, blow nose,
    hit with object, wield knife, knock over, grab stuff, shoot with gun, step on foot, high-five, cheers and drink,
    carry object, take a photo, follow, whisper, exchange things, support somebody,
    finger-guessing game (rock-paper-scissors)
    """.split(",")
)

NTU60_PERFORMERS = frozenset((1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38))
"""Training performers of NTU RGB+D's cross-subject benchmark."""
NTU120_PERFORMERS = NTU60_PERFORMERS.union(
    (45, 46, 47, 49, 50, 52, 53, 54, 55, 56, 57, 58, 59, 70, 74, 78, 80, 81, 82, 83, 84, 85, 86, 89, 91, 92, 93, 94),
    (95, 97, 98, 100, 103),
)
"""Training performers of NTU RGB+D 120's cross-subject benchmark."""
TRAINING_CAMERAS = frozenset((2, 3))
TRAINING_SETUPS = frozenset(range(2, 33, 2))

NOVEL_ACTIONS = range(1, 121, 6)
"""Actions of NTU RGB+D 120's one-shot benchmark: A1, A7, ..., A115; the other 100 are for learning."""
EXEMPLARS = frozenset(f"S{1 if action <= 60 else 18:03}C003P008R001A{action:03}" for action in NOVEL_ACTIONS)
"""The one clip of each of these actions that may be known."""

LEAVING_OUT_532 = {"xsub": (63_026, 50_922), "xset": (54_471, 59_477)}
"""Sizes of NTU RGB+D 120 in papers that leave out three recordings fewer than the official lists."""

SURPLUS_LINES = "lines behind the last frame that a file declares (a fault of the file), not read"
FRAMES_AT_ZERO = "frames of zeros in recordings of one body, moved with the origin as published"


class NTU(Source):
    """Base class of NTU RGB+D 60 and 120; a subclass names its actions and benchmarks."""

    layout: Layout = NTU25
    title: ClassVar[str]
    rules: ClassVar[Mapping[str, frozenset[int]]]
    """For each benchmark the subjects, cameras or setups that train."""

    choosing = ("missing",)

    def __init__(self, missing: Sequence[Path] = ()) -> None:
        self.missing = frozenset(name for path in missing for name in _listed(Path(path)))

    def find(self, roots: Sequence[Path]) -> list[RawFile]:
        """Find the ``.skeleton`` files of this set's actions below ``roots``, sorted by name.

        Files with other names are among them; reading one raises `BadFileError`, which counts it.

        Raises:
            InputError: If a root is no folder, none holds a recording of this set, or two files have one name.
        """
        for root in roots:
            if not root.is_dir():
                raise InputError(f"{root} is not a folder; unpack the archives of NTU RGB+D and give their folders")
        paths = {path for root in roots for path in root.resolve().rglob(f"*{SUFFIX}")}
        own = [path for path in paths if (clip := clip_called(path.stem)) is None or clip.label < len(self.classes)]
        own.sort(key=lambda path: (path.name, path))
        if not any(clip_called(path.stem) for path in own):
            where = ", ".join(map(str, roots))
            raise InputError(
                f"no recording called like S001C001P001R001A001{SUFFIX}, A001 to A{len(self.classes):03}, "
                f"is in {where}; give the folders of the unpacked archives"
            )
        for path, following in pairwise(own):
            if path.name == following.name and clip_called(path.stem):
                raise InputError(f"{path} and {following} have the same name; remove one of them")
        return [RawFile(path) for path in own]

    def read(self, file: RawFile) -> list[SkeletonSequence]:
        """Read the clip of one file; none if the missing lists name it or no frame has a body.

        Raises:
            BadFileError: If the file is damaged, or its name is not that of a recording.
        """
        if not (clips := self.clips(file)):
            return []
        recording = parse_skeleton(read_raw(file.path, MAX_TEXT, "a frame count in line 1"), file.path)
        bodies = _bodies(recording)
        if not bodies:
            return []
        tracks = select_bodies(bodies, int(np.count_nonzero(recording.body_counts)))
        if not tracks.any():
            return []
        joints = centre(tracks, absent_stay_zero=len(tracks) > 1)
        zeros = int(np.count_nonzero(~tracks[0].any(axis=(1, 2)))) if len(tracks) == 1 else 0
        counts = {SURPLUS_LINES: recording.surplus_lines, FRAMES_AT_ZERO: zeros}
        return [SkeletonSequence(clips[0], joints, self.layout, counts)] if joints.any() else []

    def clips(self, file: RawFile) -> list[Clip]:
        """Return the clip that a file's name describes; none if the missing lists name it."""
        clip = clip_called(file.path.stem)
        if clip is None:
            expected = f"a name like S001C001P001R001A001{SUFFIX}, actions A001 to A{len(ACTIONS)}"
            raise BadFileError(file.path, "bad name", file.path.name, expected)
        return [] if clip.name in self.missing else [clip]

    def benchmarks(self, clips: Sequence[Clip]) -> dict[str, Split]:
        """Divide the clips of each benchmark, sorted by performer, camera or setup and then by name, as published."""
        return {benchmark: _split(clips, SPLIT_BY[benchmark], training) for benchmark, training in self.rules.items()}

    def explain(self, benchmark: str, found: tuple[int, int]) -> str:
        """Explain sizes that differ from the published ones."""
        if benchmark not in self.published or found == self.published[benchmark]:
            return ""
        if not self.missing:
            return (
                "the published sizes leave out the recordings in the official lists of missing skeletons, "
                "and no such list was given (--missing)"
            )
        return f"the folders, or the lists of missing skeletons, are not those of all of {self.title}"


class NTU60(NTU):
    """NTU RGB+D: actions A001 to A060, setups 1 to 17, 40 performers, three cameras.

    Benchmarks: ``xsub`` trains on twenty performers; ``xview`` trains on cameras 2 and 3 and tests on camera 1.

    Args:
        missing: The official list of recordings with missing skeletons, 302 of this set, from
            https://github.com/shahroudy/NTURGB-D; one name a line, other lines are ignored. Without it recordings
            with incomplete skeletons stay in and the published sizes cannot be reached.

    Raises:
        InputError: If a list does not exist or names no recording.

    Examples:
        >>> NTU60.published["xsub"]  # training and test clips
        (40091, 16487)
    """

    name: ClassVar[str] = "ntu60"
    title: ClassVar[str] = "NTU RGB+D"
    classes: tuple[str, ...] = ACTIONS[:60]
    published: Mapping[str, tuple[int, int]] = {"xsub": (40_091, 16_487), "xview": (37_646, 18_932)}
    rules: ClassVar[Mapping[str, frozenset[int]]] = {"xsub": NTU60_PERFORMERS, "xview": TRAINING_CAMERAS}


class NTU120(NTU):
    """NTU RGB+D 120: actions A001 to A120, setups 1 to 32, 106 performers, three cameras.

    Benchmarks: ``xsub`` trains on 53 performers; ``xset`` trains on even setups and tests on odd ones; ``oneshot``
    trains on 100 actions and tests all clips of the other 20, but for one exemplar of each.

    Args:
        missing: The official lists of recordings with missing skeletons, 535 of this set, from
            https://github.com/shahroudy/NTURGB-D; one name a line, other lines are ignored. Without them recordings
            with incomplete skeletons stay in and the published sizes cannot be reached.

    Raises:
        InputError: If a list does not exist or names no recording.
    """

    name: ClassVar[str] = "ntu120"
    title: ClassVar[str] = "NTU RGB+D 120"
    classes: tuple[str, ...] = ACTIONS
    published: Mapping[str, tuple[int, int]] = {"xsub": (63_026, 50_919), "xset": (54_468, 59_477)}
    rules: ClassVar[Mapping[str, frozenset[int]]] = {"xsub": NTU120_PERFORMERS, "xset": TRAINING_SETUPS}
    exemplars: ClassVar[Mapping[str, frozenset[str]]] = {"oneshot": EXEMPLARS}

    def all_benchmarks(self, clips: Sequence[Clip]) -> dict[str, Split]:
        """Each benchmark's clips; those of ``oneshot`` by name, without the exemplars."""
        ordered = sorted(range(len(clips)), key=lambda position: clips[position].name)
        tested = [position for position in ordered if clips[position].name not in EXEMPLARS]
        named = (clip_called(clips[position].name) for position in tested)
        trains = (clip is None or clip.label + 1 not in NOVEL_ACTIONS for clip in named)
        return self.benchmarks(clips) | {"oneshot": Split.of(trains, tested)}

    def explain(self, benchmark: str, found: tuple[int, int]) -> str:
        """Explain sizes that differ from the published ones; some papers leave out three recordings fewer."""
        if found == LEAVING_OUT_532.get(benchmark):
            return "these are the sizes of papers that leave out 532 recordings; the official lists name 535"
        return super().explain(benchmark, found)


def _listed(path: Path) -> set[str]:
    """Read the names of recordings from a list of missing skeletons."""
    try:
        lines = read_lines(path, errors="replace")
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read the list of missing skeletons {path}: {one_line(error)}; it is a text file"
        ) from error
    names = {line.strip().removesuffix(SUFFIX) for line in lines}
    recordings = {name for name in names if NAME.fullmatch(name)}
    if not recordings:
        raise InputError(f"{path} names no recording; expected lines like S001C001P001R001A001")
    return recordings


def clip_called(name: str) -> Clip | None:
    """Return the clip that a recording's name describes; None for other names."""
    match = NAME.fullmatch(name)
    if not match or not 1 <= int(match[5]) <= len(ACTIONS):
        return None
    setup, camera, performer, replication, action = (str(int(number)) for number in match.groups())
    return Clip(name, int(action) - 1, subject=performer, camera=camera, setup=setup, replication=replication)


def _bodies(recording: SkeletonFile) -> list[TrackedBody]:
    """Return each body's frames, on the time line without empty frames."""
    time = np.cumsum(recording.body_counts > 0) - 1  # (T,)
    joints = recording.joints.astype(np.float32)
    _, first = np.unique(recording.body_ids, return_index=True)
    return [
        TrackedBody(int(time[recording.frames[row]]), joints[recording.body_ids == recording.body_ids[row]])
        for row in np.sort(first)
    ]


def centre(joints: Float32[np.ndarray, "m t v c"], absent_stay_zero: bool = True) -> Float32[np.ndarray, "m t v c"]:
    """Move the origin to the spine of the first body, in its first frame.

    Args:
        joints: (M, T, V, C) metres, not all 0.
        absent_stay_zero: Keep frames of zeros at zero. If False, they are moved like all others and hold minus the
            origin, as in the published script for recordings of one body.
    """
    absent = joints.reshape(*joints.shape[:2], -1).sum(axis=-1) == 0  # (M, T), as published by the sum
    body = joints.any(axis=(1, 2, 3)).argmax()
    first = joints[body].any(axis=(1, 2)).argmax()
    centred = joints - joints[body, first, NTU25.index("spine_mid")]
    if absent_stay_zero:
        centred[absent] = 0
    return centred


def _split(clips: Sequence[Clip], what: str, training: frozenset[int]) -> Split:
    """Divide clips by their subject, camera or setup, sorted by its number and then by name."""
    numbers = [int(getattr(clip, what)) for clip in clips]
    ordered = sorted(range(len(clips)), key=lambda position: (numbers[position], clips[position].name))
    return Split.of((numbers[position] in training for position in ordered), ordered)
