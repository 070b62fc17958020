"""``maskel prepare``: reads a data set's raw files in parallel and writes them once as a prepared set."""

import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from maskel.conversion import Conversion, conversion
from maskel.datasets.base import RawFile, Source, Split
from maskel.datasets.reading import Reading, read_all
from maskel.datasets.store_writer import SetWriter, refuse_existing
from maskel.errors import BadFileError, InputError
from maskel.layouts import layout_named
from maskel.sequence import Clip, SkeletonSequence

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
SHOWN_FAULTS = 10


@dataclass(frozen=True)
class BenchmarkSummary:
    """Sizes of one benchmark, as (train, test).

    Args:
        found: Clips in the prepared set.
        published: Clips as published; None where no size is.
        duplicates: Clips that were dropped because an earlier clip has the same joints.
        note: The source's explanation of the sizes; may be empty.
    """

    found: tuple[int, int]
    published: tuple[int, int] | None
    duplicates: tuple[int, int]
    note: str


@dataclass(frozen=True)
class PrepareSummary:
    """What `prepare` read and wrote.

    Args:
        out: The prepared set.
        files: Raw files found.
        clips: Clips written.
        bodies: Bodies of all clips.
        frames: Frames of all clips.
        classes: Classes of which there is a clip.
        size: Bytes on disk.
        raw_size: Bytes read.
        seconds: Time taken.
        left_out: Files without a clip: listed as missing, or no body in any frame.
        duplicates: Clips dropped because an earlier clip has the same joints.
        faults: For each kind of fault the number of bad files.
        first_faults: The first bad files, a sentence each.
        benchmarks: For each benchmark its sizes.
        missing_joints: Joints of these bodies and frames that the raw files lack; see the source's options.
        conversion: What became of the source's joints, where the set has another layout.
    """

    out: Path
    files: int
    clips: int
    bodies: int
    frames: int
    classes: int
    size: int
    raw_size: int
    seconds: float
    left_out: int
    duplicates: int
    faults: Mapping[str, int]
    first_faults: tuple[str, ...]
    benchmarks: Mapping[str, BenchmarkSummary]
    missing_joints: int = 0
    conversion: str = ""


def prepare(
    source: Source,
    roots: Sequence[Path],
    out: Path,
    workers: int = CORES,
    strict: bool = False,
    drop_duplicates: bool = False,
    to_layout: str | None = None,
) -> PrepareSummary:
    """Reads every raw file below ``roots`` and writes the prepared set ``out``; the result is the same for any workers.

    Args:
        source: The data set.
        roots: Folders, or archives, that hold its raw files.
        out: Folder to write; must not exist. Nothing is left of it if anything fails.
        workers: Processes that read; >= 1.
        strict: Stop at the first bad file instead of leaving it out and counting it.
        drop_duplicates: Leave out clips whose joints equal those of an earlier clip bit for bit.
        to_layout: Joint layout of the set, if not the source's own; the summary says what is invented and lost.

    Raises:
        InputError: If ``out`` exists or cannot be written, nothing is found, no file gives a clip, or the joints do
            not convert.
        BadFileError: The first bad file, if ``strict``.
    """
    start = time.perf_counter()
    refuse_existing(out)
    if workers < 1:
        raise InputError(f"found {workers} workers, expected at least 1")
    files = source.find(roots)
    if not files:
        raise InputError(f"found no file of {source.name} in {', '.join(map(str, roots))}; check the folder")
    converted = _conversion(source, to_layout)
    layout = converted.target if converted else source.layout
    tally = _Tally(drop_duplicates)
    options = source.recorded() | {"drop_duplicates": drop_duplicates, "to_layout": to_layout}
    workers = 1 if source.one_process else workers
    sizes = _file_sizes(files)
    with (
        SetWriter(out, layout, source.classes, source.name, options, source.channels) as writer,
        _progress() as progress,
        closing(read_all(source, files, workers)) as readings,
    ):
        task = progress.add_task("prepare", total=len(files), read=0.0, speed=0.0)
        for size, reading in zip(sizes, readings, strict=True):
            if strict and isinstance(reading, BadFileError):
                raise reading
            for sequence in tally.kept(reading):
                if converted:
                    sequence = replace(sequence, joints=converted.apply(sequence.joints), layout=layout)
                writer.add(sequence)
            tally.raw_size += size
            read = tally.raw_size / 1e6
            progress.update(task, advance=1, read=read, speed=read / (time.perf_counter() - start))
        if not writer.clips:
            raise InputError(f"none of the {len(files)} files gives a clip; {tally.why_none()}")
        splits = source.benchmarks(writer.clips)
        writer.finish(splits)
    return PrepareSummary(
        out=out,
        files=len(files),
        clips=len(writer.clips),
        bodies=tally.bodies,
        frames=tally.frames,
        classes=len({clip.label for clip in writer.clips}),
        size=sum(path.stat().st_size for path in out.iterdir()),
        raw_size=round(tally.raw_size),
        seconds=time.perf_counter() - start,
        left_out=tally.left_out,
        duplicates=len(tally.duplicates),
        faults=dict(tally.faults),
        first_faults=tuple(map(str, tally.first_faults)),
        benchmarks=_benchmarks(source, splits, writer.clips, tally.duplicates),
        missing_joints=tally.missing_joints,
        conversion=converted.describe() if converted else "",
    )


def _conversion(source: Source, to_layout: str | None) -> Conversion | None:
    if to_layout is None or layout_named(to_layout) == source.layout:
        return None
    if source.may_miss_joints:
        raise InputError(
            "a joint that is missing as zeros cannot be averaged with others; to convert the layout, fill the gaps "
            "(--missing interpolate)"
        )
    return conversion(source.layout, layout_named(to_layout))


@dataclass
class _Tally:
    """Counts what becomes of each file."""

    drop_duplicates: bool
    raw_size: float = 0.0
    bodies: int = 0
    frames: int = 0
    left_out: int = 0
    missing_joints: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    first_faults: list[BadFileError] = field(default_factory=list)
    duplicates: list[Clip] = field(default_factory=list)
    seen: set[bytes] = field(default_factory=set)

    def kept(self, reading: Reading) -> Iterator[SkeletonSequence]:
        """The clips of one file that go into the set."""
        if isinstance(reading, BadFileError):
            self.faults[reading.kind] += 1
            if len(self.first_faults) < SHOWN_FAULTS:
                self.first_faults.append(reading)
            return
        self.left_out += not reading
        for sequence in reading:
            if self.drop_duplicates and self._is_duplicate(sequence):
                self.duplicates.append(sequence.clip)
                continue
            self.bodies += sequence.joints.shape[0]
            self.frames += sequence.joints.shape[1]
            self.missing_joints += sequence.missing_joints
            yield sequence

    def _is_duplicate(self, sequence: SkeletonSequence) -> bool:
        joints = sequence.joints
        content = hashlib.blake2b(str(joints.shape).encode() + joints.tobytes(), digest_size=16).digest()
        if content in self.seen:
            return True
        self.seen.add(content)
        return False

    def why_none(self) -> str:
        if self.first_faults:
            return f"{self.faults.total()} are bad, {self.left_out} left out; the first bad one: {self.first_faults[0]}"
        return "all are listed as missing or have no body in any frame"


def _file_sizes(files: Sequence[RawFile]) -> Iterator[float]:
    """Bytes of each file; a member of an archive counts as an equal share of the archive."""
    members = Counter(file.path for file in files if file.member)
    archives = {path: path.stat().st_size / count for path, count in members.items()}
    for file in files:
        try:
            yield archives[file.path] if file.member else _file_size(file.path)
        except OSError:
            yield 0  # reading it reports the fault


def _file_size(path: Path) -> int:
    """Bytes of a file, or of the files in a folder that is one clip."""
    return sum(file.stat().st_size for file in path.iterdir()) if path.is_dir() else path.stat().st_size


def _benchmarks(
    source: Source, splits: Mapping[str, Split], clips: Sequence[Clip], duplicates: Sequence[Clip]
) -> dict[str, BenchmarkSummary]:
    dropped = source.benchmarks(duplicates) if duplicates else {}
    summaries = {}
    for name, split in splits.items():
        found = _sizes(split)
        published = source.published.get(name)
        note = source.explain(name, found)
        duplicated = _sizes(dropped[name]) if name in dropped else (0, 0)
        summaries[name] = BenchmarkSummary(found, published, duplicated, note)
    return summaries


def _sizes(split: Split) -> tuple[int, int]:
    return len(split.train), len(split.test)


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files  {task.fields[read]:.0f} MB  {task.fields[speed]:.1f} MB/s"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


def show(summary: PrepareSummary, console: Console) -> None:
    """Prints what was read and written, each benchmark's sizes beside the published ones, and the first bad files."""
    table = Table(title=f"prepared set {summary.out}", show_header=False, title_justify="left")
    megabytes, raw = summary.size / 1e6, summary.raw_size / 1e6
    table.add_row("clips", f"{summary.clips:,} of {summary.classes} classes, from {summary.files:,} files")
    table.add_row("bodies", f"{summary.bodies:,}")
    table.add_row("frames", f"{summary.frames:,}")
    table.add_row("size", f"{megabytes:,.1f} MB, {megabytes / max(raw, 1e-6):.1%} of {raw:,.1f} MB raw")
    table.add_row("time", f"{summary.seconds:,.1f} s, {raw / max(summary.seconds, 1e-6):,.1f} MB/s")
    table.add_row("left out", f"{summary.left_out:,} files (listed as missing, or no body in any frame)")
    if summary.duplicates:
        table.add_row("duplicates", f"{summary.duplicates:,} clips dropped")
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(summary.faults.items()))
    table.add_row("bad files", f"{sum(summary.faults.values()):,}" + (f" ({kinds})" if kinds else ""))
    if summary.missing_joints:
        table.add_row("missing joints", f"{summary.missing_joints:,}, counted by body and frame")
    if summary.conversion:
        table.add_row("layout", summary.conversion)
    console.print(table)
    sizes = Table("benchmark", "train", "test", "published", "duplicates dropped")
    for name, benchmark in summary.benchmarks.items():
        published = _pair(benchmark.published) if benchmark.published else "unknown"
        sizes.add_row(name, *(f"{count:,}" for count in benchmark.found), published, _pair(benchmark.duplicates))
    if summary.benchmarks:
        console.print(sizes)
    lines = [f"{name}: {benchmark.note}" for name, benchmark in summary.benchmarks.items() if benchmark.note]
    lines += summary.first_faults
    more = sum(summary.faults.values()) - len(summary.first_faults)
    lines += [f"and {more:,} more bad files"] if more else []
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _pair(sizes: tuple[int, int]) -> str:
    return f"{sizes[0]:,} / {sizes[1]:,}"
