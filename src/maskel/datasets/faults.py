"""One thing that is wrong with a prepared set, as the checks of `maskel.datasets.checks` find it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong; of a clip in which it is wrong several times, the worst.

    Args:
        about: What it is, as a sentence's end.
        value: How bad, in the check's unit; the larger the worse, but for duplicates and short clips.
        clip: Position of the clip; None where the fault is the set's.
        body: Which of its bodies.
        frame: The frame, from 0; of a jump or swap the one after it, of frozen bodies the first.
        frames: In how many frames of the clip.
        other: Position of the clip that it equals.
        benchmark: Where the fault is a benchmark's.
    """

    about: str
    value: float
    clip: int | None = None
    body: int | None = None
    frame: int | None = None
    frames: int | None = None
    other: int | None = None
    benchmark: str | None = None
