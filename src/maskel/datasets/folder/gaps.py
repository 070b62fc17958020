"""Interpolation in time: joints that a detector missed, and other frame rates."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from jaxtyping import Bool, Float64

from maskel.datasets.windows import stretches
from maskel.layouts import Layout

MAX_GAP = 10
"""Frames. A body that is missing for longer has left; the default of an option."""


def fill_gaps(
    values: Float64[np.ndarray, "m t v c"], layout: Layout, max_gap: int = MAX_GAP
) -> Float64[np.ndarray, "m t v c"]:
    """Interpolate missing (NaN) joints between the frames around a gap; before and after, repeat the nearest frame.

    A whole body that is missing for more than ``max_gap`` frames stays missing there, and also before its first and
    after its last frame. A joint that is never seen is placed at the nearest seen joint of the tree.

    Args:
        values: (M, T, V, C) coordinates, or scores.
        layout: The layout whose tree determines the nearest joint.
        max_gap: Longest absence of a body to fill in, in frames; 0 for none.
    """
    filled = values.copy()
    for body, exists in zip(filled, body_exists(values), strict=True):
        spans = stretches(exists, max_gap)
        if not spans:
            continue
        wanted = np.concatenate([np.arange(first, end) for first, end in spans])
        for joint in range(body.shape[1]):
            seen = np.flatnonzero(~np.isnan(body[:, joint]).any(-1))
            for channel in range(body.shape[2]) if len(seen) else ():
                body[wanted, joint, channel] = np.interp(wanted, seen, body[seen, joint, channel])
        _place_unseen(body, wanted[0], layout)
    return filled


def resample_frames(
    values: Float64[np.ndarray, "m t v c"], source_fps: float, fps: float
) -> Float64[np.ndarray, "m s v c"]:
    """Resample a clip to another frame rate, linearly between the two frames around each new one.

    A joint that is missing in one of the two is missing in between.
    """
    last = values.shape[1] - 1
    times = np.arange(np.floor(last * fps / source_fps + 1e-9) + 1) * source_fps / fps  # in frames of the source
    before = np.minimum(np.floor(times + 1e-9).astype(np.int64), last)
    after = np.minimum(before + 1, last)
    share = np.clip(times - before, 0, 1)[:, np.newaxis, np.newaxis]
    exact = share < 1e-6
    return np.where(exact, values[:, before], (1 - share) * values[:, before] + share * values[:, after])


def body_exists(values: Float64[np.ndarray, "m t v c"]) -> Bool[np.ndarray, "m t"]:
    """Return an (M, T) mask of the frames in which a body has any joint."""
    return ~np.isnan(values).any(-1).all(-1)


@contextmanager
def all_may_be_missing() -> Iterator[None]:
    """Silence numpy's warnings about means of no values; the result is NaN, as intended."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


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
