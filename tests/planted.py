"""A prepared set in which nothing is wrong, to plant faults in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskel.datasets.base import Split
from maskel.datasets.checks import Finding, examine
from maskel.datasets.store import SkeletonSet
from maskel.datasets.store_writer import SetWriter
from maskel.layouts import NTU25
from maskel.sequence import Clip, SkeletonSequence

CLASSES = ("wave", "clap")
FRAMES = 20
TWO_BODIES = 6
"""The clip with two bodies, half a metre apart."""


def moving(number: int, bodies: int = 1, frames: int = FRAMES, coordinates: int = 3) -> NDArray[np.float32]:
    """Rigid bodies that sway together, a few centimetres a frame."""
    draws = np.random.default_rng((11, number))
    body = draws.normal(size=(len(NTU25), coordinates)) * 0.3
    body[:, 1] = draws.uniform(-0.6, 0.6, len(NTU25))
    body[NTU25.head, 1], body[NTU25.feet, 1] = 0.8, -0.8
    body[:, 1] *= 1 if coordinates == 3 else -1  # images count y downwards
    way = np.sin(0.2 * np.arange(frames) + draws.uniform(0, 6))[:, None, None] * draws.uniform(0.1, 0.2, coordinates)
    apart = np.arange(bodies)[:, None, None, None] * 0.45 * np.eye(coordinates)[0]
    return (body + way + apart).astype(np.float32)


@dataclass
class Planted:
    """Clips to change before they are written: ten of two classes; subjects 0 to 4, of which 0 to 2 train."""

    coordinates: int = 3
    joints: list[NDArray[np.float32]] = field(init=False)
    labels: list[int] = field(init=False)
    subjects: list[str] = field(init=False)
    counts: dict[int, dict[str, int]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    train: tuple[int, ...] = tuple(range(6))
    test: tuple[int, ...] = tuple(range(6, 10))

    def __post_init__(self) -> None:
        self.joints = [moving(n, 1 + (n == TWO_BODIES), FRAMES + n % 3, self.coordinates) for n in range(10)]
        self.labels = [n % 2 for n in range(10)]
        self.subjects = [str(n // 2) for n in range(10)]

    def write(self, out: Path, classes: tuple[str, ...] = CLASSES, benchmark: str = "xsub") -> SkeletonSet:
        with SetWriter(out, NTU25, classes, "generated", self.options, ("x", "y", "z")[: self.coordinates]) as writer:
            for number, joints in enumerate(self.joints):
                clip = Clip(f"clip{number}", self.labels[number], subject=self.subjects[number])
                writer.add(SkeletonSequence(clip, joints, NTU25, self.counts.get(number, {})))
            writer.finish({benchmark: Split(self.train, self.test)})
        return SkeletonSet.open(out)


Plant = Callable[[Planted], None]


def found(data: SkeletonSet) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(data)}


def with_faults(data: SkeletonSet) -> dict[str, Finding]:
    return {name: finding for name, finding in found(data).items() if finding.faults}
