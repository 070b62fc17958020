"""Joins the people that a detector found in each frame to bodies, by who is nearest to whom in the frame before."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from maskel.datasets.folder.gaps import MAX_GAP
from maskel.datasets.folder.pose import Pose, check_size

Person = Float64[np.ndarray, "v c"]
"""One body in one frame: coordinates and, last, the score (NaN where unknown); NaN coordinates where missing."""
NEAR = 0.5
"""Largest step from one frame to the next, as a share of the body's extent (the diagonal of its bounding box)."""
MAX_PEOPLE = 32
"""Most people of a frame; further ones are not followed."""


@dataclass
class _Track:
    frames: list[int] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)


def join_people(
    path: Path, frames: Sequence[tuple[int, Sequence[Person]]], joints: int, coordinates: int, bodies: int
) -> Pose:
    """The bodies of a clip, those seen in most frames first.

    If no frame has more than one person, it is one body. Otherwise the nearest pair of a body and a person is joined
    first, then the next, as long as the step is shorter than `NEAR`; a person who is left starts a new body. A body
    that was missing for more than `MAX_GAP` frames is not continued.

    Args:
        path: Where the people come from, for messages.
        frames: For each frame its number and its people; numbers increase.
        joints: Joints V of the layout.
        coordinates: Coordinates D of a joint.
        bodies: Bodies to keep, >= 1.

    Raises:
        BadFileError: If nobody is in any frame, or there are too many frames.
    """
    frames = [(frame, [person for person in people if not _is_empty(person)]) for frame, people in frames]
    if max((len(people) for _, people in frames), default=0) <= 1:
        seen = [(frame, people[0]) for frame, people in frames if people]
        tracks = [_Track([frame for frame, _ in seen], [person for _, person in seen])] if seen else []
    else:
        tracks = _follow(frames)
    tracks.sort(key=lambda track: -len(track.frames))
    tracks = tracks[:bodies]
    start = frames[0][0] if frames else 0
    length = frames[-1][0] - start + 1 if frames else 0
    check_size(path, len(tracks), length, joints)
    values = np.full((len(tracks), length, joints, coordinates + 1), np.nan)
    for body, track in zip(values, tracks, strict=True):
        body[np.array(track.frames) - start] = np.stack(track.people)
    scores = values[..., -1]
    return Pose(values[..., :-1], None if np.isnan(scores).all() else scores)


def _follow(frames: Sequence[tuple[int, Sequence[Person]]]) -> list[_Track]:
    tracks: list[_Track] = []
    open_tracks: list[_Track] = []
    for frame, people in frames:
        waiting = list(people[:MAX_PEOPLE])
        open_tracks = [track for track in open_tracks if frame - track.frames[-1] <= MAX_GAP + 1]
        taken: set[int] = set()
        moved: set[int] = set()
        steps = _steps([track.people[-1] for track in open_tracks], waiting)
        for body, person in np.transpose(np.unravel_index(np.argsort(steps, axis=None, kind="stable"), steps.shape)):
            if steps[body, person] <= NEAR and body not in moved and person not in taken:
                open_tracks[body].frames.append(frame)
                open_tracks[body].people.append(waiting[person])
                moved.add(body)
                taken.add(person)
        fresh = [_Track([frame], [joints]) for person, joints in enumerate(waiting) if person not in taken]
        tracks += fresh
        open_tracks += fresh
    return tracks


def _steps(last: Sequence[Person], people: Sequence[Person]) -> Float64[np.ndarray, "k p"]:
    """Mean distance of the joints that two have in common, as a share of the first one's extent."""
    if not last or not people:
        return np.zeros((len(last), len(people)))
    here, there = np.stack(last)[..., :-1], np.stack(people)[..., :-1]
    distances = np.linalg.norm(here[:, np.newaxis] - there, axis=-1)  # (K, P, V)
    common = (~np.isnan(distances)).sum(-1)
    low, high = np.nan_to_num(here, nan=np.inf).min(1), np.nan_to_num(here, nan=-np.inf).max(1)
    extent = np.linalg.norm(np.maximum(high - low, 0), axis=-1)[:, np.newaxis]
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.nansum(distances, -1) / common / extent
    return np.nan_to_num(steps, nan=np.inf, posinf=np.inf)


def _is_empty(person: Person) -> bool:
    return bool(np.isnan(person[:, :-1]).any(1).all())
