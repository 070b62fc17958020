"""The prepared arrays of MAMP and CTR-GCN: one ``.npz`` per benchmark, read and written a clip at a time.

Such a file holds ``x_train``, ``y_train``, ``x_test`` and ``y_test``: clips (N, T, 2·V·3), person-major and padded with
zeros to T frames, or (N, 3, T, V, 2), and their classes, one-hot (N, classes). numpy reads a whole member of an npz (7
to 11 GB here, also with ``mmap_mode``). This module reads and writes members front to back, with one clip in memory.
"""

import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float32, Int64

from maskel.datasets.base import METRES, RawFile, Source, Split
from maskel.datasets.counts import Counts
from maskel.datasets.folder.pose import Pose
from maskel.datasets.interchange import (
    MAX_CLASSES,
    NO_CLIP,
    check_metres,
    check_people,
    is_score,
    main_bodies,
    numbered_classes,
)
from maskel.datasets.ntu import NTU60, NTU120
from maskel.datasets.pku_mmd import PKU1, PKU2
from maskel.datasets.raw_file import bad_file
from maskel.errors import BadFileError, InputError
from maskel.files import npy_header, open_archive, replacing
from maskel.layouts import layout_named
from maskel.sequence import Clip, SkeletonSequence

PARTS = ("train", "test")
BODIES = 2
"""Bodies of every clip of such a file."""
BENCHMARK = re.compile(r"(?:^|[_-])[xc](sub|s|view|v|set)(?:[_-]|$)", re.IGNORECASE)
"""Spellings of benchmarks in file names: NTU60_XSub, NTU60_CS, NTU120_CSet."""
BENCHMARKS = {"sub": "xsub", "s": "xsub", "view": "xview", "v": "xview", "set": "xset"}
MAX_CLIPS = 1_000_000
MAX_CLIP_BYTES = 64 * 2**20
"""Largest sizes read: NTU RGB+D 120 has 63,026 clips of 180 kB in one array."""
LABELS_AT_ONCE = 1024
LOOKED_AT = 32
"""Clips of a file that are checked to tell a score from z."""


class Npz(Source):
    """An npz of MAMP or CTR-GCN, or one that `maskel export npz` wrote.

    Coordinates are kept unchanged (float32; wider ones are rounded). Frames of zeros at a clip's end are padding and
    cut off. Clips with one body have zeros in the second slot, or a copy of the body, as NTU RGB+D 120's published
    script writes; the file's first clip of this kind decides. These clips are stored with one body, all others with
    two, so that the file can be written back bit for bit; (N, 3, T, V, 2) as (N, T, 2·V·3).

    Args:
        layout: Joint layout.
        benchmark: Name of the file's benchmark; by default from the file's name (NTU60_XSub, NTU60_CS, …).
        bodies: Bodies of a clip to keep, 1 or 2.
        actor: Who comes first, and is kept: ``longest`` (seen in most frames), ``motion`` (moves most), ``central``
            (nearest to the middle), ``largest``; by default the file's order, and of one body the longest.

    Raises:
        InputError: If there is no such layout, or options are out of range.
    """

    name: ClassVar[str] = "npz"
    choosing = ("benchmark",)
    one_process: ClassVar[bool] = True

    def __init__(self, layout: str = "ntu25", benchmark: str = "", bodies: int = BODIES, actor: str = "") -> None:
        check_people("npz", bodies, actor)
        self.layout = layout_named(layout)
        self.benchmark = benchmark
        self.bodies = bodies
        self.actor = actor
        self.frames = 0
        self.single_body: Literal["zero", "copy"] = "zero"
        self.label_dtype = ""
        self.labels: Mapping[str, Int64[np.ndarray, " n"]] = {}

    def find(self, roots: Sequence[Path]) -> list[RawFile]:
        """Return the clips of the one file in ``roots``: first the training clips, then the test clips.

        Raises:
            InputError: If there is not exactly one file, or its benchmark has no name.
            BadFileError: If it does not hold the four arrays, or their shapes do not match.
        """
        if len(roots) != 1 or not roots[0].is_file():
            found = ", ".join(map(str, roots))
            raise InputError(
                f"found {found}, expected one .npz file with x_train, y_train, …; prepare stgcn reads folders of .npy "
                "arrays with _label.pkl"
            )
        path = roots[0]
        self.benchmark = self.benchmark or _benchmark(path)
        with ExitStack() as opened:
            names = [f"{axis}_{part}" for axis in "xy" for part in PARTS]
            arrays = {name: opened.enter_context(closing(_Rows(path, name))) for name in names}
            self._check(path, {name: rows.shape for name, rows in arrays.items()})
            self.label_dtype = arrays["y_train"].dtype.str
            self.labels = {part: _labels(path, arrays[f"y_{part}"]) for part in PARTS}
            self.single_body = self._single_body([arrays[f"x_{part}"] for part in PARTS])
            self._question(arrays["x_train"])
        self.frames = _frames(arrays["x_train"].shape)
        self.classes, self.published = _about(path.stem, arrays["y_train"].shape[1])
        known = {int(label) for labels in self.labels.values() for label in labels}
        self.passed = {NO_CLIP: len(self.classes) - len(known)}  # labels may have counted from 1
        return [RawFile(path, f"x_{part}[{clip}]") for part in PARTS for clip in range(len(self.labels[part]))]

    def _check(self, path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Check the four shapes against the layout and each other."""
        width = BODIES * len(self.layout) * 3
        for part in PARTS:
            clips, one_hot = shapes[f"x_{part}"], shapes[f"y_{part}"]
            stgcn = len(clips) == 5 and (clips[1], *clips[3:]) == (3, len(self.layout), BODIES)
            if not stgcn and (len(clips) != 3 or clips[2] != width):
                form = f"(clips, frames, {width}), or (clips, 3, frames, {len(self.layout)}, {BODIES}),"
                expected = f"{form} for {BODIES} bodies of layout {self.layout.name} (--layout NAME)"
                raise _wrong_count(path, f"x_{part}", f"an array of shape {clips}", expected)
            if 0 in clips:
                raise _wrong_count(path, f"x_{part}", f"an array of shape {clips}", "at least one clip and one frame")
            if (len(clips), _frames(clips)) != (len(first := shapes["x_train"]), _frames(first)):
                found = f"{_frames(clips)} frames a clip (shape {clips})"
                raise _wrong_count(path, f"x_{part}", found, f"{_frames(first)}, as x_train has (shape {first})")
            if len(one_hot) != 2 or one_hot[0] != clips[0] or not 1 <= one_hot[1] <= MAX_CLASSES:
                expected = f"one-hot classes of {clips[0]} clips"
                raise _wrong_count(path, f"y_{part}", f"an array of shape {one_hot}", expected)
            if one_hot[1] != (classes := shapes["y_train"][1]):
                raise _wrong_count(path, f"y_{part}", f"{one_hot[1]} classes", f"{classes}, as y_train has")

    def _single_body(self, arrays: "Sequence[_Rows]") -> Literal["zero", "copy"]:
        """Return the content of the second slot in the file's first clip with one body."""
        for rows in arrays:
            for clip in range(len(rows)):
                first, second = self._bodies(rows, clip)
                if (first != 0).any() and not (second != 0).any():
                    return "zero"
                if (first != 0).any() and _equal_bits(first, second):
                    return "copy"
        return "zero"

    def _question(self, rows: "_Rows") -> None:
        """Refuse a file with a score in the place of z, by its first clips."""
        clips = (self._bodies(rows, clip)[..., 2] for clip in range(min(len(rows), LOOKED_AT)))
        with np.errstate(invalid="ignore"):  # a NaN is reported when its clip is read
            scores = [is_score(third) for third in clips if third.any()]
        if scores and all(scores):
            found = "a third number from 0 to 1 throughout, like a score"
            raise BadFileError(f"{rows.path}/{rows.name}", "wrong unit", found, "x, y and z of each joint, in metres")

    def _bodies(self, rows: "_Rows", clip: int) -> Float32[np.ndarray, "2 t v 3"]:
        row = rows.read(clip, 1)[0]
        if row.ndim == 4:  # (3, T, V, M)
            return np.ascontiguousarray(row.transpose(3, 1, 2, 0))
        bodies: np.ndarray = row.reshape(len(row), BODIES, len(self.layout), 3).swapaxes(0, 1)
        return bodies

    def read(self, file: RawFile) -> list[SkeletonSequence]:
        """Read one clip; none if it is all zero.

        Raises:
            BadFileError: If the clip is damaged, or a coordinate is not finite.
        """
        array, _, number = file.member.rstrip("]").partition("[")
        part, clip = array.removeprefix("x_"), int(number)
        joints = self._bodies(_kept_open(file.path, array, file.path.stat().st_mtime_ns), clip)
        if not np.isfinite(joints).all():
            raise BadFileError(str(file), "not a number", "a coordinate that is no finite float32", "metres")
        exists = (joints != 0).any(axis=(0, 2, 3))  # (T,)
        if not exists.any():
            return []
        check_metres(str(file), joints, "multiply millimetres by 0.001")
        joints = np.ascontiguousarray(joints[:, : len(exists) - int(exists[::-1].argmax())])
        alone = _equal_bits(*joints) if self.single_body == "copy" else not joints[1].any()
        known = Clip(f"{part}_{clip:06}", int(self.labels[part][clip]))
        counts: Counts = {}
        if alone:
            joints = joints[:1]
        elif self.actor or self.bodies < BODIES:
            values = np.where((joints != 0).any((2, 3), keepdims=True), joints, np.nan).astype(np.float64)
            chosen = main_bodies(str(file), Pose(values), self.bodies, self.actor)
            joints, counts = np.nan_to_num(chosen.joints).astype(np.float32), chosen.counts
        return [SkeletonSequence(known, joints, self.layout, counts)]

    def benchmarks(self, clips: Sequence[Clip]) -> dict[str, Split]:
        """Return the file's one benchmark."""
        return {self.benchmark: Split.of(clip.name.startswith("train") for clip in clips)}

    def conventions(self, coordinates: int) -> Mapping[str, str]:
        """Return the unit, which is checked; origin and upward direction are not known."""
        return {"unit": METRES}

    def recorded(self) -> dict[str, object]:
        """Return the options that `maskel export npz` needs to write the file back."""
        names = ("benchmark", "frames", "single_body", "label_dtype", "bodies", "actor")
        return {name: getattr(self, name) for name in names}


def _frames(shape: tuple[int, ...]) -> int:
    """Return the frames of a clip in an array (N, T, 2·V·3) or (N, 3, T, V, 2)."""
    return shape[1 if len(shape) == 3 else 2]


def write_npz(
    out: Path,
    parts: Mapping[str, tuple[Iterable[Float32[np.ndarray, "t w"]], Int64[np.ndarray, " n"]]],
    frames: int,
    width: int,
    classes: int,
    label_dtype: str,
) -> None:
    """Write an npz of MAMP's form, one clip in memory; the bytes are those of `numpy.savez`.

    Args:
        out: The file.
        parts: For ``train`` and ``test`` the clips, each (frames, width), and their labels (N,).
        frames: Frames of every clip.
        width: Numbers of a frame, 2·V·3.
        classes: Number of classes.
        label_dtype: Type of the one-hot labels, for example ``<f8``.
    """
    with replacing(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for part, (clips, labels) in parts.items():
            write_rows(archive, f"x_{part}", (len(labels), frames, width), "<f4", clips)
            starts = range(0, len(labels), LABELS_AT_ONCE)
            parts_of = (labels[start : start + LABELS_AT_ONCE, None] for start in starts)
            one_hot = ((part == np.arange(classes)).astype(np.dtype(label_dtype)) for part in parts_of)
            write_rows(archive, f"y_{part}", (len(labels), classes), label_dtype, one_hot)


def write_rows(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: str, rows: Iterable[np.ndarray]
) -> None:
    """Write one array of an npz, with one part of ``rows`` in memory at a time.

    Args:
        archive: The npz.
        name: Name of the array.
        shape: Shape of the whole array.
        dtype: Type of the array and of ``rows``, for example ``<f4``.
        rows: Parts of it along the first axis, in order.
    """
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, {"descr": dtype, "fortran_order": False, "shape": shape})
        for part in rows:
            member.write(part.tobytes())


class _Rows:
    """Reader for the rows of one array of an npz; numpy parses its header without running code of the file."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        with ExitStack() as opened:
            with bad_file(f"{path}/{name}", "an npz"):
                self._archive = opened.enter_context(open_archive(path))
                if f"{name}.npy" not in self._archive.namelist():
                    found = f"no such array, but {', '.join(self._archive.namelist()[:12])[:200] or 'nothing'}"
                    raise _wrong_count(path, name, found, "an npz with x_train, y_train, x_test and y_test")
                member = self._archive.getinfo(f"{name}.npy")
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise ValueError("it is neither stored nor deflated")
                self._stream = opened.enter_context(self._archive.open(member))
                assert isinstance(self._stream, zipfile.ZipExtFile)
                self.shape, fortran, self.dtype = npy_header(self._stream)
                if self.dtype.kind not in "fiub" or self.dtype.itemsize > 8 or fortran or not self.shape:
                    what = f"{self.dtype} of shape {self.shape} in {'Fortran' if fortran else 'C'} order"
                    raise ValueError(f"{what}, where plain numbers in C order are read")
                self._start = self._stream.tell()
                size = member.file_size - self._start
            self._row_bytes = prod(self.shape[1:]) * self.dtype.itemsize
            if len(self) > MAX_CLIPS or self._row_bytes > MAX_CLIP_BYTES:
                expected = f"at most {MAX_CLIPS:,} clips of {MAX_CLIP_BYTES:,} bytes"
                raise _wrong_count(path, name, f"an array of shape {self.shape}", expected)
            if size != (expected_bytes := len(self) * self._row_bytes):
                raise _wrong_count(path, name, f"{size} bytes", f"{expected_bytes}, for shape {self.shape}")
            opened.pop_all()

    def close(self) -> None:
        self._stream.close()
        self._archive.close()

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, first: int, count: int) -> np.ndarray:
        """Read rows [first, first + count); coordinates as float32, labels unchanged.

        Raises:
            BadFileError: If the member is damaged.
        """
        with bad_file(f"{self.path}/{self.name}", "an npz"):
            self._stream.seek(self._start + first * self._row_bytes)  # reads what lies before
            content = self._stream.read(count * self._row_bytes)
            if len(content) != count * self._row_bytes:
                raise EOFError("it ends early")
        rows = np.frombuffer(content, self.dtype).reshape(count, *self.shape[1:])
        with np.errstate(over="ignore", invalid="ignore"):
            return rows.astype(np.float32, copy=False) if len(self.shape) > 2 else rows


@lru_cache(maxsize=1)
def _kept_open(path: Path, name: str, modified: int) -> _Rows:
    """Open the array and keep it open for the next clips; ``modified`` distinguishes versions of a file."""
    return _Rows(path, name)


def _labels(path: Path, rows: _Rows) -> Int64[np.ndarray, " n"]:
    """Read the classes of all clips from one-hot rows."""
    clips = len(rows)
    labels = np.empty(clips, dtype=np.int64)
    for first in range(0, clips, LABELS_AT_ONCE):
        one_hot = rows.read(first, min(LABELS_AT_ONCE, clips - first))
        wrong = ((one_hot == 1).sum(1) != 1) | ((one_hot != 0).sum(1) != 1)
        if wrong.any():
            clip = first + int(wrong.argmax())
            raise BadFileError(
                f"{path}/{rows.name}[{clip}]", "not a number", "a row that is not one-hot", "one 1, zeros else"
            )
        labels[first : first + len(one_hot)] = one_hot.argmax(1)
    return labels


def _equal_bits(first: Float32[np.ndarray, "t v 3"], second: Float32[np.ndarray, "t v 3"]) -> bool:
    return first.tobytes() == second.tobytes()


def _benchmark(path: Path) -> str:
    match = BENCHMARK.search(path.stem)
    if match is None:
        raise InputError(f"the name of {path} does not say its benchmark, as NTU60_XSub.npz does; add --benchmark xsub")
    return BENCHMARKS[match[1].lower()]


def _about(stem: str, classes: int) -> tuple[tuple[str, ...], Mapping[str, tuple[int, int]]]:
    """Return class names and published sizes, if the file's name contains the data set."""
    for prefix, source in (("ntu60", NTU60), ("ntu120", NTU120), ("pkuv1", PKU1), ("pkuv2", PKU2)):
        if stem.lower().startswith(prefix) and classes == len(source.classes):
            return source.classes, source.published
    return numbered_classes(classes), {}


def _wrong_count(path: Path, name: str, found: str, expected: str) -> BadFileError:
    return BadFileError(f"{path}/{name}", "wrong count", found, expected)
