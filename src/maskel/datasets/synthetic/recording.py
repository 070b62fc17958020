"""Simulated recording of a performance by a Kinect: another view, noise, and the faults of real recordings."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64

from maskel.datasets.synthetic.body import rotations
from maskel.layouts import NTU25

VIEWS = (np.pi / 4, 0.0, -np.pi / 4)
"""Direction in radians from which each camera sees the performance; more cameras start over."""
VIEW_JITTER = 0.15
"""Standard deviation of a camera's direction, radians."""


@dataclass(frozen=True)
class Setup:
    """Position of the cameras.

    Args:
        distance: From the middle of the performance, metres.
        height: Above the floor, metres.
        tilt: Downward angle of the cameras, radians.
    """

    distance: float
    height: float
    tilt: float


SETUPS = (Setup(2.7, 0.9, -0.05), Setup(3.1, 1.3, 0.05), Setup(3.5, 1.1, 0.0), Setup(2.9, 1.8, 0.2))

WHITE_NOISE = 0.003
"""Standard deviation of a joint's independent error in each frame, metres; extremities three times as much."""
DRIFT = 0.010
"""Standard deviation of a joint's slow error, metres; extremities twice as much."""
INFERRED_FACTOR = 2.5
"""Factor on the noise of joints that the body itself hides from the camera."""
JUMP = 0.002
"""Probability that an extremity jumps aside in a frame, for up to 6 frames."""

SHORT_GHOST = 0.05
"""Probability of a ghost body of 2 to 11 frames."""
WIDE_GHOST = 0.03
"""Probability of furniture tracked as a body, wider than tall, for at least 12 frames."""
CHANGED_ID = 0.05
"""Probability that a body goes on under another id from some frame on."""
NO_BODY = 0.04
"""Probability that 1 to 5 frames lack every body."""
VANISHED = 0.03
"""Probability that one body vanishes for 3 to 10 frames and returns under its id."""
LATE = 0.15
"""Probability that the second body of a two-person action is seen only from some frame on."""

SHORTEST_CLIP = 30
"""Fewest frames with room for a change of id, a gap and a ghost."""

_FIRST_ID = 72057594037927936
_EXTREMITIES = [
    NTU25.index(f"{side}_{part}")
    for side in ("left", "right")
    for part in ("wrist", "hand", "hand_tip", "thumb", "ankle", "foot")
]


@dataclass(frozen=True)
class SensedBody:
    """One body, as tracked by the sensor.

    Args:
        body_id: 17 digits.
        joints: (T, V, 3) metres in the camera's frame, over all frames of the clip.
        inferred: (T, V) True for joints that the sensor guessed.
        seen: (T,) True for frames that have this body.
    """

    body_id: int
    joints: Float64[np.ndarray, "t v 3"]
    inferred: Bool[np.ndarray, "t v"]
    seen: Bool[np.ndarray, " t"]

    def during(self, frames: Bool[np.ndarray, " t"]) -> "SensedBody":
        """Return the same body, seen in these frames only."""
        return replace(self, seen=self.seen & frames)


def film(
    bodies: Float64[np.ndarray, "m t v 3"], setup: Setup, camera: int, rng: np.random.Generator
) -> Float64[np.ndarray, "m t v 3"]:
    """Transform a performance around the world's origin to a camera's frame: x right, y up, z away from the camera.

    Right is that of the mirrored picture Kinect shows, so a body facing the camera has its left at smaller x.

    Args:
        bodies: Metres, y = 0 on the floor, z towards the cameras.
        setup: Position of the cameras.
        camera: Number of the camera, from 1.
        rng: Source of the camera's jitter.
    """
    angle = np.pi + VIEWS[(camera - 1) % len(VIEWS)] + rng.normal(0.0, VIEW_JITTER)
    place = np.array([0.0, -setup.height, setup.distance]) + rng.normal(0.0, (0.15, 0.03, 0.1))
    level = bodies @ rotations(np.array([0.0, angle, 0.0])).T + place
    return level @ rotations(np.array([-setup.tilt, 0.0, 0.0])).T


def sense(clean: Float64[np.ndarray, "t v 3"], body_id: int, rng: np.random.Generator) -> SensedBody:
    """Add the sensor's errors to a body: white noise, slow drift, and extremities that jump aside."""
    frames, joints, _ = clean.shape
    depth = clean[..., 2] - clean[:, [NTU25.index("spine_mid")], 2]
    inferred = depth > 0.15
    factor = np.where(inferred, INFERRED_FACTOR, 1.0)[..., None]
    white = np.full((joints, 1), WHITE_NOISE)
    drift = np.full((joints, 1), DRIFT)
    white[_EXTREMITIES] *= 3.0
    drift[_EXTREMITIES] *= 2.0
    noisy = clean + rng.normal(size=clean.shape) * white * factor + _slow(frames, joints, rng) * drift * factor
    for frame, which in np.argwhere(rng.random((frames, len(_EXTREMITIES))) < JUMP):
        joint, until = _EXTREMITIES[which], frame + int(rng.integers(1, 7))
        noisy[frame:until, joint] += rng.normal(0.0, 0.1, size=3)
        inferred[frame:until, joint] = True
    return SensedBody(body_id, noisy, inferred, np.ones(frames, dtype=bool))


def _slow(frames: int, joints: int, rng: np.random.Generator) -> Float64[np.ndarray, "t v 3"]:
    """Draw slow noise of about unit size: a sine with random frequency and phase for each coordinate."""
    turns = rng.uniform(0.005, 0.03, size=(joints, 3)) * np.arange(frames)[:, None, None]
    size = np.sqrt(2.0) * rng.uniform(0.3, 1.4, size=(joints, 3))
    return size * np.sin(2 * np.pi * (turns + rng.random((joints, 3))))


def record(bodies: Float64[np.ndarray, "m t v 3"], first_id: int, rng: np.random.Generator) -> list[SensedBody]:
    """Record the bodies as the sensor tracks them: with noise, and now and then a fault of real recordings.

    Args:
        bodies: In the camera's frame, metres, at least ``SHORTEST_CLIP`` frames.
        first_id: Number that makes this recording's body ids unique.
        rng: Source of noise and faults.
    """
    frames = bodies.shape[1]
    ids = iter(range(_FIRST_ID + first_id, 10**17))
    tracked = [sense(body, next(ids), rng) for body in bodies]
    if len(tracked) > 1 and rng.random() < LATE:
        tracked[-1] = tracked[-1].during(np.arange(frames) >= rng.integers(frames // 6, frames // 3))
    if rng.random() < VANISHED:
        which = int(rng.integers(len(tracked)))
        tracked[which] = tracked[which].during(~_interval(frames, 3, 10, rng))
    if rng.random() < CHANGED_ID:
        which = int(rng.integers(len(tracked)))
        body, before = tracked[which], np.arange(frames) < rng.integers(frames * 2 // 5, frames * 3 // 5)
        tracked[which] = body.during(before)
        tracked.append(replace(body.during(~before), body_id=next(ids)))
    if rng.random() < SHORT_GHOST:
        tracked.append(_ghost(bodies[0], next(ids), _interval(frames, 2, 11, rng), rng))
    if rng.random() < WIDE_GHOST:
        tracked.append(_furniture(bodies[0], next(ids), _interval(frames, 12, frames // 2, rng), rng))
    if rng.random() < NO_BODY:
        empty = _interval(frames, 1, 5, rng)
        tracked = [body.during(~empty) for body in tracked]
    return tracked


def _interval(frames: int, shortest: int, longest: int, rng: np.random.Generator) -> Bool[np.ndarray, " t"]:
    """Draw frames in a row, without the first and the last frame."""
    length = int(rng.integers(shortest, longest + 1))
    start = int(rng.integers(1, frames - length))
    position = np.arange(frames)
    return (position >= start) & (position < start + length)


def _ghost(
    body: Float64[np.ndarray, "t v 3"], body_id: int, seen: Bool[np.ndarray, " t"], rng: np.random.Generator
) -> SensedBody:
    """Return a shaky frozen copy of a body somewhere else in the room."""
    aside = rng.uniform((0.5, -0.2, -0.4), (1.2, 0.2, 0.8)) * (rng.choice((-1.0, 1.0)), 1.0, 1.0)
    joints = np.repeat(body[:1] * rng.uniform(0.85, 1.0), len(body), axis=0) + aside
    joints += rng.normal(0.0, 0.05, size=body.shape)
    return SensedBody(body_id, joints, np.ones(body.shape[:2], dtype=bool), seen)


def _furniture(
    body: Float64[np.ndarray, "t v 3"], body_id: int, seen: Bool[np.ndarray, " t"], rng: np.random.Generator
) -> SensedBody:
    """Return joints scattered over something low and wide: a table or a row of chairs."""
    size = rng.uniform((1.0, 0.4, 0.3), (1.6, 0.6, 0.8))
    place = body[0].mean(axis=0) + rng.uniform((-0.8, -0.6, 0.2), (0.8, -0.3, 0.9))
    spot = place + (rng.random((body.shape[1], 3)) - 0.5) * size
    joints = np.repeat(spot[None], len(body), axis=0) + rng.normal(0.0, 0.01, size=body.shape)
    return SensedBody(body_id, joints, np.ones(body.shape[:2], dtype=bool), seen)
