"""Stand-in sets of a few generated clips, to measure a run on a data set that is not at hand."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from maskel.configuration import data_recipes
from maskel.datasets import SOURCES
from maskel.datasets.base import Split
from maskel.datasets.store_writer import SetWriter
from maskel.sequence import Clip, SkeletonSequence

CLIPS, FRAMES = 64, 100
UNKNOWN = 1024
"""Clips of each part of a benchmark without a published size: more than the batch of any recipe."""
BODIES = (1, 1, 1, 2)
"""Bodies of successive clips: a quarter of NTU RGB+D's actions are between two people."""


def write_stand_in(out: Path, source: str, benchmark: str) -> bool:
    """Write a prepared set of generated clips whose benchmarks are as long as the published ones.

    Each part repeats the same clips, so that steps and time are those of the real set.

    Args:
        out: Folder to write; must not exist.
        source: The source whose layout, classes and published sizes to take.
        benchmark: A benchmark that the set must have; without a published size each part has `UNKNOWN` clips.

    Returns:
        True if the size of ``benchmark`` is published.
    """
    kind = SOURCES[source]
    sizes = {benchmark: (UNKNOWN, UNKNOWN)} | dict(kind.published)
    with SetWriter(out, kind.layout, kind.classes, f"generated clips in place of {source}", {}) as writer:
        for number in range(CLIPS):
            draws = np.random.default_rng(number)
            shape = (BODIES[number % len(BODIES)], FRAMES, len(kind.layout), 3)
            joints = draws.normal(size=shape).cumsum(1) / FRAMES
            clip = Clip(f"clip{number}", number % len(kind.classes))
            writer.add(SkeletonSequence(clip, joints.astype(np.float32), kind.layout))
        whole = {
            name: Split(*(tuple(position % CLIPS for position in range(size)) for size in parts))
            for name, parts in sizes.items()
        }
        writer.finish(whole)
    return benchmark in kind.published


def write_for_check(out: Path, recipes: Sequence[str], benchmark: str) -> str:
    """Write a stand-in for the data set of a recipe (NTU RGB+D 60 without one), and return a sentence that says so.

    Args:
        out: Folder to write; must not exist.
        recipes: Names of the run's recipes, or files.
        benchmark: A benchmark that the set must have.
    """
    sources = data_recipes()
    source = next((sources[name] for name in recipes if name in sources and not Path(name).is_file()), "ntu60")
    size = "repeated up to its published size"
    if not write_stand_in(out, source, benchmark):
        size = f"whose size is not published: steps and time are those of {UNKNOWN:,} training and as many test clips"
    return f"There is no --data: a few generated clips stand in for {source} {benchmark}, {size}."
