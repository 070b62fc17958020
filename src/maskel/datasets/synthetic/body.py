"""A performer's body: proportions, manner, and forward kinematics on the 25 joints of Kinect v2.

A body's own axes are x to its left, y up, z forward; metres and radians. Lengths are shares of body height, close to
the segment table of Drillis and Contini (1966), with the torso split where Kinect puts its joints.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from maskel.layouts import NTU25

SIDES = ("left", "right")

# Bone from the neighbour nearer the pelvis, standing straight with hanging arms, as shares of height.
_CENTRE = {
    "spine_base": (0.0, 0.0, 0.0),
    "spine_mid": (0.0, 0.155, 0.0),
    "spine_shoulder": (0.0, 0.125, 0.0),
    "neck": (0.0, 0.040, 0.0),
    "head": (0.0, 0.085, 0.015),
}
_LEFT = {
    "shoulder": (0.100, -0.020, 0.0),
    "elbow": (0.0, -0.165, 0.0),
    "wrist": (0.0, -0.145, 0.0),
    "hand": (0.0, -0.045, 0.0),
    "hand_tip": (0.0, -0.045, 0.0),
    "thumb": (-0.010, -0.025, 0.025),
    "hip": (0.047, -0.015, 0.0),
    "knee": (0.0, -0.235, 0.0),
    "ankle": (0.0, -0.235, 0.0),
    "foot": (0.005, -0.035, 0.065),
}


def _bones_outward() -> tuple[tuple[int, int], ...]:
    """Return the edges of the layout as (nearer the pelvis, farther), parents first."""
    reached, bones, rest = {NTU25.index("spine_base")}, [], set(NTU25.edges)
    while rest:
        for first, second in sorted(rest):
            if first in reached or second in reached:
                bones.append((first, second) if first in reached else (second, first))
                reached |= {first, second}
                rest.remove((first, second))
    return tuple(bones)


BONES = _bones_outward()


@dataclass(frozen=True)
class Performer:
    """A performer: the body and manner that all actions of one person share.

    Args:
        offsets: (V, 3) metres, each joint's bone from the neighbour nearer the pelvis, standing straight.
        hand: Preferred side, ``left`` or ``right``.
        tempo: Factor on the speed of every movement.
        amplitude: Factor on the size of every movement.
        slouch: Forward bend of the spine when idle, radians.
        stance: Outward angle of each leg when idle, radians.
        restlessness: Size of idle swaying, radians.
        carriage: (4,) how each arm hangs when idle: forward, outward, inward turn, elbow; radians.
    """

    offsets: Float64[np.ndarray, "v 3"]
    hand: str
    tempo: float
    amplitude: float
    slouch: float
    stance: float
    restlessness: float
    carriage: Float64[np.ndarray, " 4"]

    def length(self, *joints: str) -> float:
        """Summed length in metres of the bones that end in ``joints``."""
        return float(sum(np.linalg.norm(self.offsets[NTU25.index(joint)]) for joint in joints))


def draw_performer(rng: np.random.Generator) -> Performer:
    """Draw a performer with individual proportions and manner."""
    height = rng.uniform(1.5, 1.92)
    offsets = np.zeros((len(NTU25), 3))
    for joint, share in _CENTRE.items():
        offsets[NTU25.index(joint)] = np.multiply(share, height * rng.uniform(0.93, 1.07))
    for name, share in _LEFT.items():
        scale = height * rng.uniform(0.9, 1.1)
        offsets[NTU25.index(f"left_{name}")] = np.multiply(share, scale)
        offsets[NTU25.index(f"right_{name}")] = np.multiply(share, (-scale, scale, scale))
    return Performer(
        offsets,
        hand="left" if rng.random() < 0.3 else "right",
        tempo=rng.uniform(0.75, 1.3),
        amplitude=rng.uniform(0.7, 1.2),
        slouch=rng.uniform(-0.05, 0.25),
        stance=rng.uniform(0.02, 0.15),
        restlessness=rng.uniform(0.02, 0.07),
        carriage=rng.uniform((-0.15, 0.05, -0.2, 0.1), (0.3, 0.35, 0.4, 0.7)),
    )


def rotations(angles: Float64[np.ndarray, "*shape 3"]) -> Float64[np.ndarray, "*shape 3 3"]:
    """Return rotation matrices for angles about x, y, z: about y first (a limb's own axis), then z, then x."""
    cos_x, cos_y, cos_z = np.moveaxis(np.cos(angles), -1, 0)
    sin_x, sin_y, sin_z = np.moveaxis(np.sin(angles), -1, 0)
    across, along = sin_z * cos_y, sin_z * sin_y
    rows = (
        (cos_z * cos_y, -sin_z, cos_z * sin_y),
        (cos_x * across + sin_x * sin_y, cos_x * cos_z, cos_x * along - sin_x * cos_y),
        (sin_x * across - cos_x * sin_y, sin_x * cos_z, sin_x * along + cos_x * cos_y),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def forward_kinematics(
    offsets: Float64[np.ndarray, "v 3"], angles: Float64[np.ndarray, "t v 3"]
) -> Float64[np.ndarray, "t v 3"]:
    """Compute joint positions with the pelvis at the origin.

    Args:
        offsets: Bones at rest, metres.
        angles: Rotation of the bones beyond each joint, about x, y, z, radians.
    """
    turned = rotations(angles)
    joints = np.zeros(angles.shape)
    for near, far in BONES:
        joints[:, far] = joints[:, near] + turned[:, near] @ offsets[far]
        turned[:, far] = turned[:, near] @ turned[:, far]
    return joints
