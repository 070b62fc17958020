"""Numbers of frames: a recording of which every fifth or 25th frame was kept has no gaps between them."""

import math
from collections.abc import Sequence
from itertools import pairwise


def frame_step(numbers: Sequence[int]) -> int:
    """How far apart the frames of a recording are: the largest step that all their distances are multiples of.

    Args:
        numbers: Frame numbers of the whole recording, of all its people, in any order; repeated ones count once.

    Returns:
        The step, 1 or more; 1 for fewer than three frames, which say nothing about it.
    """
    distinct = sorted(set(numbers))
    if len(distinct) < 3:
        return 1
    return math.gcd(*(after - before for before, after in pairwise(distinct)))


def steps_note(step: int) -> str:
    """The phrase under which a step above 1 is counted, with the number of frames."""
    return f"frame numbers in steps of {step}"
