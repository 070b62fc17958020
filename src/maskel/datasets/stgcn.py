"""The arrays of ST-GCN, 2s-AGCN, MS-G3D, SkeletonCLR, AimCLR and CMD: a ``.npy`` and a ``_label.pkl`` for each part.

A folder holds one benchmark: ``train_data.npy`` (or ``train_data_joint.npy``, ``train_position.npy``, …) of shape
(N, C, T, V, M) with ``train_label.pkl``, a pickle of the clips' names and of their labels, and the same for ``val`` or
``test``. The arrays have gigabytes; they are mapped, and one clip is in memory at a time.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from maskel.datasets import interchange
from maskel.datasets.base import IN_IMAGES, METRES, RawFile, Split
from maskel.datasets.counts import Counts
from maskel.datasets.folder.arrays import read_npy_header
from maskel.datasets.folder.axes import MAX_BODIES, settle
from maskel.datasets.folder.pose import Missing, Pose
from maskel.datasets.interchange import GivenChannels, Toolbox
from maskel.datasets.npz import BENCHMARK, BENCHMARKS, MAX_CLIP_BYTES, MAX_CLIPS
from maskel.datasets.ntu import clip_called
from maskel.datasets.pickled import PickledArray, one_number, read_pickle
from maskel.datasets.raw_file import bad_file
from maskel.errors import BadFileError, InputError
from maskel.files import described, map_npy, open_regular
from maskel.layouts import COCO17, KINECT20, NTU25, OPENPOSE18, Layout
from maskel.sequence import Clip, SkeletonSequence

PARTS = ("train", "val", "test")
PART = re.compile(r"(?:^|[_.-])(?:(train)(?:ing)?|(e?val)(?:id|idation)?|(test)(?:ing)?)(?=[_.-]|$)", re.IGNORECASE)
NO_JOINTS = re.compile(r"bone|motion|vel|accel|label|num_frame|index|stat|mean|std", re.IGNORECASE)
"""Arrays of the same folder that do not hold joint positions."""
CHANNELS: Mapping[str, int] = {"xy": 2, "xyz": 3, "xys": 3}
FORMS: Mapping[tuple[int, int], tuple[Layout, str]] = {
    (25, 3): (NTU25, "xyz"),
    (20, 3): (KINECT20, "xyz"),
    (18, 3): (OPENPOSE18, "xys"),  # Kinetics-Skeleton: x and y less 0.5 as fractions of the image, and the score
    (18, 2): (OPENPOSE18, "xy"),
    (17, 2): (COCO17, "xy"),
}
"""Default layout and channels for V and C."""
LOOKED_AT = 32
"""Clips of a file that are checked to tell a score from z, and fractions of the image from another unit."""
MOST_2D = 1.3
"""Distance from the image's middle, in halves of the image, that only a few joints exceed."""
REPEATED = "frames that repeat the clip as padding"
WHAT = "train_data.npy (or train_data_joint.npy, train_position.npy) and train_label.pkl, and the same for val or test"


@dataclass(frozen=True)
class _Part:
    """One array with names, labels and lengths of its clips."""

    data: Path
    pickle: Path
    names: tuple[str, ...]
    labels: tuple[int, ...]
    frames: tuple[int, ...]


class StGcn(Toolbox):
    """A folder with the arrays of ST-GCN, 2s-AGCN, AimCLR or CMD; code in its pickles is never run.

    Frames of zeros at a clip's end are padding and are cut off, as are bodies of zeros, frames beyond
    ``train_num_frame.npy``, and frames that repeat the clip from its start (the padding of 2s-AGCN). Joints in 3D are
    kept unchanged. Joints in 2D are fractions of the image less 0.5, as in Kinetics-Skeleton; they become halves of the
    image.

    Args:
        layout: Joint layout; by default from V and C (25 in 3D: ntu25, 18 with scores: openpose18, …).
        channels: Meaning of the C numbers of a joint; s is the score.
        scores: Keep the scores as a third channel.
        missing: Missing joints (0, NaN, score 0) are interpolated in time, or stay zero.
        scale: Factor to metres; in 2D to halves of the image, by default 2.
        benchmark: Name of the benchmark; by default from the folder's name (xsub, NTU60_CS, …), else val or test.
        first_label: Label of the first class, 0 or 1, if the file leaves it open.
        bodies: Bodies of a clip to keep, 1 or more.
        actor: Who comes first, and is kept: ``longest`` (seen in most frames), ``motion`` (moves most), ``central``
            (nearest to the middle), ``largest``; by default the file's order, and of more bodies than are kept the
            longest.

    Raises:
        InputError: If there is no such layout, or options are out of range.
    """

    name: ClassVar[str] = "stgcn"
    choosing = ("benchmark",)

    def __init__(
        self,
        layout: str = "",
        channels: GivenChannels = "auto",
        scores: bool = False,
        missing: Missing = "interpolate",
        scale: float | None = None,
        benchmark: str = "",
        first_label: int | None = None,
        bodies: int = 2,
        actor: str = "",
    ) -> None:
        super().__init__(layout, channels, scores, missing, scale, first_label, bodies, actor)
        self.benchmark = benchmark
        self.parts: dict[str, _Part] = {}
        self.clip_of: dict[RawFile, Clip] = {}

    def find(self, roots: Sequence[Path]) -> list[RawFile]:
        """Return the clips of one benchmark: training, then validation and test.

        Raises:
            InputError: If there is not one array and one label file for each part.
            BadFileError: If a file is damaged or of another form, or the files do not match.
        """
        self.parts = {part: _read_part(data, label) for part, (data, label) in _files(roots).items()}
        first = next(iter(self.parts.values()))
        shapes = {part: _shape(found.data) for part, found in self.parts.items()}
        self._form(first.data, shapes)
        places = [(part, found, clip) for part, found in self.parts.items() for clip in range(len(found.names))]
        names = [found.names[clip] for _, found, clip in places]
        labels = [found.labels[clip] for _, found, clip in places]
        if twice := interchange.repeated(names):
            names = [f"{part}_{clip:06}" for part, _, clip in places]
        files = [RawFile(found.data, f"{part}[{clip}]", found.pickle) for part, found, clip in places]
        clips = map(interchange.clip_named, names, self.settle_classes(first.pickle, names, labels))
        self.clip_of = dict(zip(files, clips, strict=True))
        used = {found.data for found in self.parts.values()}
        unread = [path.name for path in sorted(first.data.parent.glob("*.npy")) if path not in used]
        unread = [name for name in unread if "num_frame" not in name]
        self.passed["names that repeat, replaced by numbers"] = len(twice)
        self.passed[f"arrays not read: {', '.join(unread[:6])}"] = len(unread)
        if not self.benchmark and (match := BENCHMARK.search(first.data.resolve().parent.name)):
            self.benchmark = BENCHMARKS[match[1].lower()]
        return files

    def _form(self, path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Set layout and channels from the shapes and from the range of the numbers."""
        _, count, frames, joints, bodies = shape = next(iter(shapes.values()))
        if any((other[1], *other[3:]) != (count, joints, bodies) for other in shapes.values()):
            listed = " and ".join(map(str, shapes.values()))
            raise BadFileError(path, "wrong count", f"arrays of shape {listed}", "the same C, V and M in every part")
        usual, channels = FORMS.get((joints, count), (None, ""))
        layout = self.given_layout or usual
        channels = channels if self.given_channels == "auto" else self.given_channels
        if layout is None or not channels:
            asks = "say what they are with --layout NAME and --channels xy, xyz or xys"
            raise InputError(f"{path} has V = {joints} joints of C = {count} numbers (shape {shape}); {asks}")
        if len(layout) != joints or CHANNELS[channels] != count or not 1 <= bodies <= min(MAX_BODIES, frames):
            expected = f"(N, {CHANNELS[channels]}, T, {len(layout)}, M) for {channels} of layout {layout.name}"
            raise BadFileError(
                path, "wrong count", f"an array of shape {shape}", f"{expected}, at most {MAX_BODIES} bodies M"
            )
        if self.given_channels == "auto" and settle([shape[1:]], len(layout), (2, 3)) == ["MTVC"]:
            expected = "(N, C, T, V, M); --channels says so if these are its axes"
            raise BadFileError(
                path, "ambiguous", f"an array of shape {shape}, which looks like (N, M, T, V, C)", expected
            )
        self.layout = layout
        self.settle_channels(channels)
        if self.scores and channels != "xys":
            raise InputError(f"{path} has no scores, as --scores needs them; its numbers are read as {channels}")
        self._check_numbers(path)

    def _check_numbers(self, path: Path) -> None:
        """Check units and channels with a sample of the clips."""
        data, scale = _mapped(path), self.scale or 2
        looked = [data[clip] for clip in np.unique(np.linspace(0, len(data) - 1, LOOKED_AT).astype(int))]  # views
        self.refuse_scores(path, [interchange.is_score(clip[2]) for clip in looked if not self.flat and clip.any()])
        if self.flat and self.scale is None:
            with np.errstate(invalid="ignore"):  # `read` reports NaN
                negative = any((clip[:2] < 0).any() for clip in looked)
                somewhere = any((clip[:2] > 0).any() for clip in looked)
            if somewhere and not negative:
                expected = "fractions of the image less 0.5, from -0.5 to 0.5; --scale 1 takes them as they stand"
                raise BadFileError(path, "wrong unit", "positions from 0 on, none negative", expected)
        if self.flat:
            planes = [np.abs(clip[:2][np.isfinite(clip[:2]) & (clip[:2] != 0)]) * scale for clip in looked]
            outside = sum(int((plane > MOST_2D).sum()) for plane in planes)
            if outside > 0.02 * sum(plane.size for plane in planes):  # a few joints may lie outside of their image
                largest = max(float(plane.max(initial=0)) for plane in planes) / scale
                expected = (
                    "fractions of the image less 0.5, from -0.5 to 0.5, as in Kinetics-Skeleton; --scale 1 if they "
                    "reach from -1 to 1"
                )
                raise BadFileError(path, "wrong unit", f"positions up to {largest:.4g}", expected)

    def read(self, file: RawFile) -> list[SkeletonSequence]:
        """Read one clip; none if its joints are all zero.

        Raises:
            BadFileError: If a number is infinite or in another unit.
        """
        part, _, number = file.member.rstrip("]").partition("[")
        clip = int(number)
        values = _mapped(file.path)[clip].astype(np.float64).transpose(3, 1, 2, 0)  # (M, T, V, C)
        if np.isinf(values).any():
            raise BadFileError(str(file), "not a number", "a value that is infinite", "positions")
        values, counts = _without_padding(values, self.parts[part].frames[clip : clip + 1])
        if not values.size:
            return []
        joints, scores = (values[..., :2], values[..., 2]) if self.read_as == "xys" else (values, None)
        joints = interchange.with_gaps(joints, scores) * (self.scale or (2 if self.flat else 1))
        if np.isnan(joints).any(-1).all():
            return []
        if not self.flat:
            interchange.check_metres(str(file), joints, "--scale 0.001 for millimetres")
        middle = np.zeros(2) if self.flat else None
        pose = interchange.main_bodies(str(file), Pose(joints, scores, counts), self.bodies, self.actor, middle)
        return [self.completed(self.clip_of[file], pose)]

    def clips(self, file: RawFile) -> list[Clip]:
        """Return a clip's name, label and origin from the label file."""
        return [self.clip_of[file]]

    def benchmarks(self, clips: Sequence[Clip]) -> dict[str, Split]:
        """Return the folder's benchmark; one each for ``val`` and ``test`` if both exist, ``all`` if neither does."""
        part_of = {clip.name: file.member.partition("[")[0] for file, clip in self.clip_of.items()}
        found = {part: tuple(at for at, clip in enumerate(clips) if part_of[clip.name] == part) for part in self.parts}
        tests = [part for part in found if part != "train"]
        if not tests:
            return {"all": Split(found["train"], ())}
        names = {part: part if len(tests) > 1 or not self.benchmark else self.benchmark for part in tests}
        return {names[part]: Split(found["train"], found[part]) for part in tests}

    def conventions(self, coordinates: int) -> Mapping[str, str]:
        """Return origin, unit and up in 2D; in 3D only the checked unit, as scripts differ in origin and up."""
        return IN_IMAGES if coordinates == 2 else {"unit": METRES}


def _files(roots: Sequence[Path]) -> dict[str, tuple[Path, Path]]:
    """Return the array and the label file of each part."""
    if len(roots) == 1 and roots[0].is_dir():
        (root,) = roots
        arrays = sorted(path for path in root.iterdir() if path.suffix.lower() == ".npy" and PART.search(path.stem))
        if not arrays:
            below = sorted({str(path.parent) for path in root.rglob("*.npy") if PART.search(path.stem)})
            hint = f"; give one of {', '.join(below[:8])}" if below else ""
            raise InputError(f"{root} holds none of these arrays; expected {WHAT}{hint}")
    elif roots and all(root.is_file() and root.suffix.lower() == ".npy" for root in roots):
        arrays = list(roots)
    else:
        raise InputError(f"found {', '.join(map(str, roots))}, expected a folder with {WHAT}, or its .npy files")
    if unnamed := [path for path in arrays if not PART.search(path.stem)]:
        raise InputError(f"{unnamed[0]}: the name says none of {', '.join(PARTS)}; expected {WHAT}")
    found = {}
    for part in PARTS:
        own = [path for path in arrays if _part(path) == part]
        joints = [path for path in own if not NO_JOINTS.search(path.stem)]
        if len(joints) > 1:
            raise InputError(f"which holds the joints of {part}: {', '.join(map(str, joints))}? give one file a part")
        if not joints and (other := [path for path in own if re.search("bone|motion|vel|accel", path.stem, re.I)]):
            raise InputError(f"{other[0]} holds bones or motion, no positions of joints; expected {WHAT}")
        if joints:
            found[part] = (joints[0], _label_file(joints[0], part))
    if "train" not in found:
        raise InputError(f"found no array of the training part beside {arrays[0]}; expected {WHAT}")
    return found


def _part(path: Path) -> str:
    """Return the part (train, val or test) in a file's name; empty if there is none."""
    match = PART.search(path.stem)
    return next(part for part, spelled in zip(PARTS, match.groups(), strict=True) if spelled) if match else ""


def _label_file(data: Path, part: str) -> Path:
    pickles = (path for path in data.parent.iterdir() if path.suffix.lower() in (".pkl", ".pickle"))
    labels = sorted(path for path in pickles if _part(path) == part and "label" in path.stem.lower())
    if len(labels) != 1:
        found = ", ".join(map(str, labels)) or "no label file"
        raise InputError(f"found {found} for {data}, expected one {part}_label.pkl beside it")
    return labels[0]


def _read_part(data: Path, label: Path) -> _Part:
    shape = _shape(data)
    names, labels = _names_and_labels(label)
    for what, count in (("names", len(names)), ("labels", len(labels))):
        if count != shape[0]:
            expected = f"{shape[0]}, as {data.name} of shape {shape} has"
            raise BadFileError(label, "wrong count", f"{count} {what}", expected)
    frames: tuple[int, ...] = ()
    for lengths in sorted(path for path in data.parent.glob("*num_frame*.npy") if _part(path) == _part(data)):
        counted = _mapped(lengths)
        if counted.shape != shape[:1] or not ((counted >= 0) & (counted <= shape[2])).all():
            expected = f"{shape[0]} numbers from 0 to {shape[2]}"
            raise BadFileError(lengths, "wrong count", f"shape {counted.shape}", expected)
        frames = tuple(int(length) for length in counted)
    return _Part(data, label, names, labels, frames)


def _names_and_labels(path: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Read a label file: (names, labels), each a list or an array."""
    expected = "two lists, (names of the clips, their labels as numbers from 0)"
    content = read_pickle(path)
    if not isinstance(content, list | tuple) or len(content) != 2:
        found = f"a {type(content).__name__}" + (f" of {len(content)}" if isinstance(content, list | tuple) else "")
        raise BadFileError(path, "not data", found, expected)
    names, labels = (part.read(path).tolist() if isinstance(part, PickledArray) else part for part in content)
    if not isinstance(names, list | tuple) or not isinstance(labels, list | tuple):
        raise BadFileError(path, "not data", f"{type(names).__name__} and {type(labels).__name__}", expected)
    numbers = [interchange.label_of(str(path), one_number(path, label)) for label in labels]
    if other := [name for name in names if not isinstance(name, str | bytes | int)]:
        raise BadFileError(path, "bad name", described(other[0]), "names of clips")
    texts = [name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in names]
    if any(len(name.splitlines()) != 1 or len(name) > 500 for name in texts):
        raise BadFileError(path, "bad name", "a clip's name that is empty or of several lines", "names of one line")
    ntu = [interchange.key_of(name).upper() for name in texts]
    known = tuple(key if clip_called(key) else name for key, name in zip(ntu, texts, strict=True))
    return known, tuple(numbers)


def _shape(path: Path) -> tuple[int, ...]:
    with bad_file(path, "numpy's .npy format"), open_regular(path) as stream:
        shape, _, _ = read_npy_header(path, stream)
    if len(shape) != 5 or 0 in shape:
        raise BadFileError(path, "wrong count", f"an array of shape {shape}", "clips of shape (N, C, T, V, M)")
    if shape[0] > MAX_CLIPS or prod(shape[1:]) * 8 > MAX_CLIP_BYTES:
        expected = f"at most {MAX_CLIPS:,} clips of {MAX_CLIP_BYTES // 8:,} numbers"
        raise BadFileError(path, "wrong count", f"an array of shape {shape}", expected)
    return shape


def _mapped(path: Path) -> np.ndarray:
    """Map the array of a file into memory; its size must match the header."""
    with bad_file(path, "numpy's .npy format"):
        with open_regular(path) as stream:
            read_npy_header(path, stream)  # real numbers only
        return map_npy(path)


def _without_padding(
    values: Float64[np.ndarray, "m t v c"], frames: Sequence[int]
) -> tuple[Float64[np.ndarray, "k s v c"], Counts]:
    """Cut off padding: frames and bodies that only fill the array."""
    for length in frames:
        values = values[:, :length]
    exists = (values != 0).any((2, 3))  # (M, T); NaN is not 0
    if not exists.any():
        return values[:0], {}
    values = values[: int(np.flatnonzero(exists.any(1))[-1]) + 1, : int(np.flatnonzero(exists.any(0))[-1]) + 1]
    length, first = values.shape[1], values[:, :1]
    for period in range(2, length if (values != first).any() else 0):
        again = values[:, period : period + 1]
        if np.array_equal(again, first) and np.array_equal(values[:, period:], values[:, : length - period]):
            return values[:, :period], {REPEATED: length - period}
    return values, {}
