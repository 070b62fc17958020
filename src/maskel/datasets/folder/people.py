"""Tracking of the people in each frame to bodies, and choice of the main bodies."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from maskel.datasets.counts import BODIES, BODY_FRAMES, Counts
from maskel.datasets.folder.frames import frame_step, steps_note
from maskel.datasets.folder.gaps import body_exists
from maskel.datasets.folder.missing import missing_joints
from maskel.datasets.folder.pose import MAX_VALUES, Form, Pose, check_size
from maskel.datasets.folder.tracks import LINKED, Track, check_actor, in_order, link_again
from maskel.datasets.folder.units import FRACTIONS

NEAR = 0.5
"""Largest step from one frame to the next, as a share of the body's extent (the diagonal of its bounding box)."""
MAX_PEOPLE = 32
"""Most people of a frame; more are not followed."""
CROWD = f"people in a frame beyond {MAX_PEOPLE}"
JUMPS = "jumps of the only person by more than its size"
"""Phrase for frames after which a different person may appear: one person a frame is taken for one body."""
BAD_NAMES = "people in a frame whose track numbers jump between them"
"""Phrase for people whose numbers are not reliable; they are followed by position."""


@dataclass(frozen=True, eq=False)
class Person:
    """One body in one frame.

    Args:
        joints: Coordinates and, last, the score (NaN where unknown) of each joint.
        name: The tool's name for the person in all frames, such as a track's number; empty if it has none.
    """

    joints: Float64[np.ndarray, "v c"]
    name: str = ""


_AT_ONCE = 4096  # frames whose steps are measured at a time, so that arrays between stay small
Frames = Sequence[tuple[int, Sequence[Person]]]
"""Number and people of each frame; numbers increase."""


def join_people(path: Path, frames: Frames, form: Form, coordinates: int) -> Pose:
    """Join people of all frames to the bodies of a clip, sorted by their number of frames, the longest first.

    First the step of the recording is determined: every fifth frame of a video has no gaps. People are followed by the
    numbers of their tool. People without a number are followed by position: the nearest pair of a body and a person is
    joined first, then the next, as long as the distance is below `NEAR`. Each remaining person starts a new body, and a
    body that is missing for more than ``max_gap`` frames ends. If no frame has more than one person, there is one body.
    At last, tracks of one person are linked; see `link_again`.

    Args:
        path: The file, for messages.
        frames: The people.
        form: Form of the recording.
        coordinates: Coordinates D of a joint.

    Raises:
        BadFileError: If all frames are empty, or there are too many frames.
    """
    joints, step = len(form.layout), frame_step([number for number, _ in frames])
    start = frames[0][0] if frames else 0
    length = (frames[-1][0] - start) // step + 1 if frames else 0
    present = _marked([((number - start) // step, people) for number, people in frames], form.layout in FRACTIONS)
    named = [person.name for _, people in present for person in people if person.name]
    if 2 * len(set(named)) > len(named):
        present = _without_names(present)  # numbers of single key points, as COCO's annotations have them
    counts: Counter[str] = Counter()
    if step > 1:
        counts[steps_note(step)] = length
    if _jumping(present):
        counts[BAD_NAMES] = sum(len(people) for _, people in present)
        present = _without_names(present)
    tracks = _by_name(present)
    unnamed = [(frame, [person for person in people if not person.name]) for frame, people in present]
    if max((len(people) for _, people in present), default=0) <= 1 and not tracks:
        alone = [(frame, person) for frame, people in unnamed for person in people]
        tracks = [_track(alone)] if alone else []
        counts[JUMPS] = sum(_jumps(track) for track in tracks)
    else:
        counts[CROWD] = sum(max(len(people) - MAX_PEOPLE, 0) for _, people in unnamed)
        tracks, linked = link_again([*tracks, *_follow(unnamed, form.max_gap)])
        counts.update(linked)
    tracks = in_order(tracks, "longest")
    room = max(MAX_VALUES // max(length * joints * 4, 1), 1)  # as `check_size` allows
    counts.update(_left_out(tracks[room:]))
    tracks = tracks[:room]
    check_size(path, len(tracks), length, joints)
    pose = replace(_pose(tracks, (length, joints, coordinates + 1), counts), first_frame=start, step=step)
    return replace(pose, scores=None) if pose.scores is None or np.isnan(pose.scores).all() else pose


def choose_bodies(path: Path, pose: Pose, bodies: int, actor: str, middle: np.ndarray | None = None) -> Pose:
    """Choose the main bodies of a clip, the main actor first.

    Args:
        path: The file, for messages.
        pose: All bodies; NaN where a joint is missing.
        bodies: Bodies to keep, 1 or more.
        actor: Rule for the first body: see `in_order`.
        middle: The middle of the image, if it is known.

    Raises:
        BadFileError: If the actor is chosen by a name that no body has.
    """
    values, exists = pose.joints, body_exists(pose.joints)
    scores = np.full(values.shape[:-1], np.nan) if pose.scores is None else pose.scores
    values = np.concatenate((values, scores[..., np.newaxis]), -1)
    names = pose.names or [()] * len(values)
    tracks = [
        Track(np.flatnonzero(seen), body[seen], name)
        for body, seen, name in zip(values, exists, names, strict=True)
        if seen.any()
    ]
    check_actor(path, tracks, actor)
    if len(tracks) < 2 and len(values) < 2:
        return pose
    total = Counter(pose.counts)
    if LINKED not in pose.counts:  # else `join_people` has checked it
        linked, counts = link_again(tracks)
        tracks = linked if counts[LINKED] else tracks  # keeps the file's order
        total.update(counts)
    tracks = in_order(tracks, actor, middle)
    total.update(_left_out(tracks[bodies:]))
    chosen = _pose(tracks[:bodies], values.shape[1:], total)
    chosen = replace(chosen, first_frame=pose.first_frame, step=pose.step, fps=pose.fps)
    return replace(chosen, scores=None) if pose.scores is None else chosen


def _pose(tracks: Sequence[Track], shape: Sequence[int], counts: Counts) -> Pose:
    """Convert tracks to arrays of ``shape`` (T, V, C) each; at least one body."""
    values = np.full((max(len(tracks), 1), *shape), np.nan)
    for body, track in zip(values, tracks, strict=False):
        body[track.frames] = track.people
    names = tuple(track.names for track in tracks) if any(track.names for track in tracks) else ()
    return Pose(values[..., :-1], values[..., -1], counts, names)


def _left_out(tracks: Sequence[Track]) -> Counts:
    return {BODIES: len(tracks), BODY_FRAMES: sum(len(track.frames) for track in tracks)}


def _marked(frames: Frames, occlusion: bool) -> list[tuple[int, list[Person]]]:
    """Set missing joints of the people in each frame to NaN; people without any joint are left out."""
    everybody = [person for _, people in frames for person in people]
    if not everybody:
        return [(frame, []) for frame, _ in frames]
    values = np.stack([person.joints for person in everybody])
    (gone,) = missing_joints(values[np.newaxis, ..., :-1], values[np.newaxis, ..., -1], occlusion=occlusion)
    values[gone, :-1] = np.nan
    seen = ~np.isnan(values[..., 0]).all(1)
    entries = iter(zip(everybody, values, seen, strict=True))
    marked: list[tuple[int, list[Person]]] = []
    for frame, people in frames:
        found = [next(entries) for _ in people]
        marked.append((frame, [replace(person, joints=joints) for person, joints, there in found if there]))
    return marked


def _jumping(frames: Frames) -> bool:
    """Return True if the names of people are unreliable: twice in a frame, or changing between people."""
    steps = jumps = 0
    last: list[Person] = []
    for _, everybody in frames:
        people = [person for person in everybody if person.name]
        places = {person.name: place for place, person in enumerate(people)}
        if len(places) < len(people):
            return True
        if len(people) > 1 and last:
            distances = _steps([person.joints for person in last], [person.joints for person in people])
            for row, person in zip(distances, last, strict=True):
                if person.name in places:
                    steps += 1
                    jumps += row[places[person.name]] > NEAR and row.min() < row[places[person.name]] / 2
        last = people or last
    return bool(jumps > max(0.1 * steps, 2))


def _without_names(frames: Frames) -> list[tuple[int, list[Person]]]:
    return [(frame, [replace(person, name="") for person in people]) for frame, people in frames]


def _by_name(frames: Frames) -> list[Track]:
    people: dict[str, list[tuple[int, Person]]] = defaultdict(list)
    for frame, found in frames:
        for person in found:
            if person.name:
                people[person.name].append((frame, person))
    return [_track(seen) for seen in people.values()]


def _track(seen: Sequence[tuple[int, Person]]) -> Track:
    names = tuple(dict.fromkeys(person.name for _, person in seen if person.name))
    return Track(np.array([frame for frame, _ in seen]), np.stack([person.joints for _, person in seen]), names)


def _follow(frames: Frames, max_gap: int) -> list[Track]:
    """Track people without names by their distances."""
    tracks: list[list[tuple[int, Person]]] = []
    open_tracks: list[list[tuple[int, Person]]] = []
    for frame, people in frames:
        waiting = list(people[:MAX_PEOPLE])
        open_tracks = [track for track in open_tracks if frame - track[-1][0] <= max_gap + 1]
        bodies = continued([track[-1][1].joints for track in open_tracks], [person.joints for person in waiting])
        for person, body in bodies.items():
            open_tracks[body].append((frame, waiting[person]))
        fresh = [[(frame, person)] for place, person in enumerate(waiting) if place not in bodies]
        tracks += fresh
        open_tracks += fresh
    return [_track(track) for track in tracks]


def continued(last: Sequence[np.ndarray], people: Sequence[np.ndarray]) -> dict[int, int]:
    """Join each person of a frame to a body, the nearest pair first; new people are left out.

    Args:
        last: (V, C) coordinates and, last, scores of each body where it was last seen.
        people: The same of each person.

    Returns:
        Places in ``people`` -> places in ``last``.
    """
    found: dict[int, int] = {}
    steps = _steps(last, people)
    for body, person in np.transpose(np.unravel_index(np.argsort(steps, axis=None, kind="stable"), steps.shape)):
        if steps[body, person] <= NEAR and body not in found.values() and person not in found:
            found[int(person)] = int(body)
    return found


def _jumps(track: Track) -> int:
    """Count the frames before which a body moves by more than its size."""
    starts = range(0, len(track.people) - 1, _AT_ONCE)
    parts = (track.people[start : start + _AT_ONCE + 1] for start in starts)
    return sum(int((_shares(part[:-1], part[1:]) > 1).sum()) for part in parts)


def _steps(last: Sequence[np.ndarray], people: Sequence[np.ndarray]) -> Float64[np.ndarray, "k p"]:
    """Return the mean distance of two people's common joints, as a share of the first one's extent."""
    if not last or not people:
        return np.zeros((len(last), len(people)))
    return _shares(np.stack(last)[:, np.newaxis], np.stack(people))


def _shares(last: Float64[np.ndarray, "..."], people: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """Return the same for people (…, V, C) and people that stand below them; infinite where they share no joint."""
    here, there = last[..., :-1], people[..., :-1]
    distances = np.linalg.norm(here - there, axis=-1)  # (…, V)
    common = (~np.isnan(distances)).sum(-1)
    low, high = np.fmin.reduce(here, -2), np.fmax.reduce(here, -2)  # without what is missing
    extent = np.linalg.norm(np.maximum(high - low, 0), axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.nansum(distances, -1) / common / extent
    return np.where(np.isnan(steps), np.inf, steps)
