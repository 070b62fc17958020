"""Joints of whole recordings for the timeline, joined from the windows that slid over them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from maskel.datasets.bodies import upward
from maskel.datasets.store import SkeletonSet
from maskel.pictures.animation import MOST_BODIES, Moving

Key: TypeAlias = tuple[str, str]
"""Recording, and person; see `maskel.training.segments.Track`."""
_MOST_FRAMES = 200_000  # of all recordings together


def recordings_of(
    windows: SkeletonSet, rates: Mapping[str, float], rate: float | None, may_miss: bool = False
) -> dict[Key, Moving]:
    """Join the windows of each person, or of all people of a recording together.

    Windows may have an origin each. So every window is moved to where the one before it has the same frame.

    Args:
        windows: The windows, each a clip with recording, person (as subject), first frame and end.
        rates: Frames a second of recordings that say it, by name.
        rate: Frames a second of the others; None where unknown.
        may_miss: Whether a joint at zero is missing, as it always is in 2D.

    Returns:
        The first recordings, of `_MOST_FRAMES` frames in all.
    """
    groups: dict[Key, list[int]] = defaultdict(list)
    for position, clip in enumerate(windows.clips):
        groups[clip.recording, clip.subject].append(position)
    found: dict[Key, Moving] = {}
    up, frames = upward(windows), 0
    for key, positions in groups.items():
        starts = np.array([windows.clips[position].first_frame for position in positions])
        ends = np.array([windows.clips[position].end_frame for position in positions])
        low, high = int(starts.min()), int(ends.max())
        frames += high - low
        if frames > _MOST_FRAMES and found:
            break
        bodies = min(max(int(windows.bodies[position]) for position in positions), MOST_BODIES)
        whole = np.full((bodies, high - low, len(windows.layout), windows.coordinates), np.nan, dtype=np.float32)
        for number in _covering(starts, ends):
            first, end = int(starts[number]) - low, int(ends[number]) - low
            joints = windows.sequence(positions[number]).joints[:bodies, ..., : windows.coordinates]
            there = joints.any(axis=-1 if may_miss or windows.coordinates == 2 else (-2, -1), keepdims=True)
            place = ((np.arange(end - first) + 0.5) * joints.shape[1] / (end - first)).astype(np.int64)
            shown = np.where(there, joints, np.float32(np.nan))[:, place]
            part = whole[: len(shown), first:end]
            known = np.isfinite(part)
            shift = (part - shown)[known & np.isfinite(shown)].reshape(-1, shown.shape[-1])
            if not len(shift) and first:
                known_before = whole[: len(shown), first - 1] - shown[:, 0]
                shift = known_before[np.isfinite(known_before).all(-1)]
            shown = shown + (np.median(shift, axis=0) if len(shift) else np.float32(0))
            part[~known] = shown[~known]
        speed = rates.get(key[0], rate)
        found[key] = Moving(up.turn(whole), windows.layout, float(speed or 30.0), bool(speed), first=low)
    return found


def _covering(starts: np.ndarray, ends: np.ndarray) -> Sequence[int]:
    """Choose few windows that together lie over every frame that any lies over, in the order of time."""
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], ends[order]
    farthest = np.maximum.accumulate(np.where(ends == np.maximum.accumulate(ends), np.arange(len(ends)), 0))
    chosen, place = [], 0
    while place < len(order):
        chosen.append(int(order[place]))
        after = max(place + 1, int(np.searchsorted(starts, ends[place])))  # the first to start where this ends
        farther = int(farthest[after - 1])  # of those that start before it
        place = farther if ends[farther] > ends[place] else after
    return chosen
