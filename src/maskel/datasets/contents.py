"""What is in a prepared set, counted; its benchmarks beside the published sizes."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from maskel.datasets import SOURCES
from maskel.datasets.store import SkeletonSet
from maskel.sequence import UNLABELLED


@dataclass(frozen=True)
class BenchmarkSizes:
    """Sizes of one benchmark, as (train, test).

    Args:
        name: Of the benchmark.
        found: Clips in the set.
        published: As published; None where no size is.
    """

    name: str
    found: tuple[int, int]
    published: tuple[int, int] | None

    @property
    def verdict(self) -> str:
        """How the two compare, in words."""
        if self.published is None:
            return "no published size"
        train, test = self.published
        text = f"{train:,} / {test:,}"
        if self.found == self.published:
            return f"{text}, as here"
        return f"{text}; {sum(self.found) / sum(self.published):.1%} of it is here"

    def row(self) -> tuple[str, str, str, str]:
        """A row of a table under `BENCHMARK_HEADING`."""
        return self.name, f"{self.found[0]:,}", f"{self.found[1]:,}", self.verdict


BENCHMARK_HEADING = ("benchmark", "train", "test", "published")


@dataclass(frozen=True)
class Contents:
    """Counts of a set.

    Args:
        clips: Number of clips.
        body_frames: Frames of all bodies, those in which they exist.
        size: Bytes on disk.
        lengths: Shortest, median and longest clip in frames that have a body.
        bodies: Number of bodies -> clips.
        classes: (name, clips) of each class, also of empty ones.
        unlabelled: Clips without a label.
        subjects: Subject -> clips; empty where none is known, like the two that follow.
        cameras: Camera -> clips.
        setups: Setup -> clips.
        benchmarks: Their sizes.
        trial: The options that left clips out on purpose, in words; empty for a whole set.
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
    trial: str

    def rows(self) -> list[tuple[str, str]]:
        """Names and values for a table."""
        bodies = ", ".join(f"{number}: {count:,} clips" for number, count in self.bodies.items())
        rows = [
            ("clips", f"{self.clips:,}"),
            ("classes", _named(dict(self.classes)) if self.classes else "none"),
            *([("without a label", f"{self.unlabelled:,} clips")] if self.unlabelled else []),
            *((name, _named(counts)) for name, counts in self.origins().items()),
            ("lengths", "shortest {:,}, median {:g}, longest {:,} frames".format(*self.lengths)),
            ("bodies", bodies),
            ("body-frames", f"{self.body_frames:,}"),
            ("size", f"{self.size / 1e6:,.1f} MB"),
        ]
        return [*rows, ("trial set", self.trial)] if self.trial else rows

    def origins(self) -> dict[str, dict[str, int]]:
        """Subjects, cameras and setups by what they are called."""
        return {"subjects": self.subjects, "cameras": self.cameras, "setups": self.setups}


TRIAL_OPTIONS = ("classes", "max_clips", "benchmarks", "drop_duplicates")
"""Options of ``maskel prepare`` that leave clips out on purpose."""


def count_contents(data: SkeletonSet) -> Contents:
    """Count what is in a set; reads its tables only."""
    source = SOURCES.get(data.source)
    published = source.published if source else {}
    has_label = data.labels != UNLABELLED
    counts = np.bincount(data.labels[has_label], minlength=len(data.classes)).tolist()
    bodies, clips_of = np.unique(data.bodies, return_counts=True)
    frames = data.valid_frames
    return Contents(
        clips=len(data),
        body_frames=data.num_body_frames,
        size=sum(path.stat().st_size for path in data.path.iterdir()),
        lengths=(int(frames.min()), float(np.median(frames)), int(frames.max())),
        bodies=dict(zip(bodies.tolist(), clips_of.tolist(), strict=True)),
        classes=tuple(zip(data.classes, counts, strict=True)),
        unlabelled=int((~has_label).sum()),
        subjects=_counted([clip.subject for clip in data.clips]),
        cameras=_counted([clip.camera for clip in data.clips]),
        setups=_counted([clip.setup for clip in data.clips]),
        benchmarks=tuple(
            BenchmarkSizes(name, (len(split.train), len(split.test)), published.get(name))
            for name, split in data.benchmarks.items()
        ),
        trial=", ".join(f"{name} {data.options[name]}" for name in TRIAL_OPTIONS if data.options.get(name)),
    )


def _counted(names: list[str]) -> dict[str, int]:
    """Clips of each name, numbers in their order; empty names are left out."""
    counts = Counter(name for name in names if name)
    return {name: counts[name] for name in sorted(counts, key=lambda name: (len(name) * name.isdecimal(), name))}


def _named(counts: dict[str, int]) -> str:
    if not counts:
        return "unknown"
    fewest, most = min(counts.values()), max(counts.values())
    each = f"{fewest:,} clips each" if fewest == most else f"{fewest:,} to {most:,} clips"
    return f"{len(counts):,}, of {each}"
