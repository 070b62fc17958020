"""Writes a prepared set: one folder that holds every clip of a data set once, for all its benchmarks.

Only this module and `maskel.datasets.store`, which reads the folder, know its files:

* ``joints.npy``: float32 (R, V, C), one row per body and frame that exists, so that absent bodies and frames cost
  nothing. It is memory-mapped when read. A body counts as absent in a frame when all its coordinates are 0.
* ``segments.npy``: int32 (S, 4), the runs of consecutive frames of one body: clip, body, first frame, number of
  frames; sorted. The rows of the runs follow each other in ``joints.npy``, so that the first row of a run is the sum
  of the lengths before it; storing it would allow the two to disagree.
* ``clips.csv``: one line per clip: name, label, subject, camera, setup, replication, bodies M, frames T.
* ``splits.json``: for each benchmark the positions of its training and test clips, in the published order.
* ``meta.json``: format and version, layout, class names, source with its options, counts.

Equal clips give equal files, byte for byte.
"""

import csv
import json
import secrets
import shutil
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple
from io import BufferedWriter
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from maskel import __version__
from maskel.datasets.base import Split
from maskel.errors import InputError
from maskel.layouts import Layout
from maskel.sequence import Clip, SkeletonSequence

FORMAT = "maskel prepared set"
VERSION = 1
JOINTS, SEGMENTS, CLIPS, SPLITS, META = "joints.npy", "segments.npy", "clips.csv", "splits.json", "meta.json"
CLIP_COLUMNS = ("name", "label", "subject", "camera", "setup", "replication", "bodies", "frames")
MOST_BODIES, MOST_BODY_FRAMES = 100, 2**20
"""Of a clip. A reader takes memory for absent ones too, so a file must not claim what it likes."""
JOINTS_DTYPE = np.dtype("<f4")
SEGMENTS_DTYPE = np.dtype("<i4")


def refuse_existing(out: Path) -> None:
    """Makes sure that a set can be written to ``out`` without touching anything that is there.

    Raises:
        InputError: If ``out`` exists.
    """
    if out.exists() or out.is_symlink():
        raise InputError(f"{out} exists already; remove it or choose another name for the prepared set")


class SetWriter:
    """Streams clips into a prepared set; a context manager.

    Everything is written to a temporary folder beside ``out``, which `finish` renames. If the ``with`` block is left
    without `finish`, by an error or Ctrl-C say, nothing stays behind.

    Args:
        out: Folder to write; must not exist.
        layout: Joint layout of every clip.
        classes: Class names; label i is ``classes[i]``.
        source: Name of the data set's source.
        options: The source's options, for the record; sets are written sorted, paths and the like as text.

    Raises:
        InputError: If ``out`` exists or cannot be written.
    """

    def __init__(
        self, out: Path, layout: Layout, classes: tuple[str, ...], source: str, options: Mapping[str, object]
    ) -> None:
        self.out = out
        self.layout = layout
        self.classes = classes
        self.source = source
        self.options = options
        self.clips: list[Clip] = []
        """The clips added so far; a clip's place is its position in the set."""
        self._names: set[str] = set()
        self._sizes: list[tuple[int, int]] = []  # bodies M and frames T of each clip
        self._segments = array("i")
        self._rows = 0
        self._coordinates = 0  # C, known from the first clip on
        self._header_bytes = 0
        self._folder = out.with_name(f".{out.name}.{secrets.token_hex(4)}.partial")
        self._file: BufferedWriter

    def __enter__(self) -> "SetWriter":
        refuse_existing(self.out)
        with self._writing():
            self.out.parent.mkdir(parents=True, exist_ok=True)
            self._folder.mkdir()
            try:
                self._file = (self._folder / JOINTS).open("wb")
            except BaseException:
                self._remove()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._file.close()
        except OSError:  # a full disk may show again when the last bytes are flushed; they are removed all the same
            pass
        finally:
            self._remove()

    def _remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)  # after `finish` there is no folder of this name

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(f"cannot write the prepared set {self.out}: {error.strerror or error}") from error

    def add(self, sequence: SkeletonSequence) -> None:
        """Appends one clip.

        Raises:
            InputError: If a clip of this name was added before, it is too long, or the disk is full.
            ValueError: If the clip's layout, label or number of coordinates does not fit the set, its name is empty or
                breaks the line, or no body exists in any of its frames.
        """
        clip, joints = sequence.clip, sequence.joints
        exists = (joints != 0).any(axis=(2, 3))  # (M, T)
        if clip.name in self._names:
            raise InputError(
                f"two raw files give a clip called {clip.name}; hand over each folder or archive of the data set once"
            )
        if not clip.name or len(clip.name.splitlines()) != 1:
            raise ValueError(f"clip {clip.name!r}: expected a name of one line")
        if len(joints) > MOST_BODIES or joints.shape[0] * joints.shape[1] > MOST_BODY_FRAMES:
            raise InputError(
                f"clip {clip.name}: found {joints.shape[0]} bodies and {joints.shape[1]} frames, expected at most "
                f"{MOST_BODIES} bodies and {MOST_BODY_FRAMES:,} body-frames; cut it"
            )
        if sequence.layout != self.layout:
            raise ValueError(f"clip {clip.name}: found layout {sequence.layout.name}, expected {self.layout.name}")
        if not 0 <= clip.label < len(self.classes):
            raise ValueError(f"clip {clip.name}: found label {clip.label}, expected 0 to {len(self.classes) - 1}")
        if not exists.any():
            raise ValueError(f"clip {clip.name}: no body exists in any frame; a source leaves such a clip out")
        if self._coordinates not in (0, joints.shape[3]):
            raise ValueError(f"clip {clip.name}: found {joints.shape[3]} coordinates, expected {self._coordinates}")
        runs = _runs(exists)
        clip_column = np.full(len(runs), len(self.clips))
        with self._writing():
            if not self._coordinates:
                self._coordinates = joints.shape[3]
                self._write_header()
            self._file.write(joints[exists].astype(JOINTS_DTYPE, copy=False).tobytes())
        self._segments.extend(np.column_stack((clip_column, runs)).ravel().tolist())
        self._rows += int(exists.sum())
        self._names.add(clip.name)
        self._sizes.append(exists.shape)
        self.clips.append(clip)

    def finish(self, benchmarks: Mapping[str, Split]) -> None:
        """Writes the tables and gives the folder its name.

        Args:
            benchmarks: For each benchmark the positions of its training and test clips.

        Raises:
            InputError: If no clip was added, ``out`` has come to exist, or the disk is full.
            ValueError: If a benchmark names a position that is not in the set.
        """
        if not self.clips:
            raise InputError(f"no clip was found for the prepared set {self.out}; nothing is written")
        for name, split in benchmarks.items():
            positions = split.train + split.test
            if positions and not 0 <= min(positions) <= max(positions) < len(self.clips):
                raise ValueError(f"benchmark {name} names a clip outside 0 to {len(self.clips) - 1}")
        with self._writing():
            self._file.seek(0)
            self._write_header()
            self._file.close()
            segments = np.array(self._segments, dtype=SEGMENTS_DTYPE).reshape(-1, 4)
            np.save(self._folder / SEGMENTS, segments, allow_pickle=False)
            self._write_clips()
            splits = {name: {"train": split.train, "test": split.test} for name, split in benchmarks.items()}
            self._write_json(SPLITS, splits)
            self._write_json(META, self._meta(len(segments)))
            refuse_existing(self.out)
            self._folder.rename(self.out)

    def _write_header(self) -> None:
        # numpy pads the header so that the first dimension can grow in place
        shape = (self._rows, len(self.layout), self._coordinates)
        header = {"descr": JOINTS_DTYPE.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)
        self._header_bytes = self._header_bytes or self._file.tell()
        if self._file.tell() != self._header_bytes:
            raise AssertionError("the header of joints.npy has changed its length")

    def _write_clips(self) -> None:
        with (self._folder / CLIPS).open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(CLIP_COLUMNS)
            table.writerows((*astuple(clip), *size) for clip, size in zip(self.clips, self._sizes, strict=True))

    def _write_json(self, name: str, content: Mapping[str, object]) -> None:
        text = json.dumps(content, default=_plain, separators=(",", ":") if name == SPLITS else None)
        (self._folder / name).write_text(text + "\n", encoding="utf-8")

    def _meta(self, segments: int) -> dict[str, object]:
        return {
            "format": FORMAT,
            "version": VERSION,
            "maskel": __version__,
            "layout": self.layout.name,
            "coordinates": self._coordinates,
            "classes": self.classes,
            "source": self.source,
            "options": dict(self.options),
            "counts": {"clips": len(self.clips), "segments": segments, "rows": self._rows},
        }


def _plain(value: object) -> object:
    """An option as JSON can hold it; sets are sorted, so that equal options give equal files."""
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)


def _runs(exists: Bool[np.ndarray, "m t"]) -> Int64[np.ndarray, "s 3"]:
    """Runs of consecutive frames of one body: body, first frame, number of frames; sorted by body and frame."""
    edges = np.diff(np.pad(exists, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    body, first = np.nonzero(edges == 1)
    end = np.nonzero(edges == -1)[1]
    return np.column_stack((body, first, end - first))
