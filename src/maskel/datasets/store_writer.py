"""Writer of a prepared set: one folder that holds every clip of a data set once, for all its benchmarks.

Only this module and `maskel.datasets.store`, which reads the folder, know its files:

* ``joints.npy``: float32 (R, V, C), one row per body and frame that exists, so that absent bodies and frames cost
  nothing. It is memory-mapped when read. A body counts as absent in a frame when all its coordinates are 0.
* ``segments.npy``: int32 (S, 4), the runs of consecutive frames of one body: clip, body, first frame, number of
  frames; sorted. The rows of the runs follow each other in ``joints.npy``, so that the first row of a run is the sum
  of the lengths before it; storing it would allow the two to disagree.
* ``clips.csv``: one line per clip: the fields of `maskel.sequence.Clip`, then bodies M and frames T.
* ``counts.csv``: dropped, filled-in or guessed items of a clip: its position, a phrase, a number.
* ``ranges.csv``, of untrimmed sets alone: a line for each labelled range of a whole recording: the position of the
  recording, the label, first frame and end.
* ``splits.json``: for each benchmark the positions of its training and test clips, in the published order, and of
  the clips without a label (-1) that pre-training may see, where there are any.
* ``meta.json``: format and version, layout, channels, class names, source with its options, counts.

Equal clips give equal files, byte for byte.

While it is written, the folder is ``set`` in a folder ``OUT.partial``. A job that may be interrupted also writes a
``journal.jsonl`` beside it: a line that describes the job, then a line for each finished raw file. Such a line starts
with its own checksum; then follow the clips, the checksum of their joints, and the caller's note. Joints go to the
operating system before their line. So a complete line that agrees with the joints can be trusted; from the first other
line on, files are read again.
"""

import errno
import json
import os
import secrets
import shutil
import sys
import zlib
from array import array
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, astuple, dataclass, fields
from io import BufferedRandom, FileIO
from pathlib import Path
from typing import Any

import numpy as np

from maskel.datasets.base import Split
from maskel.datasets.windows import stretches
from maskel.errors import CutOffError, InputError
from maskel.files import LOCK, csv_text, json_text, locked
from maskel.layouts import Layout
from maskel.sequence import UNLABELLED, XYZ, Channels, Clip, LabelledRange, SkeletonSequence
from maskel.version import __version__

FORMAT = "maskel prepared set"
VERSION = 3
UNTRIMMED_VERSION = 4
"""Version of sets with labelled ranges; all others are still written as before, for earlier readers."""
READABLE = (2, 3, 4)
"""Readable versions. Version 2 has no table of counts; its clips without a label are of a class ``unlabelled``."""
JOINTS, SEGMENTS, CLIPS, SPLITS, META = "joints.npy", "segments.npy", "clips.csv", "splits.json", "meta.json"
COUNTS, RANGES = "counts.csv", "ranges.csv"
JOURNAL = "journal.jsonl"
IN_USE = "another process is writing {}; wait for it or stop it"
CLIP_FIELDS = tuple(field.name for field in fields(Clip))
CLIP_COLUMNS = (*CLIP_FIELDS, "bodies", "frames")
COUNT_COLUMNS = ("clip", "what", "number")
RANGE_COLUMNS = ("clip", "label", "first_frame", "end_frame")
MOST_BODIES, MOST_BODY_FRAMES = 100, 2**20
"""Limits of a clip. A reader takes memory for absent body-frames too, so a damaged file must not claim any size."""
JOINTS_DTYPE = np.dtype("<f4")
SEGMENTS_DTYPE = np.dtype("<i4")


def partial_set(out: Path) -> Path:
    """Return the folder that holds the set ``out`` until a preparation that can be resumed is finished."""
    return out.with_name(f"{out.name}.partial")


def refuse_existing(out: Path) -> None:
    """Refuse to write a set to ``out`` if anything is there already.

    Raises:
        InputError: If ``out`` exists.
    """
    if out.exists() or out.is_symlink():
        _remove_rest(partial_set(out))
        raise InputError(f"{out} exists already; remove it or choose another name for the prepared set")


def _remove_rest(partial: Path) -> None:
    """Remove what a process left that was killed between giving the finished set its name and tidying up."""
    if (partial / JOURNAL).is_file() and not (partial / "set").exists():
        with suppress(InputError, OSError), locked(partial):
            shutil.rmtree(partial, ignore_errors=True)


@dataclass(eq=False)
class SetWriter:
    """Writer that streams clips into a prepared set; a context manager.

    Everything is written to a temporary folder beside ``out``, which `finish` renames. If the ``with`` block is left
    without `finish`, nothing remains. A ``job`` is the exception: if it is interrupted (by a `CutOffError`, or any
    exception but `InputError`), the recorded files remain, and a writer with the same arguments resumes from there.

    Args:
        out: Folder to write; must not exist.
        layout: Joint layout of every clip.
        classes: Class names; label i is ``classes[i]``, and -1 is none.
        source: Name of the data set's source.
        options: The source's options, for the record; sets are written sorted, paths and the like as text.
        channels: Names of the C numbers of every joint.
        untrimmed: The clips are whole recordings, with labelled ranges in place of one label.
        job: Facts beside the arguments above that identify this preparation, as JSON can hold them; None for a
            preparation that cannot be resumed.

    Raises:
        InputError: If ``out`` exists or cannot be written, or the rest of another job is in the way.
    """

    out: Path
    layout: Layout
    classes: tuple[str, ...]
    source: str
    options: Mapping[str, object]
    channels: Channels = XYZ
    job: Mapping[str, object] | None = None
    untrimmed: bool = False

    def __post_init__(self) -> None:
        self.clips: list[Clip] = []
        """The clips added so far; the index of a clip is its position in the set."""
        self.sizes: list[tuple[int, int]] = []
        """Bodies M and frames T of each clip."""
        self.recovered: list[dict[str, Any]] = []
        """Notes given to `record`, one per raw file, in the interrupted runs that this writer resumes."""
        self.recorded = 0
        """Number of recorded raw files, those of interrupted runs included."""
        self.ranges: list[tuple[LabelledRange, ...]] = []
        """The labelled ranges of each clip."""
        self.counts: list[dict[str, int]] = []
        """Dropped, filled-in or guessed items of each clip: phrase -> number."""
        self._names: set[str] = set()
        self._segments = array("i")
        self._rows = 0
        self._header_bytes = 0
        self._since: list[list[object]] = []  # clips since the last record, with their sizes and runs
        self._checksum = 0  # of the joints since the last record
        name = f".{self.out.name}.{secrets.token_hex(4)}.partial"
        self.partial = self.out.with_name(name) if self.job is None else partial_set(self.out)
        """Folder that holds the set until it is finished."""
        self._folder = self.partial / "set"
        self._file: BufferedRandom
        self._journal: FileIO | None = None
        self._opened = ExitStack()  # the lock, and the journal

    def __enter__(self) -> "SetWriter":
        refuse_existing(self.out)
        with self._writing():
            self.out.parent.mkdir(parents=True, exist_ok=True)
            if self.job is not None and self.partial.exists() and not self._is_ours():
                raise InputError(f"{self.partial} is in the way and is no unfinished set; move or remove it")
            self.partial.mkdir(exist_ok=self.job is not None)
            try:
                if self.job is not None:
                    self._opened.enter_context(locked(self.partial, IN_USE))
                lines = self._open_journal()
                self._folder.mkdir(exist_ok=True)
                joints = self._folder / JOINTS
                joints.touch()
                self._file = joints.open("r+b")
                self._write_header()
                self._recover(lines)
            except BaseException:
                if self.job is None:
                    self._remove()
                self._opened.close()
                raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        wrong = kind is None or (issubclass(kind, InputError) and not issubclass(kind, CutOffError))
        try:
            self._file.close()
        except OSError:  # a full disk may fail again at the last flush; these bytes are not recorded
            pass
        finally:
            if wrong or self.job is None or not self.recorded:
                self._remove()
            self._opened.close()

    def _is_ours(self) -> bool:
        """Return True if the folder holds an unfinished set, or the rest of a run killed before it began."""
        return (self.partial / JOURNAL).is_file() or {path.name for path in self.partial.iterdir()} <= {LOCK}

    def _remove(self) -> None:
        if sys.platform == "win32":  # Windows cannot remove open files
            self._opened.close()
        shutil.rmtree(self.partial, ignore_errors=True)  # after `finish` there is no such folder

    def _open_journal(self) -> list[bytes]:
        """Open the job's journal and return its complete lines after the first; none for a new job."""
        if self.job is None:
            return []
        self._journal = self._opened.enter_context((self.partial / JOURNAL).open("a+b", buffering=0))
        job = _plain_json({**self._meta(0), "counts": None, **self.job})
        self._journal.seek(0)
        first, *lines = self._journal.read().splitlines(keepends=True) or [b""]
        if not first.endswith(b"\n"):
            self._journal.truncate(0)
            self._journal.write(job)
            return []
        if first != job:
            raise InputError(
                f"{self.partial} holds an unfinished set, but with other {_differences(first, job)}; give the options "
                "and files it was begun with to go on, or remove it to start again"
            )
        return lines

    def _recover(self, lines: list[bytes]) -> None:
        """Resume with the raw files whose lines are complete and agree with the joints; cut off the rest."""
        trusted = 0
        left = self._file.seek(0, os.SEEK_END) - self._header_bytes
        self._file.seek(self._header_bytes)
        for line in lines:
            try:
                seal, _, content = line.partition(b" ")
                if int(seal, 16) != zlib.crc32(content):
                    break
                clips, checksum, note = json.loads(content)
                size = sum(length for *_, runs, _, _ in clips for *_, length in runs) * self._row_bytes
                if not 0 <= size <= left or zlib.crc32(self._file.read(size)) != checksum:
                    break
                for *fields, bodies, frames, runs, counts, ranges in clips:
                    labelled = tuple(LabelledRange(*one) for one in ranges)
                    self._append(Clip(*fields), (bodies, frames), runs, counts, labelled)
            except (ValueError, TypeError):
                break
            self.recovered.append(note)
            left -= size
            trusted += len(line)
        self.recorded = len(self.recovered)
        self._since.clear()
        self._file.seek(self._header_bytes + self._rows * self._row_bytes)
        self._file.truncate()
        if self._journal:
            self._journal.truncate(self._journal.seek(0, os.SEEK_END) - sum(map(len, lines)) + trusted)

    @property
    def _row_bytes(self) -> int:
        return len(self.layout) * len(self.channels) * JOINTS_DTYPE.itemsize

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CutOffError(f"cannot write the prepared set {self.out}: {error.strerror or error}") from error

    def add(self, sequence: SkeletonSequence) -> None:
        """Append one clip.

        Raises:
            InputError: If a clip of this name was added before, it is too long, or the disk is full.
            ValueError: If the clip's layout, label or number of channels does not fit the set, its name is empty or
                breaks the line, or no body exists in any of its frames.
        """
        clip, joints = sequence.clip, sequence.joints
        exists = (joints != 0).any(axis=(2, 3))  # (M, T)
        if clip.name in self._names:
            raise InputError(
                f"two raw files give a clip called {clip.name}; give each folder or archive of the data set once, "
                "and of files that differ in their ending only one"
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
        if not UNLABELLED <= clip.label < len(self.classes):
            raise ValueError(f"clip {clip.name}: found label {clip.label}, expected 0 to {len(self.classes) - 1}")
        if not exists.any():
            raise ValueError(f"clip {clip.name}: no body exists in any frame; a source leaves such a clip out")
        if joints.shape[3] != len(self.channels):
            raise ValueError(f"clip {clip.name}: found {joints.shape[3]} channels, expected {', '.join(self.channels)}")
        if sequence.ranges and not self.untrimmed:
            raise ValueError(f"clip {clip.name}: found labelled ranges, expected none in a set of trimmed clips")
        for one in sequence.ranges:
            inside = 0 <= one.first_frame < one.end_frame <= joints.shape[1]
            if not inside or not 0 <= one.label < len(self.classes):
                raise ValueError(f"clip {clip.name}: found {one}, expected a known class and frames of the recording")
        written = joints[exists].astype(JOINTS_DTYPE, copy=False).tobytes()
        with self._writing():
            self._file.write(written)
        self._checksum = zlib.crc32(written, self._checksum)
        counts = {what: number for what, number in sorted(sequence.counts.items()) if number}
        runs = [[body, first, end - first] for body, seen in enumerate(exists) for first, end in stretches(seen)]
        self._append(clip, exists.shape, runs, counts, sequence.ranges)

    def _append(
        self,
        clip: Clip,
        size: tuple[int, int],
        runs: list[list[int]],
        counts: dict[str, int],
        ranges: tuple[LabelledRange, ...],
    ) -> None:
        """Enter a clip into the tables; its joints are written already."""
        for run in runs:
            self._segments.extend((len(self.clips), *run))
        self._rows += sum(length for *_, length in runs)
        self._names.add(clip.name)
        self.sizes.append(size)
        self.clips.append(clip)
        self.counts.append(counts)
        self.ranges.append(ranges)
        self._since.append([*astuple(clip), *size, runs, counts, [astuple(one) for one in ranges]])

    def record(self, note: dict[str, Any]) -> None:
        """Record in the job's journal that a raw file is done: the clips added since the last record, and ``note``.

        Raises:
            CutOffError: If the disk is full.
        """
        with self._writing():
            self._file.flush()
            if self._journal:
                content = _plain_json([self._since, self._checksum, note])
                line = b"%08x " % zlib.crc32(content) + content
                if self._journal.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.recorded += 1
        self._since.clear()
        self._checksum = 0

    def finish(self, benchmarks: Mapping[str, Split]) -> None:
        """Write the tables and give the folder its name.

        Args:
            benchmarks: Positions of the clips of each benchmark.

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
            splits = {
                name: {part: chosen for part, chosen in asdict(split).items() if chosen or part != "unlabelled"}
                for name, split in benchmarks.items()
            }
            (self._folder / SPLITS).write_bytes(_plain_json(splits))
            meta = json_text(self._meta(len(segments)), default=_plain)
            (self._folder / META).write_bytes(meta.encode())
            refuse_existing(self.out)
            self._folder.rename(self.out)
        self._remove()

    def _write_header(self) -> None:
        # numpy pads the header so that the first dimension can grow in place
        shape = (self._rows, len(self.layout), len(self.channels))
        header = {"descr": JOINTS_DTYPE.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)
        self._header_bytes = self._header_bytes or self._file.tell()
        if self._file.tell() != self._header_bytes:
            raise AssertionError("the header of joints.npy has changed its length")

    def _write_clips(self) -> None:
        clips = ((*astuple(clip), *size) for clip, size in zip(self.clips, self.sizes, strict=True))
        counts = ((clip, *count) for clip, counts in enumerate(self.counts) for count in counts.items())
        (self._folder / CLIPS).write_bytes(csv_text([CLIP_COLUMNS, *clips]).encode())
        (self._folder / COUNTS).write_bytes(csv_text([COUNT_COLUMNS, *counts]).encode())
        if self.untrimmed:
            ranges = ((clip, *astuple(one)) for clip, several in enumerate(self.ranges) for one in several)
            (self._folder / RANGES).write_bytes(csv_text([RANGE_COLUMNS, *ranges]).encode())

    def _meta(self, segments: int) -> dict[str, object]:
        return {
            "format": FORMAT,
            "version": UNTRIMMED_VERSION if self.untrimmed else VERSION,
            "maskel": __version__,
            "layout": self.layout.name,
            "channels": self.channels,
            "classes": self.classes,
            "source": self.source,
            "options": dict(self.options),
            "counts": {"clips": len(self.clips), "segments": segments, "rows": self._rows},
        }


def _plain_json(content: object) -> bytes:
    return json_text(content, default=_plain, separators=(",", ":")).encode()


def _differences(first: bytes, second: bytes) -> str:
    """List the differences between two jobs."""
    try:
        before, now = ({**job, **job["options"], "options": None} for job in map(json.loads, (first, second)))
    except (ValueError, TypeError, KeyError):
        return "content than a journal's"
    differing = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    return ", ".join("version of maskel" if name == "maskel" else name for name in differing)


def _plain(value: object) -> object:
    """Convert an option to a JSON value; sets are sorted, so that equal options give equal files."""
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)
