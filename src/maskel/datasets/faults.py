"""A fault of a prepared set, as reported by the checks of `maskel.datasets.checks`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)  # a set may have millions
class Fault:
    """One fault; the worst of its kind if a clip has several.

    Args:
        about: Description, to stand at a sentence's end.
        value: Severity, in the check's unit; larger is worse, but for duplicates and short clips.
        clip: Position of the clip; None for a fault of the whole set.
        body: Number of the body in its clip, from 0.
        frame: The frame, from 0; the frame after a jump or swap, the first of frozen frames.
        frames: Number of faulty frames of the clip.
        other: Position of the clip that it equals.
        benchmark: The benchmark with the fault; None for all other faults.
    """

    about: str
    value: float
    clip: int | None = None
    body: int | None = None
    frame: int | None = None
    frames: int | None = None
    other: int | None = None
    benchmark: str | None = None
