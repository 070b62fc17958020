"""Reader of a prepared set: clips of any length and number of bodies, memory-mapped, with the benchmarks' splits.

`maskel.datasets.store_writer` describes the files of the folder. Opening reads the tables, but no joints; processes
that open the same set share its memory pages.
"""

import hashlib
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from jaxtyping import Float32, Int64

from maskel.datasets import store_writer as files
from maskel.datasets.base import Split
from maskel.datasets.batches import ClipRows
from maskel.errors import InputError
from maskel.files import damaged_as, map_npy, one_line, read_json, read_rows
from maskel.layouts import Layout, layout_named
from maskel.sequence import (
    CHANNELS,
    UNLABELLED,
    XYZ,
    Channels,
    Clip,
    SingleBody,
    SkeletonBatch,
    SkeletonSequence,
    num_coordinates,
)
from maskel.transforms import ViewFrames

MOST_TEXT = 4096
"""Characters of a name, or any other field of a table of clips; no path is longer."""
MOST_NAME_BYTES = 512 * 2**20
"""Memory of the names of clips in one array of numpy's, where each takes as much as the longest."""
PARTS = tuple(field.name for field in fields(Split))


def names_hash(names: Sequence[str]) -> str:
    """Return a hash of clips' names and their order: 16 hexadecimal digits of SHA-256.

    Examples:
        >>> names_hash(["S001C001P001R001A001", "S001C001P001R001A002"])
        '4bd1dc59f8d4bf81'
    """
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def text_array(texts: Sequence[str]) -> np.ndarray:
    """Make an array of texts; each takes as much memory as the longest.

    Raises:
        InputError: If that is more than `MOST_NAME_BYTES`.
    """
    longest = max(texts, key=len, default="")
    if 4 * len(longest) * len(texts) > MOST_NAME_BYTES:
        raise InputError(
            f"{len(texts):,} names take too much memory where each has room for the longest, of {len(longest):,} "
            f"characters ({longest[:40]} ...); shorten it"
        )
    return np.array(texts, dtype=np.str_)


@dataclass(frozen=True)
class BodyFrames:
    """Bodies of a range of clips in all frames in which they exist, sorted by clip, body and frame.

    Args:
        joints: (R, V, C) float32 coordinates, as in the set; not finite if the set is damaged.
        clip: (R,) position of the clip.
        body: (R,) number of the body in its clip.
        frame: (R,) frame, from 0.
    """

    joints: Float32[np.ndarray, "r v c"]
    clip: Int64[np.ndarray, " r"]
    body: Int64[np.ndarray, " r"]
    frame: Int64[np.ndarray, " r"]


class SkeletonSet:
    """A prepared data set, as written by `maskel prepare`; opened with `SkeletonSet.open`.

    Pickles by its path: a process that receives it opens the folder again.

    Attributes:
        path: Its folder.
        layout: Joint layout of every clip.
        classes: Class names; label i is ``classes[i]``.
        channels: Names of the C numbers of a joint.
        coordinates: Number of coordinates among them.
        source: Name of its source.
        options: The source's options.
        frames: (N,) frames T of each clip.
        valid_frames: (N,) number of frames in which any body exists: the published valid length.
        bodies: (N,) bodies M of each clip, as recorded.
        labels: (N,) class of each clip; `UNLABELLED` if it is not known.
        max_bodies: Most bodies of any clip.
        benchmarks: For each benchmark its training, test and unlabelled clips, by position.
        counts: Dropped, filled-in or guessed items: position of the clip -> phrase -> number.

    Examples:
        >>> dataset = SkeletonSet.open("set")
        >>> len(dataset), dataset.layout.name, dataset.channels
        (26, 'ntu25', ('x', 'y', 'z'))
        >>> dataset.classes[:3]
        ('waving', 'drinking', 'kicking')
        >>> dataset.clips[0].name, dataset.class_name(0)
        ('S001C001P001R001A001', 'waving')
        >>> list(dataset.benchmarks)
        ['xsub', 'xview', 'xset']
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        meta = _read_meta(path / files.META)
        self.layout: Layout = layout_named(meta["layout"])
        self.classes: tuple[str, ...] = tuple(meta["classes"])
        self.source: str = meta["source"]
        self.options: dict[str, Any] = meta["options"]
        self.channels: Channels = tuple(meta.get("channels", XYZ))
        self.coordinates = num_coordinates(self.channels)
        counts = meta["counts"]
        self._columns = _read_clips(path / files.CLIPS, counts["clips"])
        self.labels = _integers(self._columns["label"])
        self.bodies = _integers(self._columns["bodies"])
        self.frames = _integers(self._columns["frames"])
        _require(bool((self.bodies >= 1).all() and (self.frames >= 1).all()), files.CLIPS, "a clip without frames")
        fits = (self.bodies <= files.MOST_BODIES) & (self.frames <= files.MOST_BODY_FRAMES // self.bodies)
        _require(bool(fits.all()), files.CLIPS, "a clip with more bodies or frames than a set may hold")
        in_classes = bool((self.labels >= UNLABELLED).all() and (self.labels < len(self.classes)).all())
        _require(in_classes, files.CLIPS, f"a label outside {UNLABELLED} to {len(self.classes) - 1}")
        self._first_frames = _integers(self._columns["first_frame"])
        self._end_frames = _integers(self._columns["end_frame"])
        ordered = bool(((self._first_frames >= 0) & (self._first_frames <= self._end_frames)).all())
        _require(ordered, files.CLIPS, "a clip that ends before its first frame")
        self.max_bodies = int(self.bodies.max())
        self._segments = np.array(_map(path / files.SEGMENTS, files.SEGMENTS_DTYPE, (counts["segments"], 4)), np.int64)
        self._rows = np.cumsum(self._segments[:, 3]) - self._segments[:, 3]  # first row of each segment
        _check_segments(self._segments, self.bodies, self.frames, counts["rows"])
        self._bounds = np.searchsorted(self._segments[:, 0], np.arange(len(self) + 1))  # segments of clip i: [i, i + 1)
        self.valid_frames = _valid_frames(self._segments, self.frames)
        _require(bool((self.valid_frames >= 1).all()), files.SEGMENTS, "a clip in which no body exists")
        joints_shape = (counts["rows"], len(self.layout), len(self.channels))
        self._joints = np.asarray(_map(path / files.JOINTS, files.JOINTS_DTYPE, joints_shape))
        with warnings.catch_warnings():  # nothing writes to it
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            table = torch.from_numpy(self._joints)  # the same memory, until `keep_on` replaces it
        self._refuse = partial(_refuse_clip, path, self._columns["name"])
        self._batches = ClipRows(
            table,
            self._segments,
            self._rows,
            self._bounds,
            self.bodies,
            self.valid_frames,
            self.labels,
            self.channels,
            self._refuse,
        )
        self.counts = _read_counts(path / files.COUNTS, len(self)) if meta["version"] > 2 else {}
        self.benchmarks: Mapping[str, Split] = _read_splits(path / files.SPLITS, self.labels)
        for column in (self.labels, self.bodies, self.frames, self.valid_frames):
            column.setflags(write=False)

    @classmethod
    def open(cls, path: Path | str) -> "SkeletonSet":
        """Open the prepared set in folder ``path``.

        Raises:
            InputError: If there is none, it is of another version, or its files are damaged.
        """
        folder = Path(path)
        if not (folder / files.META).is_file():
            what = "does not exist" if not folder.exists() else f"is not a prepared set (it has no {files.META})"
            raise InputError(f"{path} {what}; write one with `maskel prepare`")
        what = f"{path} cannot be read as a prepared set"
        with damaged_as(lambda fault: InputError(f"{what} ({one_line(fault)}); prepare it again"), (InputError,)):
            return cls(folder)

    def __reduce__(self) -> tuple[Callable[[Path], "SkeletonSet"], tuple[Path]]:
        return SkeletonSet.open, (self.path.absolute(),)

    def __len__(self) -> int:
        """Return the number of clips N."""
        return len(self.labels)

    @cached_property
    def clips(self) -> tuple[Clip, ...]:
        """Name, label and origin of each clip."""
        typed = {"label": self.labels, "first_frame": self._first_frames, "end_frame": self._end_frames}
        columns = (typed[name].tolist() if name in typed else self._columns[name] for name in files.CLIP_FIELDS)
        return tuple(map(Clip, *columns))

    def split(self, benchmark: str, part: str) -> Int64[np.ndarray, " n"]:
        """Return the positions of the clips of one part of a benchmark, in the published order.

        Args:
            benchmark: For example ``xsub``.
            part: ``train``, ``test`` or ``unlabelled`` (more clips for pre-training).

        Raises:
            InputError: If the set has no such benchmark or part.

        Examples:
            >>> dataset = SkeletonSet.open("set")
            >>> dataset.split("xsub", "train")[:3], len(dataset.split("xsub", "test"))
            (array([0, 1, 2]), 13)
        """
        if benchmark not in self.benchmarks:
            known = ", ".join(self.benchmarks) or "none"
            raise InputError(f"{self.path} has no benchmark called {benchmark!r}; it has: {known}")
        if part not in PARTS:
            raise InputError(f"benchmark {benchmark} has no part called {part!r}; it has: {', '.join(PARTS)}")
        return np.array(getattr(self.benchmarks[benchmark], part), dtype=np.int64)

    def class_name(self, position: int) -> str:
        """Return the name of a clip's class; ``no label`` if it has none."""
        label = int(self.labels[position])
        return "no label" if label == UNLABELLED else self.classes[label]

    def split_hash(self, benchmark: str, part: str) -> str:
        """Return a hash of the names and the order of a part's clips: 16 hexadecimal digits of SHA-256.

        Raises:
            InputError: If the set has no such benchmark or part.
        """
        return self.names_hash(self.split(benchmark, part))

    def names_hash(self, positions: Int64[np.ndarray, " n"]) -> str:
        """Return the hash of any clips, as `split_hash` does for a part."""
        names = self._columns["name"]
        return names_hash([names[position] for position in positions.tolist()])

    def sequence(self, position: int) -> SkeletonSequence:
        """Return the clip at ``position``, with every coordinate as written (but -0.0 in an absent body is 0.0).

        Raises:
            InputError: If a coordinate is not finite: the file was changed after it was written.

        Examples:
            >>> SkeletonSet.open("set").sequence(0).joints.shape
            (1, 49, 25, 3)
        """
        if not 0 <= position < len(self):
            raise IndexError(f"found position {position}, expected 0 to {len(self) - 1}")
        shape = (int(self.bodies[position]), int(self.frames[position]), *self._joints.shape[1:])
        joints = np.zeros(shape, dtype=np.float32)
        start, end = self._bounds[position : position + 2]
        segments, rows = self._segments[start:end].tolist(), self._rows[start:end].tolist()
        for (_, body, first, length), row in zip(segments, rows, strict=True):
            joints[body, first : first + length] = self._joints[row : row + length]
        if not np.isfinite(joints).all():
            self._refuse(position)
        return SkeletonSequence(self.clips[position], joints, self.layout)

    @property
    def num_body_frames(self) -> int:
        """Number of frames of all bodies of all clips, without absent frames."""
        return len(self._joints)

    def body_frames(self, start: int, stop: int) -> BodyFrames:
        """Return the clips from position ``start`` to before ``stop`` without absent frames; ``joints`` is a view."""
        clip, body, first, length = self._segments[self._bounds[start] : self._bounds[stop]].T
        row = self._rows[self._bounds[start]]
        ends = np.cumsum(length)
        within = np.arange(ends[-1]) - np.repeat(ends - length, length)
        return BodyFrames(
            joints=self._joints[row : row + ends[-1], :, : self.coordinates],
            clip=np.repeat(clip, length),
            body=np.repeat(body, length),
            frame=np.repeat(first, length) + within,
        )

    def gather(
        self,
        positions: Int64[np.ndarray, " b"],
        bodies: int,
        single_body: SingleBody = "zero",
        frames: ViewFrames | None = None,
    ) -> SkeletonBatch:
        """Collate a batch of clips: cut to their valid lengths and padded with zeros to the longest, or seen in a view.

        Args:
            positions: (B,) clips, by position.
            bodies: Bodies M of the batch, >= 1. Of a clip with more, the first M are kept: sources write the main
                actor first.
            single_body: How the second body slot of a single-person clip is filled if M >= 2: zeros (NTU RGB+D 60's
                published scripts), or a copy of the body (NTU RGB+D 120's). ``present`` is False for both.
            frames: The (B, W) frames of a view, on the CPU and inside the valid lengths. Only these frames are read;
                the result equals `resample` of the whole clips.

        If all bodies of a clip come after its valid length, its first body counts as present and is all zero. The batch
        is on the CPU, or on the device of `keep_on`.

        Raises:
            InputError: If a coordinate is not finite: the file was changed after it was written.

        Examples:
            >>> dataset = SkeletonSet.open("set")
            >>> batch = dataset.gather(dataset.split("xsub", "test")[:4], bodies=2)
            >>> batch.joints.shape, batch.labels
            (torch.Size([4, 2, 88, 25, 3]), tensor([0, 1, 2, 3]))
        """
        return self._batches.gather(positions, bodies, single_body, frames)

    @property
    def joint_bytes(self) -> int:
        """Memory that all joints take, on the disk and on a device."""
        return self._joints.nbytes

    def keep_on(self, device: torch.device) -> None:
        """Copy all joints to ``device``: from now on `gather` makes its batches there, bit-equal to those on the CPU.

        Raises:
            InputError: If they do not fit, or a coordinate is not finite.
        """
        try:
            self._batches.keep_on(device)
        except torch.OutOfMemoryError as fault:
            size = self._joints.nbytes / 2**30
            raise InputError(
                f"resident: the joints of {self.path} take {size:.1f} GiB, more than is free on {device}; leave the "
                f"option out"
            ) from fault


def _refuse_clip(path: Path, names: Sequence[str], position: int) -> NoReturn:
    """Refuse a clip whose joints are not finite, at reading: opening a set does not look at the joints."""
    raise InputError(f"{path}: clip {names[position]} holds a coordinate that is not finite; prepare the set again")


def _require(holds: bool, name: str, found: str) -> None:
    if not holds:
        raise ValueError(f"{name} holds {found}")


def _read_meta(path: Path) -> dict[str, Any]:
    meta = read_json(path)
    _require(isinstance(meta, dict) and meta.get("format") == files.FORMAT, path.name, "another format")
    version = meta.get("version")
    known = " or ".join(map(str, files.READABLE))
    _require(version in files.READABLE, path.name, f"version {version} of the set's format, expected {known}")
    counts = [meta["counts"][name] for name in ("clips", "segments", "rows")]
    _require(all(type(count) is int and count >= 1 for count in counts), path.name, "a count that is not one")
    _require(tuple(meta.get("channels", XYZ)) in CHANNELS, path.name, "unknown channels")
    names = [meta["layout"], meta["source"], *meta["classes"]]
    _require(all(isinstance(name, str) for name in names), path.name, "a name that is not text")
    _require(isinstance(meta["classes"], list) and isinstance(meta["options"], dict), path.name, "a wrong type")
    return meta


def _read_clips(path: Path, num_clips: int) -> dict[str, tuple[str, ...]]:
    """Read the columns of the table of clips, as text."""
    lines = read_rows(path)
    _require(tuple(next(lines, ())) == files.CLIP_COLUMNS, path.name, "other columns")
    columns: dict[str, list[str]] = {name: [] for name in files.CLIP_COLUMNS}
    for number, line in enumerate(lines, 1):
        _require(number <= num_clips, path.name, f"more than {num_clips} clips")
        for name, field in zip(columns, line, strict=True):
            _require(len(field) <= MOST_TEXT, path.name, f"a text of {len(field):,} characters")
            columns[name].append(sys.intern(field) if name != "name" else field)
    found = len(columns["name"])
    _require(found == num_clips, path.name, f"{found} clips, expected {num_clips}")
    _require(len(set(columns["name"])) == num_clips, path.name, "a clip twice")
    return {name: tuple(column) for name, column in columns.items()}


def _read_counts(path: Path, num_clips: int) -> dict[int, dict[str, int]]:
    """Read the table of counts: clip -> phrase -> number."""
    counts: dict[int, dict[str, int]] = {}
    lines = read_rows(path)
    _require(tuple(next(lines, ())) == files.COUNT_COLUMNS, path.name, "other columns")
    for clip, what, number in lines:
        _require(0 <= int(clip) < num_clips, path.name, f"a clip outside 0 to {num_clips - 1}")
        _require(0 <= int(number) < 2**63, path.name, "a count that is none")
        _require(len(what) <= MOST_TEXT, path.name, f"a text of {len(what):,} characters")
        counts.setdefault(int(clip), {})[sys.intern(what)] = int(number)
    return counts


def _integers(column: tuple[str, ...]) -> Int64[np.ndarray, " n"]:
    return np.fromiter(map(int, column), dtype=np.int64, count=len(column))


def _map(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Map the array in ``path`` into memory; it must have this type and shape, and nothing may follow it."""
    mapped = map_npy(path)
    fits = mapped.dtype == dtype and mapped.shape == shape and mapped.flags.c_contiguous
    _require(fits, path.name, f"{mapped.dtype} {mapped.shape}, expected {dtype} {shape}")
    return mapped


def _check_segments(
    segments: Int64[np.ndarray, "s 4"], bodies: Int64[np.ndarray, " n"], frames: Int64[np.ndarray, " n"], rows: int
) -> None:
    clip, body, first, length = segments.T
    _require(bool((clip >= 0).all() and (clip < len(bodies)).all()), files.SEGMENTS, "a clip that is not in the set")
    inside = (body >= 0) & (body < bodies[clip]) & (first >= 0) & (length >= 1) & (first + length <= frames[clip])
    _require(bool(inside.all()), files.SEGMENTS, "a body or frame outside its clip")
    _require(int(length.sum()) == rows, files.SEGMENTS, f"{length.sum()} body-frames, expected {rows}")
    same_body = (np.diff(clip) == 0) & (np.diff(body) == 0)
    later = (np.diff(clip) > 0) | ((np.diff(clip) == 0) & (np.diff(body) > 0))
    apart = same_body & (first[1:] >= first[:-1] + length[:-1])
    _require(bool((later | apart).all()), files.SEGMENTS, "segments out of order")


def _valid_frames(segments: Int64[np.ndarray, "s 4"], frames: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Count, for each clip, the frames that any of its segments covers."""
    clip, _, first, length = segments.T
    start = first + (np.cumsum(frames) - frames)[clip]  # on one time line through all clips
    order = np.argsort(start, kind="stable")
    start, end = start[order], (start + length)[order]
    covered_to = np.maximum.accumulate(end)
    covered_before = np.concatenate(([0], covered_to[:-1]))
    fresh = np.maximum(end - np.maximum(start, covered_before), 0)
    return np.bincount(clip[order], weights=fresh, minlength=len(frames)).astype(np.int64)


def _read_splits(path: Path, labels: Int64[np.ndarray, " n"]) -> dict[str, Split]:
    splits = {}
    for benchmark, parts in read_json(path).items():
        known = {"train", "test"} <= set(parts) <= set(PARTS)
        _require(known, path.name, f"other parts than {', '.join(PARTS)} in {benchmark}")
        checked: dict[str, tuple[int, ...]] = {}
        for part, given in parts.items():
            fits = isinstance(given, list) and set(map(type, given)) <= {int}
            _require(fits, path.name, f"something else than positions in {benchmark} {part}")
            positions = np.array(given, dtype=np.int64)
            inside = positions.size == 0 or 0 <= positions.min() <= positions.max() < len(labels)
            _require(bool(inside), path.name, f"a position outside 0 to {len(labels) - 1} in {benchmark} {part}")
            checked[part] = tuple(positions.tolist())
            has_label = labels[positions.astype(np.int64)] != UNLABELLED
            consistent = (~has_label if part == "unlabelled" else has_label).all()
            _require(bool(consistent), path.name, f"clips with and without a label mixed up in {benchmark} {part}")
        splits[benchmark] = Split(**checked)
    return splits
