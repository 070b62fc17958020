"""Reader of a prepared set: clips of any length and number of bodies, memory-mapped, with the benchmarks' splits.

`maskel.datasets.store_writer` describes the files of the folder. Opening reads the tables, but no joints; processes
that open the same set share its memory pages.
"""

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from jaxtyping import Float32, Int64

from maskel.datasets import store_tables as tables
from maskel.datasets import store_writer as files
from maskel.datasets.base import Split
from maskel.datasets.batches import ClipRows
from maskel.display import Displayed
from maskel.errors import InputError
from maskel.files import damaged_as, one_line
from maskel.layouts import Layout, layout_named
from maskel.sequence import (
    UNLABELLED,
    XYZ,
    Channels,
    Clip,
    LabelledRange,
    SingleBody,
    SkeletonBatch,
    SkeletonSequence,
    num_coordinates,
)
from maskel.text import listed
from maskel.transforms import ViewFrames

MOST_NAME_BYTES = 512 * 2**20
"""Memory of the names of clips in one array of numpy's, where each takes as much as the longest."""


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


class SkeletonSet(Displayed):
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
        untrimmed: Its clips are whole recordings, with labelled ranges in place of one label.
        ranges: Of an untrimmed set the labelled ranges of each recording, by its own frames; else empty.

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
        meta = tables.read_meta(path / files.META)
        self.layout: Layout = layout_named(meta["layout"])
        self.classes: tuple[str, ...] = tuple(meta["classes"])
        self.source: str = meta["source"]
        self.options: dict[str, Any] = meta["options"]
        self.channels: Channels = tuple(meta.get("channels", XYZ))
        self.coordinates = num_coordinates(self.channels)
        counts = meta["counts"]
        self._columns = tables.read_clips(path / files.CLIPS, counts["clips"])
        self.labels = np.array(self._columns["label"], np.int64)
        self.bodies = np.array(self._columns["bodies"], np.int64)
        self.frames = np.array(self._columns["frames"], np.int64)
        tables.require((self.bodies >= 1).all() and (self.frames >= 1).all(), files.CLIPS, "a clip without frames")
        fits = (self.bodies <= files.MOST_BODIES) & (self.frames <= files.MOST_BODY_FRAMES // self.bodies)
        tables.require(fits.all(), files.CLIPS, "a clip with more bodies or frames than a set may hold")
        in_classes = (self.labels >= UNLABELLED) & (self.labels < len(self.classes))
        tables.require(in_classes.all(), files.CLIPS, f"a label outside {UNLABELLED} to {len(self.classes) - 1}")
        first_frames, end_frames = (np.array(self._columns[name], np.int64) for name in ("first_frame", "end_frame"))
        ordered = (first_frames >= 0) & (first_frames <= end_frames)
        tables.require(ordered.all(), files.CLIPS, "a clip that ends before its first frame")
        self.max_bodies = int(self.bodies.max())
        segments = tables.map_array(path / files.SEGMENTS, files.SEGMENTS_DTYPE, (counts["segments"], 4))
        self._segments = np.array(segments, np.int64)
        tables.check_segments(self._segments, self.bodies, self.frames, counts["rows"])
        self.valid_frames = tables.count_valid_frames(self._segments, self.frames)
        tables.require((self.valid_frames >= 1).all(), files.SEGMENTS, "a clip in which no body exists")
        joints_shape = (counts["rows"], len(self.layout), len(self.channels))
        self._joints = np.asarray(tables.map_array(path / files.JOINTS, files.JOINTS_DTYPE, joints_shape))
        with warnings.catch_warnings():  # nothing writes to it
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            table = torch.from_numpy(self._joints)  # the same memory, until `keep_on` replaces it
        self._refuse = partial(_refuse_clip, path, self._columns["name"])
        facts = (self.bodies, self.valid_frames, self.labels, self.channels)
        self._batches = ClipRows(table, self._segments, *facts, self._refuse)
        self.counts = tables.read_counts(path / files.COUNTS, len(self)) if meta["version"] > 2 else {}
        self.untrimmed = meta["version"] == files.UNTRIMMED_VERSION
        self.ranges: tuple[tuple[LabelledRange, ...], ...] = ()
        if self.untrimmed:
            self.ranges = tables.read_ranges(path / files.RANGES, self.frames, len(self.classes))
        has_label = np.array(list(map(bool, self.ranges))) if self.untrimmed else self.labels != UNLABELLED
        self.benchmarks: Mapping[str, Split] = tables.read_splits(path / files.SPLITS, has_label)
        for column in (self.labels, self.bodies, self.frames, self.valid_frames):
            column.setflags(write=False)

    @classmethod
    def open(cls, path: Path | str, untrimmed: bool = False) -> "SkeletonSet":
        """Open the prepared set in folder ``path``.

        Args:
            path: The folder.
            untrimmed: Take a set of whole recordings too. Their label is `UNLABELLED`, and what is labelled in them
                stands in ``ranges``.

        Raises:
            InputError: If there is none, it is of another version or untrimmed, or its files are damaged.
        """
        folder = Path(path)
        if not (folder / files.META).is_file():
            what = "does not exist" if not folder.exists() else f"is not a prepared set (it has no {files.META})"
            raise InputError(f"{path} {what}; write one with `maskel prepare`")
        what = f"{path} cannot be read as a prepared set"
        with damaged_as(lambda fault: InputError(f"{what} ({one_line(fault)}); prepare it again"), (InputError,)):
            found = cls(folder)
        if found.untrimmed and not untrimmed:
            raise InputError(
                f"{path} holds whole recordings (maskel prepare --untrimmed), expected clips with one label each; "
                "maskel detect, predict and inspect read it, for everything else prepare a set without --untrimmed"
            )
        return found

    def __reduce__(self) -> tuple[Callable[[Path, bool], "SkeletonSet"], tuple[Path, bool]]:
        return SkeletonSet.open, (self.path.absolute(), self.untrimmed)

    def __len__(self) -> int:
        """Return the number of clips N."""
        return len(self.labels)

    @cached_property
    def clips(self) -> tuple[Clip, ...]:
        """Name, label and origin of each clip."""
        return tuple(map(Clip, *(self._columns[name] for name in files.CLIP_FIELDS)))

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
            names = listed(self.benchmarks) or "none"
            raise InputError(f"{self.path} has no benchmark called {benchmark!r}; it has: {names}")
        if part not in tables.PARTS:
            raise InputError(f"benchmark {benchmark} has no part called {part!r}; it has: {', '.join(tables.PARTS)}")
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
        start, end = self._batches.bounds[position : position + 2]
        segments, rows = self._segments[start:end].tolist(), self._batches.rows[start:end].tolist()
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
        bounds = self._batches.bounds
        clip, body, first, length = self._segments[bounds[start] : bounds[stop]].T
        row = self._batches.rows[bounds[start]]
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
