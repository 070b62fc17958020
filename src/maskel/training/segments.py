"""From the answers for windows to segments: who does what from when to when."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int64

from maskel.models.familiarity import Familiarity
from maskel.sequence import Clip


@dataclass(frozen=True)
class Track:
    """The probabilities of one person, or of all people together, over a recording.

    Args:
        recording: Its name.
        person: Name of the person in the file, or a number; empty for all people together.
        rate: Frames a second, of the numbers by which the recording counts its frames; None where unknown.
        edges: (E + 1,) frames between which the probabilities stay.
        probabilities: (E, K) from each edge to the next: the mean over the windows that lie over it; not a number where
            none does.
        distances: (E,) likewise, of the windows' distances to the training clips; None where they are not known.
    """

    recording: str
    person: str
    rate: float | None
    edges: Int64[np.ndarray, " edges"]
    probabilities: Float64[np.ndarray, "e k"]
    distances: Float64[np.ndarray, " e"] | None = None


@dataclass(frozen=True)
class Segment:
    """A stretch of a recording with one answer.

    Args:
        start: First frame, as the recording counts them.
        end: The frame after its last.
        label: The most probable class.
        probability: Its mean probability.
        sure: Whether that is as high as was wanted, and the distance as small.
        distance: Mean distance to the training clips; None where that is not known.
    """

    start: int
    end: int
    label: int
    probability: float
    sure: bool = True
    distance: float | None = None


def tracks_of(
    windows: Sequence[Clip],
    probabilities: Float[np.ndarray, "n k"],
    rates: Mapping[str, float],
    rate: float | None,
    distances: Float[np.ndarray, " n"] | None = None,
) -> list[Track]:
    """Smooth the answers of windows: at each time the mean over the windows that lie over it.

    Args:
        windows: Recording, person (as subject), first frame and end of each window; see `cut_windows`.
        probabilities: (N, K) of each window.
        rates: Frames a second of recordings that say it, by name.
        rate: Frames a second of the others; None where unknown.
        distances: (N,) of each window to the training clips; None where they are not known.

    Returns:
        A track for each person of each recording, in the order of the windows.
    """
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, clip in enumerate(windows):
        groups[clip.recording, clip.subject].append(place)
    tracks = []
    for (recording, person), places in groups.items():
        some = [windows[i] for i in places]
        edges, means = _mean(some, probabilities[places])
        far = None if distances is None else _mean(some, distances[places, None])[1][:, 0]
        tracks.append(Track(recording, person, rates.get(recording, rate), edges, means, far))
    return tracks


def _mean(
    windows: Sequence[Clip], probabilities: Float[np.ndarray, "n k"]
) -> tuple[Int64[np.ndarray, " edges"], Float64[np.ndarray, "e k"]]:
    starts = np.array([clip.first_frame for clip in windows])
    ends = np.array([clip.end_frame for clip in windows])
    edges = np.unique(np.concatenate((starts, ends)))
    change = np.zeros((len(edges), probabilities.shape[1] + 1))  # of the sum, and of the number of windows
    counted = np.concatenate((probabilities, np.ones((len(windows), 1))), 1)
    np.add.at(change, np.searchsorted(edges, starts), counted)
    np.subtract.at(change, np.searchsorted(edges, ends), counted)
    sums = change.cumsum(0)[:-1]
    count = sums[:, -1:].round()
    with np.errstate(invalid="ignore", divide="ignore"):
        return edges, np.where(count > 0, sums[:, :-1] / count, np.nan)


def segments_of(track: Track, min_probability: float = 0.0, max_distance: float | None = None) -> list[Segment]:
    """Join neighbouring times with the same most probable class.

    Args:
        track: The probabilities.
        min_probability: A segment whose mean probability is lower is unsure.
        max_distance: A segment whose mean distance to the training clips is larger is unsure; None for no limit.
    """

    def sure(segment: Segment) -> bool:
        near = max_distance is None or segment.distance is None or segment.distance <= max_distance
        return near and segment.probability >= min_probability

    return [replace(segment, sure=sure(segment)) for segment in _joined(track, _most_probable(track))]


def actions_of(track: Track, min_probability: float = 0.0, background: int | None = None) -> list[Segment]:
    """Join neighbouring times with the same action, where there is one.

    Args:
        track: The probabilities.
        min_probability: Where the most probable class is less probable, there is no action.
        background: The class that stands for no action, if there is one.
    """
    labels = _most_probable(track)
    with np.errstate(invalid="ignore"):
        labels[track.probabilities.max(1) < min_probability] = -1
    if background is not None:
        labels[labels == background] = -1
    return _joined(track, labels)


def _most_probable(track: Track) -> Int64[np.ndarray, " e"]:
    """Return the most probable class at each time; -1 where no window lies."""
    seen = np.isfinite(track.probabilities).all(1)
    return np.where(seen, track.probabilities.argmax(1), -1)


def _joined(track: Track, labels: Int64[np.ndarray, " e"]) -> list[Segment]:
    """Join neighbouring times with the same label, without those of -1."""
    bounds = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    found = []
    for first, end in pairwise(bounds):
        label = int(labels[first])
        if label >= 0:
            shares, frames = track.probabilities[first:end, label], np.diff(track.edges)[first:end]
            far = None if track.distances is None else float(np.average(track.distances[first:end], weights=frames))
            mean = float((shares * frames).sum() / frames.sum())
            start, stop = track.edges[[first, end]].tolist()
            found.append(Segment(start, stop, label, mean, distance=far))
    return found


def place_of(start: int, end: int, rate: float | None) -> dict[str, Any]:
    """Name a stretch of a recording as tables do, in frames and, where the rate is known, in seconds."""
    seconds = (None, None) if rate is None else (round(start / rate, 6), round(end / rate, 6))
    return {"start_frame": start, "end_frame": end, "start_seconds": seconds[0], "end_seconds": seconds[1]}


def distance_of(distance: float | None, familiarity: Familiarity | None) -> dict[str, float | None]:
    """Name a distance to the training clips as tables do: None where it is not known."""
    known = familiarity is not None and distance is not None
    return {
        "distance": distance if known else None,
        "distance_percentile": familiarity.percentile(distance) if familiarity and distance is not None else None,
    }


def rows_of(
    track: Track,
    segments: Sequence[Segment],
    classes: Sequence[str],
    familiarity: Familiarity | None = None,
) -> list[dict[str, Any]]:
    """Return segments as rows of a table; ``class`` is None where the answer is unsure."""
    return [
        {
            "recording": track.recording,
            "person": track.person or None,
            **place_of(segment.start, segment.end, track.rate),
            "class": classes[segment.label] if segment.sure else None,
            "probability": segment.probability,
            "most_probable": classes[segment.label],
            **distance_of(segment.distance, familiarity),
        }
        for segment in segments
    ]
