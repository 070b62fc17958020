"""Measures of segments against references written step by step, after PKU-MMD's script and frame by frame."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskel.training.detection import (
    OVERLAPS,
    Detection,
    Interval,
    average_precision,
    edit_score,
    f1,
    matches,
    overlap,
)

intervals = st.lists(
    st.builds(
        lambda recording, label, start, length, score: Interval(recording, label, start, start + length, score / 8),
        st.sampled_from("ab"),
        st.integers(0, 2),
        st.integers(0, 30),
        st.integers(1, 15),
        st.integers(0, 8),
    ),
    max_size=8,
)


def frames(one: Interval) -> set[int]:
    return set(range(one.start, one.end))


def naive_overlap(one: Interval, other: Interval) -> float:
    return len(frames(one) & frames(other)) / len(frames(one) | frames(other))


def naive_hits(found: Sequence[Interval], truth: Sequence[Interval], least: float) -> set[int]:
    """Which true intervals are the best match of some found one."""
    hits = set()
    for one in found:
        best, where = 0.0, None
        for place, other in enumerate(truth):
            if (other.recording, other.label) == (one.recording, one.label) and naive_overlap(one, other) >= best:
                best, where = naive_overlap(one, other), place
        if where is not None and best >= least:
            hits.add(where)
    return hits


def naive_precision(found: Sequence[Interval], truth: Sequence[Interval], least: float) -> float:
    """The script's sum, every precision and recall counted anew from the intervals that are left."""
    left = sorted(found, key=lambda one: one.score)
    if not (left and truth):
        return 0.0

    def point() -> tuple[float, float]:
        hits = len(naive_hits(left, truth, least))
        return (hits / len(left) if left else 0.0), hits / len(truth)

    best, recall = point()
    area = 0.0
    while left:
        one = left.pop(0)
        if naive_hits([one], truth, least):
            precision, now = point()
            best = max(best, precision)
            area += best * (recall - now)
            recall = now
    return area


def naive_edit(found: Sequence[int], truth: Sequence[int]) -> int:
    if not (found and truth):
        return len(found) + len(truth)
    last = naive_edit(found[:-1], truth[:-1]) + (found[-1] != truth[-1])
    return min(last, naive_edit(found[:-1], truth) + 1, naive_edit(found, truth[:-1]) + 1)


@settings(max_examples=300, deadline=None)
@given(found=intervals, truth=intervals, least=st.sampled_from(OVERLAPS))
def test_precision_and_f1_are_those_counted_step_by_step(
    found: list[Interval], truth: list[Interval], least: float
) -> None:
    assert average_precision(found, truth, least) == pytest.approx(naive_precision(found, truth, least))
    hits = len(naive_hits(found, truth, least))
    total = len(found) + len(truth)
    assert f1(found, truth, least) == pytest.approx(2 * hits / total if total else 1.0)
    assert {place for place in matches(found, truth, least) if place is not None} == naive_hits(found, truth, least)


@settings(max_examples=200, deadline=None)
@given(found=st.lists(st.integers(0, 2), max_size=5), truth=st.lists(st.integers(0, 2), max_size=5))
def test_the_edit_score_is_the_edit_distance_by_the_longer(found: list[int], truth: list[int]) -> None:
    longer = max(len(found), len(truth))
    assert edit_score(found, truth) == pytest.approx(1 - naive_edit(found, truth) / longer if longer else 1.0)


def at(start: int, end: int, score: float = 1.0, label: int = 0, recording: str = "a") -> Interval:
    return Interval(recording, label, start, end, score)


def test_the_overlap_is_that_of_frames() -> None:
    assert overlap(at(0, 10), at(0, 10)) == 1
    assert overlap(at(0, 10), at(10, 20)) == 0
    assert overlap(at(0, 10), at(12, 20)) == 0
    assert overlap(at(0, 10), at(2, 4)) == pytest.approx(0.2)


def test_all_found_is_1_and_nothing_found_is_0() -> None:
    truth = [at(0, 10), at(20, 30)]
    for measure in (average_precision, f1):
        assert measure(truth, truth, 0.7) == 1
        assert measure([], truth, 0.1) == 0
        assert measure([at(0, 10, label=1)], truth, 0.1) == 0
        assert measure([at(0, 10, recording="b")], truth, 0.1) == 0
    assert average_precision([at(0, 10)], [], 0.1) == 0
    assert average_precision([], [], 0.1) == 0
    assert f1([], [], 0.1) == 1
    assert f1([at(0, 10)], [], 0.1) == 0


def test_a_second_match_of_the_same_is_no_second_right_answer() -> None:
    truth = [at(0, 10)]
    twice = [at(0, 9, 0.9), at(0, 8, 0.8)]
    assert average_precision(twice, truth, 0.5) == pytest.approx(1.0)  # the precision of the first alone
    assert average_precision([at(0, 9, 0.9), at(40, 50, 0.8)], truth, 0.5) == pytest.approx(0.5)  # the script's quirk
    assert f1(twice, truth, 0.5) == pytest.approx(2 / 3)


def test_equal_scores_go_in_their_order() -> None:
    truth = [at(0, 10), at(20, 30)]
    right, wrong = [at(0, 10, 0.5), at(20, 30, 0.5)], [at(40, 50, 0.5)]
    assert average_precision([*wrong, *right], truth, 0.5) == pytest.approx(0.5 * 1 + 0.5 * 1)
    assert average_precision([*right, *wrong], truth, 0.5) == pytest.approx(2 / 3)


def test_the_published_script_and_this_agree_on_a_worked_case() -> None:
    """Six found, three true; by hand: after the false ones at 0.1 and 0.3 go with matches, 2/3, 2/4 and 1/1."""
    truth = [at(0, 10), at(20, 30), at(40, 50)]
    found = [
        at(0, 10, 0.9), at(70, 80, 0.7), at(20, 30, 0.6), at(21, 30, 0.5), at(90, 99, 0.3), at(40, 49, 0.2)
    ]  # fmt: skip
    # all: 3/6, recall 1; 0.2 goes: 2/5; 0.3 goes; 0.5 goes, a double: 2/3; 0.6 goes: 1/2; 0.7; 0.9 goes: 0
    expected = 1 / 2 * 1 / 3 + 0 + 2 / 3 * 1 / 3 + 2 / 3 * 1 / 3
    assert average_precision(found, truth, 0.5) == pytest.approx(expected)


def test_means_go_over_labelled_actions_and_over_recordings() -> None:
    truth = [at(0, 10), at(20, 30, label=1), at(0, 10, recording="b")]
    found = [at(0, 10), at(0, 10, recording="b"), at(50, 60, label=2)]
    measured = Detection.of(found, truth, ["a", "b", "c"])
    assert measured.map_actions == (0.5,) * 4  # action 0 whole, action 1 not; action 2 occurs nowhere
    by_hand = (average_precision(found[::2], truth[:2], 0.5) + 1) / 2
    assert measured.map_videos == pytest.approx((by_hand,) * 4)
    assert measured.f1 == pytest.approx((2 * 2 / 6,) * 4)
    assert measured.edit == pytest.approx((1 / 2 + 1 + 1) / 3)  # [0, 2] for [0, 1]; [0]; nothing for nothing
    assert (measured.labelled, measured.found, measured.recordings) == (3, 3, 3)


def test_an_action_that_goes_on_is_one_step_of_the_order() -> None:
    truth = [at(0, 10), at(10, 20), at(30, 40), at(5, 8)]
    same = [at(0, 20), at(30, 40)]
    assert Detection.of(same, truth, ["a"]).edit == 1
    assert Detection.of([at(0, 40)], truth, ["a"]).edit == pytest.approx(0.5)


def test_overlaps_grow_and_measures_fall() -> None:
    draws = np.random.default_rng(0)
    truth = [at(30 * i, 30 * i + 20, label=i % 3) for i in range(20)]
    found = [at(30 * i + int(draws.integers(-9, 9)) + 9, 30 * i + 29, float(draws.random()), i % 3) for i in range(20)]
    measured = Detection.of(found, truth, ["a"])
    for values in (measured.map_actions, measured.map_videos, measured.f1):
        assert list(values) == sorted(values, reverse=True)
        assert values[0] > values[-1]
