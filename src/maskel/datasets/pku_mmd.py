"""PKU-MMD, phases I and II: long recordings of a Kinect v2 with 51 annotated actions.

Liu, Hu, Li, Song, Liu: PKU-MMD: A Large Scale Benchmark for Continuous Multi-Modal Human Action Understanding, ACM
Multimedia workshop 2017. A clip is one annotated action, cut as in the public scripts of MAMP.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, Float64

from maskel.datasets.base import AS_RECORDED, ON_THE_BODY, RawFile, Source, Split
from maskel.datasets.ntu import centre
from maskel.datasets.raw_file import read_raw
from maskel.datasets.skeleton_file import COORDINATE_LIMIT, decode_decimals
from maskel.errors import BadFileError, InputError
from maskel.files import open_regular
from maskel.layouts import NTU25, Layout
from maskel.sequence import UNLABELLED, Clip, LabelledRange, SkeletonSequence

ACTIONS = tuple(
    action.strip()
    for action in """
    bow; brushing hair; brushing teeth; check time (from watch); cheer up; clapping; cross hands in front (say stop);
    drink water; drop; eat meal/snack; falling; giving something to other person; hand waving; handshaking;
    hopping (one foot jumping); hugging other person; jump up; kicking other person; kicking something;
    make a phone call/answer phone; pat on back of other person; pickup; playing with phone/tablet;
    point finger at the other person; pointing to something with finger; punching/slapping other person;
    pushing other person; put on a hat/cap; put something inside pocket; reading; rub two hands together; salute;
    sitting down; standing up; take off a hat/cap; take off glasses; take off jacket; take out something from pocket;
    taking a selfie; tear up paper; throw; touch back (backache); touch chest (stomachache/heart pain);
    touch head (headache); touch neck (neckache); typing on a keyboard; use a fan (with hand or paper)/feeling warm;
    wear jacket; wear on glasses; wipe face; writing
    """.split(";")
)
BODIES = 2
NUMBERS = BODIES * len(NTU25) * 3
"""Numbers in a line of a skeleton file: one frame."""
MAX_FRAMES = 300
"""Frames after which a long action is cut, as published."""
MAX_BYTES = 32 * 2**20
"""About five times a published skeleton file; nothing larger is read into memory."""
MAX_TABLE_BYTES = 2**20
"""Most bytes of a label or split file, hundreds of times a published one."""
BLOCK = 2**18
"""Bytes of text decoded at a time, so that intermediate arrays stay small for any file."""
HEAD = 4096
LONGEST_LABEL_LINE = 100
BACKGROUND = "background"
"""Name of the class of what lies between actions."""
SHORTEST_BACKGROUND = 30
"""Frames between two actions, a second, below which nothing is cut out."""
OUTSIDE = "labelled actions beyond the recording, left out"

RECORDING = re.compile(r"(?:\d{4}|A\d{2}N\d{2})-[LMR]")
SPLIT_FILE = re.compile(r"cross[-_ ]?(subject|view).*\.txt", re.IGNORECASE)
BENCHMARKS = {"subject": "xsub", "view": "xview"}


class PkuMmd(Source):
    """Base class of the two phases; a subclass states the form of its recordings' names."""

    layout: Layout = NTU25
    classes: tuple[str, ...] = ACTIONS
    title: ClassVar[str]
    example: ClassVar[str]
    recording: ClassVar[re.Pattern[str]]
    choosing = ("untrimmed", "background")

    def __init__(self, center: bool = False, untrimmed: bool = False, background: bool = False) -> None:
        if untrimmed and background:
            raise InputError(
                f"{self.name}: --untrimmed keeps what lies between the actions, and --background cuts it out; choose "
                "one"
            )
        self.center = center
        self.untrimmed = untrimmed
        self.background = background
        if background:
            self.classes = (*ACTIONS, BACKGROUND)
        self._training: dict[str, frozenset[str]] = {}
        self._absent: dict[str, int] = {}  # benchmark -> number of missing training recordings

    def conventions(self, coordinates: int) -> Mapping[str, str]:
        """Return origin, unit and up; as published, the origin is that of the recording."""
        return {**super().conventions(coordinates), "origin": ON_THE_BODY if self.center else AS_RECORDED}

    def find(self, roots: Sequence[Path]) -> list[RawFile]:
        """Find the skeleton files below ``roots`` with their label files, sorted by name; also reads the split files.

        Raises:
            InputError: If a root is no folder, none holds a skeleton or a split file of this phase, or two files claim
                to be the same.
            BadFileError: If a split file is damaged or of another form.
        """
        skeletons: dict[str, Path] = {}
        labels: dict[str, Path] = {}
        splits: dict[Path, str] = {}
        for root, path in _text_files(roots):
            if self.recording.fullmatch(path.stem):
                of_kind = labels if _holds_labels(root, path) else skeletons
                if of_kind.setdefault(path.stem, path) != path:
                    raise InputError(f"{of_kind[path.stem]} and {path} are the same recording's; remove one of them")
            elif match := SPLIT_FILE.fullmatch(path.name):
                splits[path] = BENCHMARKS[match[1].lower()]
        where = ", ".join(map(str, roots))
        if not skeletons:
            raise InputError(
                f"no skeleton file called like {self.example}.txt is in {where}; give the folders of the unpacked "
                f"archives of {self.title}"
            )
        self._training = self._read_splits(splits)
        if not self._training:
            raise InputError(
                f"no split file of {self.title}, called like cross-subject.txt or cross_view_v2.txt, is in {where}; "
                "put those of the download beside the skeletons"
            )
        self._absent = {name: len(training - skeletons.keys()) for name, training in self._training.items()}
        return [RawFile(skeletons[name], labels=labels.get(name)) for name in sorted(skeletons)]

    def _read_splits(self, paths: Mapping[Path, str]) -> dict[str, frozenset[str]]:
        """Read the training recordings of each benchmark; split files of the other phase are skipped."""
        found: dict[str, tuple[Path, frozenset[str]]] = {}
        for path, benchmark in paths.items():
            training = _read_training(path)
            if not any(map(self.recording.fullmatch, training)):
                continue
            other, earlier = found.setdefault(benchmark, (path, training))
            if training != earlier:
                raise InputError(f"{other} and {path} name different training recordings; remove one of them")
        return {benchmark: found[benchmark][1] for benchmark in BENCHMARKS.values() if benchmark in found}

    def read(self, file: RawFile) -> list[SkeletonSequence]:
        """Read one clip for each line of the label file; clips without any body are left out, as published.

        Raises:
            BadFileError: If the skeleton or the label file is damaged, or there is no label file.
        """
        clips = self.clips(file)
        frames = parse_frames(_content(file.path, MAX_BYTES), file.path)
        if self.untrimmed:
            return self._whole(file, clips[0], frames)
        sequences = []
        for clip in clips:
            end = min(clip.end_frame, len(frames))
            joints = self._joints(frames[clip.first_frame : min(end, clip.first_frame + MAX_FRAMES)])
            if joints.any():
                sequences.append(SkeletonSequence(replace(clip, end_frame=end), joints, self.layout))
        return sequences

    def clips(self, file: RawFile) -> list[Clip]:
        """Return a clip for each line of the label file."""
        name = file.path.stem
        actions = _read_labels(_labels_of(file))
        if self.untrimmed:
            return [Clip(name, UNLABELLED, camera=name[-1])]
        named = [(str(number), *action) for number, action in enumerate(actions)]
        if self.background:
            named += [(f"b{number}", len(ACTIONS), *span) for number, span in enumerate(_between(actions))]
        return [
            Clip(f"{name}_{number}", label, camera=name[-1], recording=name, first_frame=first, end_frame=end)
            for number, label, first, end in named
        ]

    def _whole(self, file: RawFile, clip: Clip, frames: Float32[np.ndarray, "t n"]) -> list[SkeletonSequence]:
        """Return the recording as one clip; none if nobody is in it."""
        joints = self._joints(frames)
        actions = [(label, first, min(end, len(frames))) for label, first, end in _read_labels(_labels_of(file))]
        ranges = tuple(LabelledRange(*action) for action in actions if action[1] < action[2])
        counts = {OUTSIDE: len(actions) - len(ranges)}
        return [SkeletonSequence(clip, joints, self.layout, counts, ranges)] if ranges and joints.any() else []

    def _joints(self, frames: Float32[np.ndarray, "t n"]) -> Float32[np.ndarray, "m t v c"]:
        """Return both bodies of the frames, or only the first if the second is always absent."""
        joints = frames.reshape(len(frames), BODIES, len(NTU25), 3).swapaxes(0, 1)
        joints = np.ascontiguousarray(joints if joints[1:].any() else joints[:1])
        return centre(joints) if self.center and joints.any() else joints

    def benchmarks(self, clips: Sequence[Clip]) -> dict[str, Split]:
        """Divide the clips: recordings that the split file lists for training train, all others test."""
        return {
            name: Split.of((clip.recording or clip.name) in training for clip in clips)
            for name, training in self._training.items()
        }

    def explain(self, benchmark: str, found: tuple[int, int]) -> str:
        """List what is missing from the folders: recordings and split files."""
        notes = []
        if absent := self._absent.get(benchmark):
            notes.append(f"{absent} of the {len(self._training[benchmark])} training recordings are not in the folders")
        notes += [
            f"no split file for {other} was found, so the set does not have it"
            for other in BENCHMARKS.values()
            if other not in self._training
        ]
        return "; ".join(notes)


class PKU1(PkuMmd):
    """PKU-MMD phase I: 1,076 recordings of 66 performers, three cameras.

    Benchmarks: ``xsub`` and ``xview`` train on the recordings that their split files name.

    Args:
        center: Move the origin of each clip to the spine of its first body, as for NTU RGB+D; as published, clips stay
            where the camera saw them.
        untrimmed: Keep whole recordings with their labelled actions, for ``maskel detect``.
        background: Also cut out what lies between the actions, a second or more, as a class ``background``.

    Examples:
        >>> len(PKU1.classes), PKU1.classes[0]
        (51, 'bow')
    """

    name: ClassVar[str] = "pku1"
    title: ClassVar[str] = "PKU-MMD phase I"
    example: ClassVar[str] = "0002-L"
    recording: ClassVar[re.Pattern[str]] = re.compile(r"\d{4}-[LMR]")


class PKU2(PkuMmd):
    """PKU-MMD phase II: 1,009 recordings of 13 performers, three cameras; shorter and more crowded actions.

    Benchmarks: ``xsub`` and ``xview`` train on the recordings that their split files name.

    Args:
        center: Move the origin of each clip to the spine of its first body, as for NTU RGB+D; as published, clips stay
            where the camera saw them.
        untrimmed: Keep whole recordings with their labelled actions, for ``maskel detect``.
        background: Also cut out what lies between the actions, a second or more, as a class ``background``.
    """

    name: ClassVar[str] = "pku2"
    title: ClassVar[str] = "PKU-MMD phase II"
    example: ClassVar[str] = "A01N01-L"
    recording: ClassVar[re.Pattern[str]] = re.compile(r"A\d{2}N\d{2}-[LMR]")


def _labels_of(file: RawFile) -> Path:
    if file.labels is None:
        raise BadFileError(file.path, "no labels", f"no label file called {file.path.name}", "one for each skeleton")
    return file.labels


def _between(actions: Sequence[tuple[int, int, int]]) -> list[tuple[int, int]]:
    """Return the stretches of a second or more before and between actions: first frame, and the one after the last."""
    found, end = [], 0
    for _, first, after in sorted(actions, key=lambda action: action[1]):
        if first - end >= SHORTEST_BACKGROUND:
            found.append((end, first))
        end = max(end, after)
    return found


def _text_files(roots: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """Yield each text file below the roots once, with its root."""
    seen: set[Path] = set()
    for root in roots:
        if not root.is_dir():
            raise InputError(f"{root} is not a folder; unpack the archives of PKU-MMD and give their folders")
        for path in sorted(root.resolve().rglob("*.txt")):
            if path not in seen and path.is_file():
                seen.add(path)
                yield root.resolve(), path


def _holds_labels(root: Path, path: Path) -> bool:
    """Return True if a recording's file holds labels: judged by its folders, else by its first line."""
    for folder in reversed(path.relative_to(root.parent).parts[:-1]):
        for word in ("label", "skeleton"):
            if word in folder.lower():
                return word == "label"
    try:
        with open_regular(path) as file:
            return len(file.read(HEAD).strip().partition(b"\n")[0]) < LONGEST_LABEL_LINE
    except (OSError, ValueError):
        return False  # `read` reports the fault


def _content(path: Path, most: int) -> bytes:
    """Read a text file of at most ``most`` bytes; it must be ASCII and not empty."""
    data = read_raw(path, most, "text").removeprefix(b"\xef\xbb\xbf")
    if damage := re.search(rb"[^\t\n\r -\x7e]", data):
        line = data.count(b"\n", 0, damage.start()) + 1
        raise BadFileError(path, "not text", f"byte {data[damage.start()]:#04x}", "ASCII text", line)
    if not data.strip():
        raise BadFileError(path, "empty", "nothing", "text")
    return data


def _read_training(path: Path) -> frozenset[str]:
    """Read a split file's training recordings: the names between its first heading and the next."""
    expected = "a heading, then training recordings like 0002-L, 0003-M or A01N01-L"
    training: set[str] = set()
    for number, line in enumerate(_content(path, MAX_TABLE_BYTES).decode("ascii").splitlines(), 1):
        _, colon, rest = line.rpartition(":")
        names = [name.removesuffix(".txt") for name in re.split(r"[\s,;]+", rest) if name]
        is_list = re.search(r"\d-", rest)  # every recording's name has this, even a damaged one, and no heading
        if training and (colon or (names and not is_list)):
            break
        if not is_list:
            continue
        if wrong := [name for name in names if not RECORDING.fullmatch(name)]:
            raise BadFileError(path, "bad name", repr(wrong[0][:40]), expected, number)
        training.update(names)
    if not training:
        raise BadFileError(path, "wrong count", "no training recording", expected)
    return frozenset(training)


def _read_labels(path: Path) -> list[tuple[int, int, int]]:
    """Read class (from 0), first frame and end frame of each action of a recording."""
    expected = f"class 1 to {len(ACTIONS)}, start, end and confidence, whole numbers"
    actions = []
    for number, line in enumerate(_content(path, MAX_TABLE_BYTES).decode("ascii").splitlines(), 1):
        fields = [field for field in re.split(r"[\s,;]+", line) if field]
        if not fields:
            continue
        if len(fields) not in (3, 4):
            raise BadFileError(path, "wrong count", f"a line of {len(fields)} fields", expected, number)
        for field in fields[:3]:
            if not re.fullmatch(r"\d{1,9}(\.0*)?", field):
                raise BadFileError(path, "not a number", repr(field[:40]), expected, number)
        action, first, end = (int(field.partition(".")[0]) for field in fields[:3])
        if not 1 <= action <= len(ACTIONS):
            raise BadFileError(path, "bad label", f"class {action}", expected, number)
        actions.append((action - 1, first, max(first, end)))
    return actions


def parse_frames(data: bytes, path: Path | str) -> Float32[np.ndarray, "t n"]:
    """Read a skeleton file: one line a frame, x, y and z of 25 joints of two bodies, in metres.

    Takes at most six times the memory of the text, and 50 MB.

    Args:
        data: ASCII text; numbers are separated by blanks, lines end in LF or CRLF.
        path: The file, for messages.

    Raises:
        BadFileError: If a line does not hold 150 numbers, all below `COORDINATE_LIMIT`.
    """
    text = data.rstrip()
    blocks = []
    start = line = 0
    while start < len(text):
        end = text.find(b"\n", start + BLOCK, start + 2 * BLOCK)
        if end < 0 and len(text) - start > 2 * BLOCK:
            found, expected = f"a line of more than {BLOCK} bytes", f"{NUMBERS} numbers a line"
            raise BadFileError(path, "wrong count", found, expected, line + text.count(b"\n", start, start + BLOCK) + 1)
        block = text[start : end if end >= 0 else len(text)]
        frames = _decode_block(block)
        if frames is None:
            raise _first_fault(block, path, line, last=end < 0)
        blocks.append(frames.astype(np.float32))
        start += len(block) + 1
        line += len(frames)
    return np.concatenate(blocks)


def _decode_block(block: bytes) -> Float64[np.ndarray, "t n"] | None:
    """Decode the numbers of whole lines; None if a line is malformed."""
    text = b" " * 16 + block + b"\n\n"  # the decoder reads up to 16 bytes back and two ahead
    octets = np.frombuffer(text, np.uint8)
    blank = octets <= ord(" ")
    edges = np.flatnonzero(blank[1:] != blank[:-1]) + 1
    starts, ends = edges[::2], edges[1::2]
    line_ends = np.flatnonzero(octets[:-1] == ord("\n"))
    if (np.diff(np.searchsorted(starts, line_ends), prepend=0) != NUMBERS).any():
        return None
    numbers = decode_decimals(text, starts, ends)
    if numbers is None or not (np.abs(numbers) < COORDINATE_LIMIT).all():
        return None
    return numbers.reshape(-1, NUMBERS)


def _first_fault(block: bytes, path: Path | str, lines_before: int, last: bool) -> BadFileError:
    """Describe the fault of a block's first bad line; ``last`` means that the file ends with the block."""
    lines = block.split(b"\n")
    for number, line in enumerate(lines, lines_before + 1):
        fields = line.split()
        if len(fields) != NUMBERS:
            cut = last and number == lines_before + len(lines) and len(fields) < NUMBERS
            found = f"a line of {len(fields)} numbers"
            expected = f"{NUMBERS}: x, y and z of {len(NTU25)} joints of {BODIES} bodies"
            return BadFileError(path, "truncated" if cut else "wrong count", found, expected, number)
        for field in fields:
            try:
                fits = abs(float(field)) < COORDINATE_LIMIT
            except ValueError:
                fits = False
            if not fits:
                found = repr(field[:40].decode("ascii"))
                return BadFileError(path, "not a number", found, f"metres below {COORDINATE_LIMIT:g}", number)
    raise AssertionError("a block that was refused has no fault")
