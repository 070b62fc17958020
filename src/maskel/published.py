"""Published accuracies for comparison: one table for the documentation, `maskel reproduce` and the tests."""

from dataclasses import dataclass

BENCHMARKS = ("ntu60_xsub", "ntu60_xview", "ntu120_xsub", "ntu120_xset", "pku1_xsub", "pku2_xsub")
"""Recipes of the benchmarks with published accuracies."""


@dataclass(frozen=True)
class Published:
    """A published accuracy.

    Args:
        percent: Top-1 accuracy in percent.
        origin: The publication.
        how: A sentence on the method of measurement, as far as it is known.
    """

    percent: float
    origin: str
    how: str

    def __str__(self) -> str:
        return f"{self.percent:.1f}"


_PAPER = (
    "MAMP paper",
    "MAMP paper: MAMP's code reports the best epoch on the test part, so compare with that column.",
)
_FIVE_RUNS = (
    "MAMP paper, five runs",
    "MAMP paper, five runs: all drew the labels from one seed, each of two processes for itself, whatever the class; "
    "whether the number is the mean of the runs is not stated. MAMP's code reports the best epoch on the test part.",
)
_WEIGHTS = (
    "MAMP's released weights",
    "MAMP's released weights: one set of weights; MAMP's code reports the best epoch on the test part.",
)
_LIST = (
    "public list of results",
    "Public list of results: joint stream; epoch and number of runs are not stated.",
)
"""Publications, with a sentence on their method of measurement."""


def _row(
    method: str, protocol: str, source: tuple[str, str], *percent: float | None
) -> dict[tuple[str, str, str], Published]:
    """Return accuracies in the order of `BENCHMARKS`; None, or nothing at the end, for unpublished ones."""
    found = zip(BENCHMARKS, percent, strict=False)
    return {(method, name, protocol): Published(value, *source) for name, value in found if value is not None}


PUBLISHED: dict[tuple[str, str, str], Published] = {
    **_row("mamp", "linear", _PAPER, 84.9, 89.1, 78.6, 79.1, 92.2, 53.8),
    **_row("mamp", "finetune", _WEIGHTS, 93.0, 97.5, 89.8, 91.5),
    **_row("mamp", "semi_1", _FIVE_RUNS, 66.0, 68.7),
    **_row("mamp", "semi_10", _FIVE_RUNS, 88.0, 91.5),
    **_row("mae", "linear", _PAPER, 74.8, 77.7, 72.5, 73.5, 82.8, 36.1),
    **_row("hacm", "linear", _LIST, 86.3, 91.2, 78.9, 80.2, None, 50.9),
}
"""Accuracy by method, benchmark's recipe and protocol. For missing entries no published accuracy is known."""


def published(method: str, benchmark: str, protocol: str) -> str:
    """Return a published accuracy as text; ``none published`` if there is none.

    Examples:
        >>> published("mamp", "ntu60_xsub", "linear")
        '84.9'
        >>> published("hacm", "pku1_xsub", "linear")
        'none published'
    """
    return str(PUBLISHED.get((method, benchmark, protocol), "none published"))
