"""Counts of a prepared set's contents, and its benchmarks beside the published sizes."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from maskel.datasets import SOURCES
from maskel.datasets.bodies import Sample, Up, upward, usual_size
from maskel.datasets.store import SkeletonSet


@dataclass(frozen=True)
class BenchmarkSizes:
    """Sizes of one benchmark, as (train, test).

    Args:
        name: Name of the benchmark.
        found: Number of clips in the set.
        published: Published number of clips; None if there is none.
    """

    name: str
    found: tuple[int, int]
    published: tuple[int, int] | None

    @property
    def verdict(self) -> str:
        """Comparison of the two sizes, as text."""
        if self.published is None:
            return "no published size"
        train, test = self.published
        text = f"{train:,} / {test:,}"
        if self.found == self.published:
            return f"{text}, as here"
        return f"{text}; {sum(self.found) / sum(self.published):.1%} of it is here"

    def row(self) -> tuple[str, str, str, str]:
        """Return a row of a table under `BENCHMARK_HEADING`."""
        return self.name, f"{self.found[0]:,}", f"{self.found[1]:,}", self.verdict


BENCHMARK_HEADING = ("benchmark", "train", "test", "published")


@dataclass(frozen=True)
class Contents:
    """Counts of a set.

    Args:
        clips: Number of clips.
        body_frames: Number of frames of all bodies, without absent frames.
        size: Bytes on disk.
        lengths: Shortest, median and longest clip, in frames with a body.
        bodies: Number of bodies -> clips.
        classes: (name, clips) of each class, empty classes included.
        unlabelled: Clips without a label.
        subjects: Subject -> clips; empty where none is known, like ``cameras`` and ``setups``.
        cameras: Camera -> clips.
        setups: Setup -> clips.
        benchmarks: Sizes of the benchmarks.
        counts: Dropped, filled-in or guessed items: phrase -> (total number, number of clips).
        up: The upward direction.
        usual_size: The median size of a body, the diagonal of its bounding box, in the set's unit.
        trial: The options that left clips out on purpose, as text; empty for a whole set.
        untrimmed: The clips are whole recordings, and ``classes`` counts the labelled ranges in them.
    """

    clips: int
    body_frames: int
    size: int
    lengths: tuple[int, float, int]
    bodies: dict[int, int]
    classes: tuple[tuple[str, int], ...]
    unlabelled: int
    subjects: dict[str, int]
    cameras: dict[str, int]
    setups: dict[str, int]
    benchmarks: tuple[BenchmarkSizes, ...]
    counts: dict[str, tuple[int, int]]
    up: Up
    usual_size: float
    trial: str
    untrimmed: bool = False

    def rows(self) -> list[tuple[str, str]]:
        """Return names and values for a table."""
        bodies = ", ".join(f"{number}: {count:,} clips" for number, count in self.bodies.items())
        what = "labelled ranges" if self.untrimmed else "clips"
        rows = [
            ("whole recordings" if self.untrimmed else "clips", f"{self.clips:,}"),
            ("classes", _named(dict(self.classes), what) if self.classes else "none"),
            *([("without a label", f"{self.unlabelled:,} clips")] if self.unlabelled else []),
            *((name, _named(counts)) for name, counts in self.origins().items()),
            ("lengths", "shortest {:,}, median {:g}, longest {:,} frames".format(*self.lengths)),
            ("bodies", bodies),
            ("body-frames", f"{self.body_frames:,}"),
            ("body size", f"{self.usual_size:.3g}, the median diagonal of a body's bounding box"),
            ("up", f"{self.up}: {self.up.why}"),
            *(
                (what, f"{number:,} in {clips:,} clip{'' if clips == 1 else 's'}")
                for what, (number, clips) in self.counts.items()
            ),
            ("size", f"{self.size / 1e6:,.1f} MB"),
        ]
        return [*rows, ("trial set", self.trial)] if self.trial else rows

    def origins(self) -> dict[str, dict[str, int]]:
        """Return the counts of subjects, cameras and setups, by these three words."""
        return {"subjects": self.subjects, "cameras": self.cameras, "setups": self.setups}


TRIAL_OPTIONS = ("classes", "max_clips", "benchmarks", "drop_duplicates")
"""Options of ``maskel prepare`` that leave clips out on purpose."""


def count_contents(dataset: SkeletonSet) -> Contents:
    """Count a set's contents; reads its tables, and the joints of a sample of its clips."""
    sample = Sample.of(dataset)
    source = SOURCES.get(dataset.source)
    published = source.published if source else {}
    labels = dataset.labels
    unlabelled = int(np.count_nonzero(labels < 0))
    if dataset.untrimmed:
        labels = np.array([one.label for ranges in dataset.ranges for one in ranges], dtype=np.int64)
        unlabelled = sum(not ranges for ranges in dataset.ranges)
    counts = np.bincount(labels[labels >= 0], minlength=len(dataset.classes)).tolist()
    bodies, clips_of = np.unique(dataset.bodies, return_counts=True)
    frames = dataset.valid_frames
    return Contents(
        clips=len(dataset),
        body_frames=dataset.num_body_frames,
        size=sum(path.stat().st_size for path in dataset.path.iterdir()),
        lengths=(int(frames.min()), float(np.median(frames)), int(frames.max())),
        bodies=dict(zip(bodies.tolist(), clips_of.tolist(), strict=True)),
        classes=tuple(zip(dataset.classes, counts, strict=True)),
        unlabelled=unlabelled,
        subjects=_counted([clip.subject for clip in dataset.clips]),
        cameras=_counted([clip.camera for clip in dataset.clips]),
        setups=_counted([clip.setup for clip in dataset.clips]),
        benchmarks=tuple(
            BenchmarkSizes(name, (len(split.train), len(split.test)), published.get(name))
            for name, split in dataset.benchmarks.items()
        ),
        counts=summed(dataset.counts.values()),
        up=upward(dataset, sample),
        usual_size=usual_size(sample),
        trial=", ".join(f"{name} {dataset.options[name]}" for name in TRIAL_OPTIONS if dataset.options.get(name)),
        untrimmed=dataset.untrimmed,
    )


def summed(counts: Iterable[Mapping[str, int]]) -> dict[str, tuple[int, int]]:
    """Return, for each phrase, the sum over the counts of all clips and the number of clips; sorted by phrase."""
    sums: Counter[str] = Counter()
    clips: Counter[str] = Counter()
    for clip_counts in counts:
        sums.update(clip_counts)
        clips.update(clip_counts.keys())
    return {what: (sums[what], clips[what]) for what in sorted(sums)}


def _counted(names: list[str]) -> dict[str, int]:
    """Count the clips of each name; numbers in numerical order, without empty names."""
    counts = Counter(name for name in names if name)
    return {name: counts[name] for name in sorted(counts, key=lambda name: (len(name) * name.isdecimal(), name))}


def _named(counts: dict[str, int], what: str = "clips") -> str:
    if not counts:
        return "unknown"
    fewest, most = min(counts.values()), max(counts.values())
    each = f"{fewest:,} {what} each" if fewest == most else f"{fewest:,} to {most:,} {what}"
    return f"{len(counts):,}, of {each}"
