"""Converts joints from one layout to another: which joints are the same, which are estimated, which are made up.

Joints are the same where their names are, but for the trunk's middle, whose joints every model calls differently
(`_SAME`). A joint that the source lacks is the mean of others where that is a fair estimate (`_MEANS`: the middle of
the hips), and otherwise stands at the nearest joint there is (`_NEAREST`: a hand's tip at the hand): it is *invented*,
and no motion of its own is in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from jaxtyping import Float64
from torch import Tensor

from maskel.errors import InputError
from maskel.layouts import Layout

Joints = TypeVar("Joints", np.ndarray, Tensor)
"""Joints (..., V, C) of numpy or torch, of any floating type."""

_SAME: Mapping[str, Mapping[str, str]] = {
    "kinect20": {"hip_centre": "spine_base", "spine": "spine_mid", "shoulder_centre": "spine_shoulder"},
    "openpose18": {"neck": "spine_shoulder"},  # OpenPose's neck is the middle of the shoulders
    "openpose25": {"neck": "spine_shoulder", "mid_hip": "spine_base"},
    "mediapipe33": {"left_foot_index": "left_foot", "right_foot_index": "right_foot"},
    "smpl22": {"pelvis": "spine_base", "spine2": "spine_mid"},
    "smpl24": {"pelvis": "spine_base", "spine2": "spine_mid"},
    "h36m17": {"pelvis": "spine_base", "spine": "spine_mid", "thorax": "spine_shoulder"},
}
"""Joints of a layout that others know by another name, here that of Kinect v2."""


def _both_sides(table: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The table with every line that has a ``*`` once for the left and once for the right."""
    return {
        joint.replace("*", side): tuple(other.replace("*", side) for other in others)
        for joint, others in table.items()
        for side in ("left", "right")
    }


_MEANS = _both_sides(
    {
        "spine_base": ("left_hip", "right_hip"),
        "spine_shoulder": ("left_shoulder", "right_shoulder"),
        "spine_mid": ("spine_base", "spine_shoulder"),
        "spine1": ("spine_base", "spine_mid"),
        "spine3": ("spine_mid", "spine_shoulder"),
        "*_collar": ("spine_shoulder", "*_shoulder"),
        "neck": ("spine_shoulder", "head"),
        "head": ("left_ear", "right_ear"),
        "*_hand": ("*_wrist", "*_index", "*_pinky"),  # MediaPipe's fingers are their first knuckles
        "*_foot": ("*_big_toe", "*_small_toe"),
    }
)
"""What a joint is estimated from, as a plain mean; an entry's joints may be estimated themselves."""

_NEAREST = _both_sides(
    {
        "nose": ("head",),
        "*_eye": ("nose", "head"),
        "*_eye_inner": ("*_eye", "nose", "head"),
        "*_eye_outer": ("*_eye", "nose", "head"),
        "*_ear": ("head", "nose"),
        "mouth_*": ("nose", "head"),
        "*_hand": ("*_wrist",),
        "*_hand_tip": ("*_hand", "*_wrist"),
        "*_thumb": ("*_hand", "*_wrist"),
        "*_index": ("*_hand", "*_wrist"),
        "*_pinky": ("*_hand", "*_wrist"),
        "*_foot": ("*_ankle",),
        "*_heel": ("*_ankle",),
        "*_big_toe": ("*_foot", "*_ankle"),
        "*_small_toe": ("*_foot", "*_ankle"),
    }
)
"""Where a joint stands that can only be invented: at the first of these that the source has."""


@dataclass(frozen=True)
class Conversion:
    """How each joint of one layout comes from those of another; made by `conversion`.

    Args:
        source: Layout of the joints that are there.
        target: Layout that is wanted.
        sources: For each target joint the source joints it is made of: one (copied), or several (their mean).
        weights: For each target joint the weight of each of these; they sum to one.
        invented: Target joints, by index, that the source has nothing of; ``sources`` says where they are put.

    Examples:
        >>> from maskel.layouts import COCO17, NTU25
        >>> to_coco = conversion(NTU25, COCO17)
        >>> to_coco.apply(np.ones((50, 25, 3))).shape
        (50, 17, 3)
        >>> [COCO17.joints[joint] for joint in to_coco.invented]
        ['nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear']
    """

    source: Layout
    target: Layout
    sources: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[float, ...], ...]
    invented: tuple[int, ...]

    @cached_property
    def copied(self) -> tuple[int, ...]:
        """Target joints, by index, that are a joint of the source under the same or another name."""
        return tuple(
            joint for joint, made_of in enumerate(self.sources) if len(made_of) == 1 and joint not in self.invented
        )

    @cached_property
    def lost(self) -> tuple[int, ...]:
        """Source joints, by index, that no target joint is made of."""
        used = {joint for made_of in self.sources for joint in made_of}
        return tuple(joint for joint in range(len(self.source)) if joint not in used)

    @cached_property
    def matrix(self) -> Float64[np.ndarray, "target source"]:
        """The conversion as a linear map; each row sums to one."""
        matrix = np.zeros((len(self.target), len(self.source)))
        for row, made_of, weights in zip(matrix, self.sources, self.weights, strict=True):
            row[list(made_of)] = weights
        return matrix

    def apply(self, joints: Joints) -> Joints:
        """The joints (..., V, C) of the source as joints (..., V', C) of the target.

        Absent bodies and frames, all zero, stay zero. A joint that is missing in a body that exists must have been
        filled in before: as zeros it counts as a point at the origin.
        """
        if isinstance(joints, Tensor):
            return joints.new_tensor(self.matrix) @ joints
        return self.matrix.astype(joints.dtype) @ joints

    def describe(self) -> str:
        """One sentence: how many joints are copied, and which are means, invented and lost."""
        several = [joint for joint in range(len(self.target)) if joint not in {*self.copied, *self.invented}]
        parts = [f"{len(self.copied)} of {len(self.target)} joints are copied"]
        if several:
            parts.append(f"a mean of others: {', '.join(self._origin(joint, 'of') for joint in several)}")
        if self.invented:
            parts.append(f"invented: {', '.join(self._origin(joint, 'at') for joint in self.invented)}")
        if self.lost:
            parts.append(f"lost: {', '.join(self.source.joints[joint] for joint in self.lost)}")
        return f"{self.source.name} to {self.target.name}: {'; '.join(parts)}"

    def _origin(self, joint: int, preposition: str) -> str:
        made_of = ", ".join(self.source.joints[other] for other in self.sources[joint])
        return f"{self.target.joints[joint]} ({preposition} {made_of})"


def conversion(source: Layout, target: Layout) -> Conversion:
    """How the joints of ``target`` come from those of ``source``; every two layouts of maskel convert.

    Raises:
        InputError: If a target joint is neither one of the source's nor one of which is known what it is near.

    Examples:
        >>> from maskel.layouts import KINECT20, NTU25
        >>> print(conversion(NTU25, KINECT20).describe())
        ntu25 to kinect20: 20 of 20 joints are copied;
        lost: neck, left_hand_tip, left_thumb, right_hand_tip, right_thumb
    """
    places = _places(source)
    made_of = []
    invented = []
    for joint, landmark in enumerate(_places(target)):
        weights = _weights(landmark, places)
        if not weights:
            near = (_weights(other, places) for other in _NEAREST.get(landmark, ()))
            weights = next(filter(None, near), {})
            invented.append(joint)
        if not weights:
            raise InputError(
                f"joint {target.joints[joint]} of layout {target.name} has no equivalent in layout {source.name}, and "
                "none that it could be estimated from"
            )
        made_of.append(weights)
    return Conversion(
        source,
        target,
        tuple(map(tuple, made_of)),
        tuple(tuple(weights.values()) for weights in made_of),
        tuple(invented),
    )


def trunk_middle(layout: Layout) -> Float64[np.ndarray, " v"]:
    """Weights of a layout's joints whose sum is the middle of the trunk, to which recordings are centred.

    It is the joint at which NTU RGB+D is centred, where the layout has it, and an estimate of it elsewhere.

    Raises:
        InputError: If the layout has neither a middle of the trunk nor hips and shoulders.

    Examples:
        >>> from maskel.layouts import COCO17
        >>> {COCO17.joints[joint]: float(weight) for joint, weight in enumerate(trunk_middle(COCO17)) if weight}
        {'left_shoulder': 0.25, 'right_shoulder': 0.25, 'left_hip': 0.25, 'right_hip': 0.25}
    """
    weights = np.zeros(len(layout))
    found = _weights("spine_mid", _places(layout))
    if not found:
        raise InputError(f"layout {layout.name} has no middle of the trunk, nor hips and shoulders to estimate it from")
    weights[list(found)] = list(found.values())
    return weights


def _places(layout: Layout) -> dict[str, int]:
    """The joints of a layout by the names that all layouts share."""
    own = _SAME.get(layout.name, {})
    return {own.get(joint, joint): place for place, joint in enumerate(layout.joints)}


def _weights(landmark: str, places: Mapping[str, int]) -> dict[int, float]:
    """The joints whose weighted sum is the landmark; none where it cannot be estimated."""
    if landmark in places:
        return {places[landmark]: 1.0}
    weights: dict[int, float] = {}
    parts = [_weights(part, places) for part in _MEANS.get(landmark, ())]
    if all(parts):
        for part in parts:
            for joint, weight in part.items():
                weights[joint] = weights.get(joint, 0.0) + weight / len(parts)
    return weights
