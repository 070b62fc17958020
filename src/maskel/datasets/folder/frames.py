"""Numbers of frames: if only every fifth or 25th frame of a recording was kept, it has no gaps."""

import math
from collections.abc import Sequence
from operator import sub


def frame_step(numbers: Sequence[int]) -> int:
    """Return the step between a recording's frames: the greatest common divisor of all their distances.

    Args:
        numbers: Frame numbers of the whole recording, of all its people, in any order; repeated numbers count once.

    Returns:
        The step, 1 or more; 1 for fewer than three frames, which do not determine it.
    """
    distinct = sorted(set(numbers))
    return math.gcd(*map(sub, distinct[1:], distinct)) if len(distinct) > 2 else 1


def steps_note(step: int) -> str:
    """Return the phrase that counts the frames of a recording with a step above 1."""
    return f"frame numbers in steps of {step}"
