import pytest

from maskel.intervals import interval, wilson


@pytest.mark.parametrize(
    ("correct", "seen", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),  # as scipy.stats.binomtest(8, 10).proportion_ci(method="wilson")
        (86, 99, 0.7882, 0.9216),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
    ],
)
def test_wilsons_interval(correct: int, seen: int, low: float, high: float) -> None:
    assert wilson(correct, seen) == pytest.approx((low, high), abs=1e-4)


def test_an_interval_is_written_in_percent() -> None:
    assert interval(8, 10) == "49.0 to 94.3"
