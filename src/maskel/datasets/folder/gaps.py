"""Joints that a detector missed, and recordings of another frame rate: both are interpolated in time."""

import numpy as np
from jaxtyping import Bool, Float64

from maskel.layouts import Layout

MAX_GAP = 10
"""Frames; a body that is missing for longer has left, unless an option says otherwise."""


def fill_gaps(
    values: Float64[np.ndarray, "m t v c"], layout: Layout, max_gap: int = MAX_GAP
) -> Float64[np.ndarray, "m t v c"]:
    """Missing joints, NaN, on the line between the frames around the gap, and where they are first or last seen beyond.

    A body that is missing as a whole for more than ``max_gap`` frames stays missing there, and so it does before its
    first and after its last frame. A joint that is never seen stands at the nearest joint of the tree that is.

    Args:
        values: (M, T, V, C) coordinates, or scores.
        layout: Whose tree says which joint is near.
        max_gap: Longest absence of a body that is filled in, in frames; 0 for none.
    """
    filled = values.copy()
    for body, exists in zip(filled, body_exists(values), strict=True):
        frames = np.flatnonzero(exists)
        if not len(frames):
            continue
        wanted = np.flatnonzero(_with_short_gaps(exists, max_gap))
        for joint in range(body.shape[1]):
            seen = np.flatnonzero(~np.isnan(body[:, joint]).any(-1))
            for channel in range(body.shape[2]) if len(seen) else ():
                body[wanted, joint, channel] = np.interp(wanted, seen, body[seen, joint, channel])
        _place_unseen(body, wanted[0], layout)
    return filled


def resample_frames(
    values: Float64[np.ndarray, "m t v c"], source_fps: float, fps: float
) -> Float64[np.ndarray, "m s v c"]:
    """The clip at another frame rate, linear between the two frames around each new one.

    What is missing in one of the two is missing in between.
    """
    last = values.shape[1] - 1
    times = np.arange(np.floor(last * fps / source_fps + 1e-9) + 1) * source_fps / fps  # in frames of the source
    before = np.minimum(np.floor(times + 1e-9).astype(np.int64), last)
    after = np.minimum(before + 1, last)
    share = np.clip(times - before, 0, 1)[:, np.newaxis, np.newaxis]
    exact = share < 1e-6
    return np.where(exact, values[:, before], (1 - share) * values[:, before] + share * values[:, after])


def body_exists(values: Float64[np.ndarray, "m t v c"]) -> Bool[np.ndarray, "m t"]:
    """In which frames a body has any joint."""
    return ~np.isnan(values).any(-1).all(-1)


def _with_short_gaps(exists: Bool[np.ndarray, " t"], max_gap: int) -> Bool[np.ndarray, " t"]:
    """The frames in which a body exists, and those between two of them that are at most ``max_gap`` + 1 apart."""
    wanted = exists.copy()
    frames = np.flatnonzero(exists)
    short = np.diff(frames) <= max_gap + 1
    for first, last in zip(frames[:-1][short].tolist(), frames[1:][short].tolist(), strict=True):
        wanted[first:last] = True
    return wanted


def _place_unseen(body: Float64[np.ndarray, "t v c"], frame: np.int64, layout: Layout) -> None:
    unseen = set(np.flatnonzero(np.isnan(body[frame]).any(-1)).tolist())
    while unseen:
        near = {}
        for parent, joint in layout.edges:
            if joint in unseen and parent not in unseen:
                near[joint] = parent
            elif parent in unseen and joint not in unseen:
                near.setdefault(parent, joint)
        for joint, other in near.items():
            body[:, joint] = body[:, other]
        unseen -= near.keys()
