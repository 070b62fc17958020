"""The step between frames is found from all their numbers together."""

import pytest

from maskel.datasets.folder.frames import frame_step


@pytest.mark.parametrize(
    ("numbers", "step"),
    [
        (range(30), 1),
        (range(7, 300, 25), 25),
        ([0, 5, 10, 30, 35], 5),
        ([35, 0, 10, 0, 30, 5], 5),
        ([0, 5, 10, 31], 1),
        ([0, 4, 10], 2),
        ([0, 50], 1),
        ([3], 1),
        ([], 1),
    ],
)
def test_the_step_divides_every_distance(numbers: list[int], step: int) -> None:
    assert frame_step(list(numbers)) == step
