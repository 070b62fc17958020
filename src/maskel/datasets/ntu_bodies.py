"""Selection of the people among the tracked bodies of an NTU RGB+D recording, as published.

The Kinect tracks ghosts: chairs, mirrors, one person under two ids. Every published number on NTU RGB+D rests on the
selection of SGN (Zhang et al., CVPR 2020, https://github.com/microsoft/SGN), which CTR-GCN, MAMP and HA-CM pass on:
short bodies and bodies wider than tall are dropped; the rest is ordered by motion and shares two tracks.

Note:
    The gap of a body that vanishes and returns is closed: its frames are counted one after the other, so that its later
    frames come too early. Published sets have this quirk, and so have these.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

SHORTEST_BODY = 12
"""Frames; shorter bodies are noise (``noise_len_thres`` 11 in SGN's ``get_raw_denoised_data.py``)."""
WIDEST_SPREAD = 0.8
"""Width over height of the joints' bounding box beyond which a frame is noise (``noise_spr_thres1``)."""
NOISY_SHARE = 0.69754
"""Share of noisy frames from which on a body is noise (``noise_spr_thres2``)."""


@dataclass(frozen=True, eq=False)
class TrackedBody:
    """All frames of one bodyID.

    Args:
        start: First frame, counted over the frames that have any body.
        joints: (T, V, C) metres, one row per frame in which the body is seen.
    """

    start: int
    joints: Float32[np.ndarray, "t v c"]

    def __len__(self) -> int:
        """Return the number of frames in which the body is seen."""
        return len(self.joints)

    @property
    def end(self) -> int:
        """Last frame, inclusive, if the body had never vanished."""
        return self.start + len(self) - 1


def select_bodies(bodies: Sequence[TrackedBody], frames: int) -> Float32[np.ndarray, "m t v c"]:
    """Merge a recording's bodies into one or two tracks.

    Args:
        bodies: All tracked bodies, at least one, in the order in which they first appear.
        frames: Number of frames that have any body.

    Returns:
        (M, T, V, C): one track if a single body was tracked or remains; else two, the second zero where
        no body overlaps the first in time. Empty frames of a recording with several bodies are cut out.
    """
    if len(bodies) == 1:
        return bodies[0].joints[np.newaxis]
    people = _people(bodies)
    vertices = people[0].joints.shape[1:]
    tracks = np.zeros((frames, min(len(people), 2), *vertices), dtype=np.float32)  # (T, M, V, C)
    first = people[0]
    tracks[first.start : first.end + 1, 0] = first.joints
    hulls = [(first.start, first.end), (0, 0)]
    for body in people[1:]:
        for track, (start, end) in enumerate(hulls):
            if min(end, body.end) - max(start, body.start) <= 0:
                tracks[body.start : body.end + 1, track] = body.joints
                hulls[track] = (min(start, body.start), max(end, body.end))
                break
    seen = tracks.reshape(frames, -1).sum(axis=1) != 0  # as published: the sum, not each coordinate
    return np.ascontiguousarray(tracks[seen].swapaxes(0, 1))


def _people(bodies: Sequence[TrackedBody]) -> list[TrackedBody]:
    """Return the bodies that are not noise, sorted by motion, the largest first."""
    people = [body for body in bodies if len(body) >= SHORTEST_BODY]
    if not people:  # here the published script fails
        return [max(bodies, key=len)]
    motions = {body: _motion(body.joints) for body in people}
    for body in tuple(people):
        if len(people) == 1:
            break
        noisy = _noisy_frames(body.joints)
        if noisy.mean() >= NOISY_SHARE:
            people.remove(body)
        elif noisy.any():
            motions[body] = min(motions[body], _motion(body.joints[~noisy]))
    return sorted(people, key=lambda body: motions[body], reverse=True)


def _motion(joints: Float32[np.ndarray, "t v c"]) -> np.float32:
    """Return the variance over frames and joints, summed over x, y and z; float32, frame by frame, as published."""
    return np.var(joints.reshape(-1, joints.shape[-1]), axis=0).sum()


def _noisy_frames(joints: Float32[np.ndarray, "t v c"]) -> Bool[np.ndarray, " t"]:
    """Return a mask of the frames in which the body is wider than a person of its height."""
    width, height = np.ptp(joints[..., :2], axis=1).T.astype(np.float64)
    return width > WIDEST_SPREAD * height
