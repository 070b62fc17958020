"""Uncertainty of an accuracy: of one share of right answers, and over the values of several seeds."""

from collections.abc import Sequence
from math import sqrt
from statistics import mean, stdev

Z = 1.959964
"""Standard deviations within which 95 % of a normal distribution lie."""


def wilson(correct: int, seen: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of the accuracy ``correct / seen``.

    It shows how much the accuracy could change with other test clips of the same kind, but not with another seed.

    Args:
        correct: Number of right answers, 0 to ``seen``.
        seen: Number of clips, one or more.

    Returns:
        Lower and upper end, in [0, 1].

    Examples:
        >>> low, high = wilson(91, 99)
        >>> round(low, 3), round(high, 3)
        (0.849, 0.958)
    """
    share, spread = correct / seen, Z**2 / seen
    middle = (share + spread / 2) / (1 + spread)
    half = Z * sqrt(share * (1 - share) / seen + spread / seen / 4) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def interval(correct: int, seen: int, half: float | None = None) -> str:
    """Return the interval of `wilson` in percent, as ``61.2 to 78.9``.

    Args:
        correct: Right answers.
        seen: Answers, 1 or more.
        half: Width to each side of the share, if the interval is another one than `wilson`'s.

    Examples:
        >>> interval(91, 99)
        '84.9 to 95.8'
    """
    low, high = wilson(correct, seen) if half is None else (correct / seen - half, correct / seen + half)
    low, high = max(0.0, low), min(1.0, high)
    return f"{100 * low:.1f} to {100 * high:.1f}"


def spread(values: Sequence[float], digits: int) -> str:
    """Return the mean as text, with ± the standard deviation (n - 1) for two values or more."""
    return f"{mean(values):.{digits}f}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")
