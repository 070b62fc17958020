"""Measures of detected segments: average precision, F1, frame accuracy, edit score.

Average precision and F1 are those of PKU-MMD's evaluation script (Liu, Hu, Li, Song, Liu: PKU-MMD, ACM Multimedia
workshop 2017), F1 and the edit score those of temporal segmentation (Lea, Flynn, Vidal, Reiter, Hager: Temporal
Convolutional Networks, CVPR 2017).
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from statistics import fmean
from typing import Any

OVERLAPS = (0.1, 0.3, 0.5, 0.7)
"""Intersections over unions from which a segment counts as found."""
SHOWN = 0.5
"""The one of them that tables show."""


@dataclass(frozen=True)
class Interval:
    """A stretch of a recording in which an action was labelled, or was found.

    Args:
        recording: Which recording.
        label: Which action.
        start: First frame.
        end: The frame after the last; above ``start``.
        score: Confidence, of found ones.
    """

    recording: str
    label: int
    start: int
    end: int
    score: float = 1.0


def overlap(one: Interval, other: Interval) -> float:
    """Return the intersection over the union in time, whatever recording and action.

    Examples:
        >>> overlap(Interval("a", 0, 0, 10), Interval("a", 0, 5, 15))
        0.3333333333333333
    """
    shared = min(one.end, other.end) - max(one.start, other.start)
    return max(shared, 0) / (one.end - one.start + other.end - other.start - max(shared, 0))


def matches(found: Sequence[Interval], truth: Sequence[Interval], least: float) -> list[int | None]:
    """Match every found interval to the true one of its recording and action that it overlaps most.

    Several may match the same; of equal overlaps the later one is taken.

    Args:
        found: What was found.
        truth: What is true.
        least: Least overlap of a match.

    Returns:
        For each found interval the place of its match; None where it has none.
    """
    places = defaultdict(list)
    for place, one in enumerate(truth):
        places[one.recording, one.label].append(place)
    matched: list[int | None] = []
    for one in found:
        near = [(overlap(one, truth[place]), place) for place in places[one.recording, one.label]]
        most, place = max(near, default=(0.0, -1))
        matched.append(place if place >= 0 and most >= least else None)
    return matched


def average_precision(found: Sequence[Interval], truth: Sequence[Interval], least: float) -> float:
    """Return the interpolated average precision, as PKU-MMD's script computes it.

    Intervals are taken away one by one, the least certain first, of equal scores in their order. Whenever a match goes,
    the recall that goes with it is weighted by the highest precision so far: before anything went, or after a match
    did. A true interval with several matches counts once, and each of them as found.

    Args:
        found: What was found.
        truth: What is true; 0 is returned where it is empty.
        least: Least overlap of a match.

    Examples:
        >>> truth = [Interval("a", 0, 0, 10), Interval("a", 0, 20, 30)]
        >>> average_precision([Interval("a", 0, 0, 10, 0.9), Interval("a", 0, 40, 50, 0.8)], truth, 0.5)
        0.25
    """
    ordered = sorted(found, key=lambda one: one.score)
    matched = matches(ordered, truth, least)
    often = Counter(place for place in matched if place is not None)
    right, left = len(often), len(ordered)
    if not right:
        return 0.0
    area, best, recall = 0.0, right / left, right / len(truth)
    for place in matched:
        left -= 1
        if place is None:
            continue
        often[place] -= 1
        right -= not often[place]
        best = max(best, right / left if left else 0.0)
        area += best * (recall - right / len(truth))
        recall = right / len(truth)
    return area


def f1(found: Sequence[Interval], truth: Sequence[Interval], least: float) -> float:
    """Return the F1 of segments: a true interval with a match is right, a second match of it is not.

    Args:
        found: What was found.
        truth: What is true.
        least: Least overlap of a match.

    Returns:
        2·right / (found + true); 1 where nothing is true and nothing was found.
    """
    right = len(set(matches(found, truth, least)) - {None})
    total = len(found) + len(truth)
    return 2 * right / total if total else 1.0


def edit_score(found: Sequence[int], truth: Sequence[int]) -> float:
    """Return 1 - the edit distance of two sequences of actions, by the length of the longer.

    Args:
        found: The actions of one recording in their order.
        truth: The true ones.

    Returns:
        0 to 1; 1 where both are empty.

    Examples:
        >>> edit_score([1, 2, 3], [1, 3])
        0.6666666666666667
    """
    row = list(range(len(truth) + 1))
    for count, one in enumerate(found, 1):
        before, row = row, [count]
        for place, other in enumerate(truth):
            row.append(min(before[place + 1] + 1, row[place] + 1, before[place] + (one != other)))
    longer = max(len(found), len(truth))
    return 1 - row[-1] / longer if longer else 1.0


@dataclass(frozen=True)
class Detection:
    """Measures of what was found in some recordings; all from 0 to 1.

    Args:
        map_actions: For each of `OVERLAPS` the mean average precision over the actions that are labelled.
        map_videos: For each the mean over the recordings in which something is labelled.
        f1: For each the F1 of all segments together.
        edit: Mean edit score of the recordings.
        labelled: Labelled segments.
        found: Found segments.
        recordings: Recordings.
    """

    map_actions: tuple[float, ...]
    map_videos: tuple[float, ...]
    f1: tuple[float, ...]
    edit: float
    labelled: int
    found: int
    recordings: int

    @classmethod
    def of(cls, found: Sequence[Interval], truth: Sequence[Interval], recordings: Sequence[str]) -> "Detection":
        """Measure what was found.

        Args:
            found: In all recordings.
            truth: Likewise, at least one interval.
            recordings: Names of all recordings, those without any interval too.
        """
        actions, videos = (
            [
                ([one for one in found if key(one) == name], [one for one in truth if key(one) == name])
                for name in sorted({key(one) for one in truth})
            ]
            for key in (attrgetter("label"), attrgetter("recording"))
        )
        sequences = zip(_sequences(found, recordings), _sequences(truth, recordings), strict=True)

        def precision(groups: Sequence[tuple[Sequence[Interval], Sequence[Interval]]]) -> tuple[float, ...]:
            return tuple(fmean(average_precision(*both, least) for both in groups) for least in OVERLAPS)

        return cls(
            precision(actions),
            precision(videos),
            tuple(f1(found, truth, least) for least in OVERLAPS),
            fmean(edit_score(*both) for both in sequences),
            len(truth),
            len(found),
            len(recordings),
        )


def measures_of(detection: Mapping[str, Any]) -> dict[str, float]:
    """Return the measures that tables show of a `Detection` in ``result.json``: name -> value, from 0 to 1."""
    at = list(detection["overlaps"]).index(SHOWN)
    return {
        f"mAP@{SHOWN} over actions": float(detection["map_actions"][at]),
        f"mAP@{SHOWN} over videos": float(detection["map_videos"][at]),
        f"F1@{SHOWN}": float(detection["f1"][at]),
        "edit score": float(detection["edit"]),
    }


def _sequences(intervals: Sequence[Interval], recordings: Sequence[str]) -> list[list[int]]:
    """Return the actions of each recording in their order; an action that goes on without a pause counts once."""
    of: dict[str, list[Interval]] = defaultdict(list)
    for one in sorted(intervals, key=lambda one: (one.start, one.end, one.label)):
        last = of[one.recording][-1:]
        if not (last and last[0].label == one.label and one.start <= last[0].end):
            of[one.recording].append(one)
        else:
            of[one.recording][-1] = replace(last[0], end=max(last[0].end, one.end))
    return [[one.label for one in of[name]] for name in recordings]
