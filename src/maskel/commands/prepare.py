"""``maskel prepare``: reads a data set's raw files in parallel and writes them once as a prepared set."""

import hashlib
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from maskel.commands.benchmark_sizes import BenchmarkSummary, benchmark_summaries, refuse_emptied
from maskel.console import print_table, progress_bar, standard_output
from maskel.datasets.base import RawFile, Source
from maskel.datasets.contents import summed
from maskel.datasets.estimate import require_room
from maskel.datasets.provenance import conversion_to
from maskel.datasets.reading import OURS, Reading, read_all
from maskel.datasets.store_writer import SetWriter, partial_set, refuse_existing
from maskel.datasets.trial import Choice, choose
from maskel.errors import BadFileError, CutOffError, InputError, Stopped
from maskel.files import refuse_inside
from maskel.sequence import UNLABELLED, Clip, SkeletonSequence
from maskel.signals import handled, interrupt
from maskel.text import listed, shown

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
SHOWN_FAULTS = 10


@dataclass(frozen=True)
class PrepareSummary:
    """Summary of what `prepare` read and wrote.

    Args:
        out: The prepared set.
        files: Raw files found.
        clips: Clips written.
        bodies: Bodies of all clips.
        frames: Frames of all clips.
        classes: Number of classes with a clip.
        unlabelled: Clips without a label.
        size: Bytes on disk.
        raw_size: Bytes read.
        seconds: Time taken.
        left_out: Files without a clip: listed as missing, or no body in any frame.
        duplicates: Clips dropped because an earlier clip has the same joints.
        resumed: Files that an interrupted preparation had finished.
        trial: The set was limited to some classes or clips, so that its sizes are not the published ones.
        faults: For each kind of fault the number of bad files.
        first_faults: The first bad files, a sentence each.
        benchmarks: For each benchmark its sizes.
        counts: Counts of what was dropped, filled in or guessed: phrase -> (number, clips with any).
        notes: Counts of what was passed over beside the raw files: phrase -> number.
        conversion: Summary of the layout conversion, where there is one.
        ranges: Labelled ranges of whole recordings; None for a set of clips.
    """

    out: Path
    files: int
    clips: int
    bodies: int
    frames: int
    classes: int
    unlabelled: int
    size: int
    raw_size: int
    seconds: float
    left_out: int
    duplicates: int
    resumed: int
    trial: bool
    faults: Mapping[str, int]
    first_faults: tuple[str, ...]
    benchmarks: Mapping[str, BenchmarkSummary]
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)
    conversion: str = ""
    ranges: int | None = None


def prepare(
    source: Source,
    roots: Sequence[Path],
    out: Path,
    workers: int = CORES,
    strict: bool = False,
    drop_duplicates: bool = False,
    classes: Sequence[str] = (),
    max_clips: int | None = None,
    benchmarks: Sequence[str] = (),
    to_layout: str | None = None,
) -> PrepareSummary:
    """Read every raw file below ``roots`` and write the prepared set ``out``; the result is the same for any workers.

    If it is interrupted, finished files stay in the folder ``OUT.partial``, and the same call resumes. The set then
    equals one that was written at once, byte for byte.

    Args:
        source: The data set.
        roots: Folders, or archives, that hold its raw files.
        out: Folder to write; must not exist. Nothing is left of it if the input is wrong.
        workers: Processes that read; >= 1.
        strict: Stop at the first bad file instead of leaving it out and counting it.
        drop_duplicates: Leave out clips whose joints equal those of an earlier clip bit for bit.
        classes: For a trial set: names or numbers, from 1, of the classes to keep. Labels become dense.
        max_clips: For a trial set: most clips to keep, spread over classes and both sides of every benchmark.
        benchmarks: Benchmarks to write; all by default.
        to_layout: Joint layout of the set, if not the source's own; the summary says what is invented and lost.

    Raises:
        InputError: If ``out`` exists, lies in a root or cannot be written, nothing is found, no file gives a clip, a
            class, benchmark or layout is unknown, the joints do not convert, or ``OUT.partial`` was begun with other
            options or files.
        BadFileError: The first bad file, if ``strict``.
        CutOffError: If the disk plainly has no room for the set, judged by a few files.
        Stopped: If Ctrl-C or SIGTERM stopped it after some file was read.

    Examples:
        >>> from maskel.datasets import Synthetic
        >>> summary = prepare(Synthetic(), [Path("raw")], Path("trial"), workers=1, max_clips=5)
        >>> summary.clips, summary.faults
        (5, {})
    """
    start = time.perf_counter()
    refuse_existing(out)
    if workers < 1:
        raise InputError(f"found {workers} workers, expected at least 1")
    refuse_inside(out, roots)
    files = source.find(roots)
    if not files:
        raise InputError(f"found no file of {source.name} in {', '.join(map(str, roots))}; check the folder")
    source_benchmarks = source.all_benchmarks([])
    if unknown := [name for name in benchmarks if name not in source_benchmarks]:
        raise InputError(f"{source.name} has no benchmark called {unknown[0]!r}; it has: {listed(source_benchmarks)}")
    if source.untrimmed and classes:
        raise InputError(f"{source.name}: whole recordings hold all classes; leave --classes or --untrimmed out")
    choice = choose(source, files, classes, max_clips)
    kept_classes = tuple(source.classes[label] for label in choice.labels if label != UNLABELLED)
    converted = conversion_to(source, to_layout)
    layout = converted.target if converted else source.layout
    tally = _Tally(drop_duplicates)
    workers = 1 if source.one_process else workers
    options = source.recorded() | {
        "drop_duplicates": drop_duplicates,
        "classes": kept_classes if classes else (),
        "max_clips": max_clips,
        "benchmarks": benchmarks,
        "to_layout": to_layout,
    }
    sizes = list(_file_sizes(choice.files))
    job = {"strict": strict, "files": _fingerprint(choice.files)}
    begun = partial_set(out)
    at_hand = float(sum(part.stat().st_size for part in begun.glob("*/*")))
    require_room(source, choice.files, sizes, out, at_hand, partial(_chosen, choice=choice), len(layout))
    with (
        handled(interrupt, signal.SIGTERM),
        SetWriter(
            out, layout, kept_classes, source.name, options, source.channels, job=job, untrimmed=source.untrimmed
        ) as writer,
        progress_bar("files  {task.fields[read]:.0f} MB  {task.fields[speed]:.1f} MB/s") as progress,
        _what_is_done_is_kept(writer, len(choice.files)),
    ):
        resumed = writer.recorded
        for note in writer.recovered:
            tally.count(note)
        task = progress.add_task("prepare", total=len(choice.files), completed=resumed, read=0.0, speed=0.0)
        read = 0.0
        with closing(read_all(source, choice.files[resumed:], workers)) as readings:
            for done, reading in enumerate(readings, resumed):
                if strict and isinstance(reading, BadFileError):
                    raise RuntimeError(str(reading)) if reading.kind == OURS else reading
                sequences, note = tally.sift(_chosen(reading, choice))
                for sequence in sequences:
                    if converted:
                        sequence = replace(sequence, joints=converted.apply(sequence.joints), layout=layout)
                    writer.add(sequence)
                tally.count(note)
                writer.record(note)
                read += sizes[done] / 1e6
                progress.update(task, advance=1, read=read, speed=read / (time.perf_counter() - start))
        if not writer.clips:
            raise InputError(f"none of the {len(choice.files)} files gives a clip; {tally.why_none()}")
        splits = {
            name: split
            for name, split in source.all_benchmarks(writer.clips).items()
            if name in (benchmarks or source_benchmarks)
        }
        refuse_emptied(source, choice, splits, tally.why_left_out())
        writer.finish(splits)
    trial = bool(classes) or max_clips is not None
    return PrepareSummary(
        out=out,
        files=len(choice.files),
        clips=len(writer.clips),
        bodies=sum(bodies for bodies, _ in writer.sizes),
        frames=sum(frames for _, frames in writer.sizes),
        classes=len(
            {clip.label for clip in writer.clips} - {UNLABELLED} | {one.label for of in writer.ranges for one in of}
        ),
        unlabelled=sum(
            clip.label == UNLABELLED and not ranges for clip, ranges in zip(writer.clips, writer.ranges, strict=True)
        ),
        ranges=sum(map(len, writer.ranges)) if source.untrimmed else None,
        size=sum(path.stat().st_size for path in out.iterdir()),
        raw_size=round(sum(sizes)),
        seconds=time.perf_counter() - start,
        left_out=tally.left_out,
        duplicates=len(tally.duplicates),
        resumed=resumed,
        trial=trial,
        faults=dict(tally.faults),
        first_faults=tuple(map(str, tally.first_faults)),
        benchmarks=benchmark_summaries(source, kept_classes, writer.clips, splits, tally.duplicates, trial),
        counts=summed(writer.counts),
        notes=dict(source.notes()),
        conversion=converted.describe() if converted else "",
    )


@contextmanager
def _what_is_done_is_kept(writer: SetWriter, files: int) -> Iterator[None]:
    """Tell the user that the same command resumes an interrupted preparation, once a file is finished."""
    try:
        yield
    except KeyboardInterrupt:
        if not writer.recorded:
            raise
        raise Stopped(
            f"stopped after {writer.recorded:,} of {files:,} files; {writer.partial} keeps them, "
            "and the same command continues"
        ) from None
    except CutOffError as error:
        if not writer.recorded:
            raise
        raise CutOffError(
            f"{error}; {writer.partial} keeps the finished files, and the same command continues"
        ) from error


def _chosen(reading: Reading, choice: Choice) -> Reading:
    """Keep the chosen clips of a file, with their labels in the set."""
    if isinstance(reading, BadFileError):
        return reading
    kept = [sequence for sequence in reading if choice.keeps(sequence.clip)]
    return [
        sequence
        if (label := choice.labels[sequence.clip.label]) == sequence.clip.label
        else replace(sequence, clip=replace(sequence.clip, label=label))
        for sequence in kept
    ]


@dataclass
class _Tally:
    """Counts what becomes of each file."""

    drop_duplicates: bool
    left_out: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    first_faults: list[BadFileError] = field(default_factory=list)
    duplicates: list[Clip] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def sift(self, reading: Reading) -> tuple[list[SkeletonSequence], dict[str, Any]]:
        """The clips of one file that go into the set, and a note of what became of the file, as JSON can hold it."""
        if isinstance(reading, BadFileError):
            return [], {"fault": [str(reading.path), reading.kind, reading.found, reading.expected, reading.line]}
        kept: list[SkeletonSequence] = []
        note: dict[str, Any] = {"clips": len(reading), "duplicates": [], "contents": []}
        for sequence in reading:
            if self.drop_duplicates:
                joints = sequence.joints
                content = hashlib.blake2b(str(joints.shape).encode() + joints.tobytes(), digest_size=16).hexdigest()
                if content in self.seen or content in note["contents"]:
                    note["duplicates"].append(astuple(sequence.clip))
                    continue
                note["contents"].append(content)
            kept.append(sequence)
        return kept, note

    def count(self, note: Mapping[str, Any]) -> None:
        """Adds one file, from this run or an interrupted one."""
        if fault := note.get("fault"):
            error = BadFileError(*fault)
            self.faults[error.kind] += 1
            if len(self.first_faults) < SHOWN_FAULTS:
                self.first_faults.append(error)
            return
        self.left_out += not note["clips"]
        self.duplicates += [Clip(*clip) for clip in note["duplicates"]]
        self.seen.update(note["contents"])

    def why_none(self) -> str:
        if self.first_faults:
            return self.why_left_out()
        return "all are listed as missing or have no body in any frame"

    def why_left_out(self) -> str:
        first = f"; the first bad one: {self.first_faults[0]}" if self.first_faults else ""
        return f"{self.faults.total()} are bad, {self.left_out} left out{first}"


def _file_sizes(files: Sequence[RawFile]) -> Iterator[float]:
    """Bytes of each file; a member of an archive counts as an equal share of the archive."""
    members = Counter(file.path for file in files if file.member)
    archives = {path: path.stat().st_size / count for path, count in members.items()}
    for file in files:
        try:
            if file.member:
                yield archives[file.path]
            else:  # a file, or the files in a folder that is one clip
                parts = file.path.iterdir() if file.path.is_dir() else file.parts or (file.path,)
                yield float(sum(part.stat().st_size for part in parts))
        except OSError:
            yield 0.0  # reading it reports the fault


def _fingerprint(files: Sequence[RawFile]) -> str:
    """Stands for the names, sizes and times of the files."""
    state: dict[Path, str] = {}
    content = hashlib.blake2b(digest_size=16)
    for file in files:
        for path in filter(None, (file.path, file.labels, *file.parts)):
            if path not in state:
                try:
                    status = path.stat()
                    state[path] = f"{path.absolute()} {status.st_size} {status.st_mtime_ns}"
                except OSError:
                    state[path] = f"{path.absolute()} unreadable"  # reading it reports the fault
            content.update(f"{state[path]} {file.member}\n".encode(errors="surrogateescape"))
    return content.hexdigest()


def show(summary: PrepareSummary, options: Mapping[str, Any]) -> None:
    """Prints what was read and written, each benchmark's sizes beside the published ones, and the first bad files."""
    console = standard_output()
    megabytes, raw = summary.size / 1e6, summary.raw_size / 1e6
    labelled = f", {summary.unlabelled:,} of them without a label" if summary.unlabelled else ""
    from_files, of_classes = f"{labelled}, from {summary.files:,} files", f"of {summary.classes} classes"
    if summary.ranges is None:
        rows = [("clips", f"{summary.clips:,} {of_classes}{from_files}")]
    else:
        rows = [
            ("recordings", f"{summary.clips:,}{from_files}"),
            ("labelled ranges", f"{summary.ranges:,} {of_classes}"),
        ]
    speed = "" if summary.resumed else f", {raw / max(summary.seconds, 1e-6):,.1f} MB/s"
    bad = ", ".join(f"{kind} {count:,}" for kind, count in sorted(summary.faults.items()))
    rows += [
        ("bodies", f"{summary.bodies:,}"),
        ("frames", f"{summary.frames:,}"),
        ("size", f"{megabytes:,.1f} MB, {megabytes / max(raw, 1e-6):.1%} of {raw:,.1f} MB raw"),
        ("time", f"{summary.seconds:,.1f} s{speed}"),
        ("resumed", f"{summary.resumed:,} files had been read before" if summary.resumed else ""),
        ("left out", f"{summary.left_out:,} files (listed as missing, or no body in any frame)"),
        ("duplicates", f"{summary.duplicates:,} clips dropped" if summary.duplicates else ""),
        ("bad files", f"{sum(summary.faults.values()):,}" + (f" ({bad})" if bad else "")),
        *((what, f"{number:,}") for what, number in summary.notes.items()),
        *((what, f"{number:,}, in {clips:,} clips") for what, (number, clips) in summary.counts.items()),
        ("layout", summary.conversion),
    ]
    print_table(console, ("", ""), [row for row in rows if row[1]], f"prepared set {summary.out}")
    columns = ("train", "test", *(["without a label"] if summary.unlabelled else []))
    sizes: list[tuple[str, ...]] = []
    for name, benchmark in summary.benchmarks.items():
        published = _pair(benchmark.published) if benchmark.published else "trial set" if summary.trial else "unknown"
        counts = (*benchmark.found, benchmark.unlabelled)[: len(columns)]
        sizes.append((name, *(f"{count:,}" for count in counts), published, _pair(benchmark.duplicates)))
    if summary.benchmarks:
        print_table(console, ("benchmark", *columns, "published", "duplicates dropped"), sizes)
    lines = [f"{name}: {benchmark.note}" for name, benchmark in summary.benchmarks.items() if benchmark.note]
    lines += summary.first_faults
    more = sum(summary.faults.values()) - len(summary.first_faults)
    lines += [f"and {more:,} more bad files"] if more else []
    for line in lines:
        console.print(shown(line), markup=False, highlight=False, soft_wrap=True)


def _pair(sizes: tuple[int, int]) -> str:
    return f"{sizes[0]:,} / {sizes[1]:,}"
