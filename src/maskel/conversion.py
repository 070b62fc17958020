"""Conversion of joints from one layout to another: equal joints are copied, others estimated or invented.

Joints with equal names are equal, but for the trunk's middle, which has another name in every model (`_SAME`). A joint
that the source lacks is the mean of several joints if that is a fair estimate (`_MEANS`: the middle of the hips).
Otherwise it takes the position of the nearest joint of the source (`_NEAREST`: a hand's tip at the hand): it is
*invented* and has no motion of its own.
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
    "azure32": {"pelvis": "spine_base", "spine_navel": "spine_mid", "spine_chest": "spine_shoulder"},
    "halpe26": {"neck": "spine_shoulder", "mid_hip": "spine_base"},
    "florence15": {"neck": "spine_shoulder", "spine": "spine_mid"},
    "mediapipe33": {"left_foot_index": "left_foot", "right_foot_index": "right_foot"},
    **{name: {"pelvis": "spine_base", "spine2": "spine_mid"} for name in "smpl22 smpl24 smplh52 smplx55".split()},
    "h36m17": {"pelvis": "spine_base", "spine": "spine_mid", "thorax": "spine_shoulder"},
}
"""Joints that have another name in other layouts; here Kinect v2's name."""


def both_sides(table: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Repeat every line of a table with a ``*`` for the left and the right side."""
    return {
        joint.replace("*", side): tuple(other.replace("*", side) for other in others)
        for joint, others in table.items()
        for side in ("left", "right")
    }


_MEANS = both_sides(
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
"""Joint -> joints whose plain mean estimates it; these may be estimated themselves."""

_NEAREST = both_sides(
    {
        "nose": ("head",),
        "*_eye": ("nose", "head"),
        "*_eye_inner": ("*_eye", "nose", "head"),
        "*_eye_outer": ("*_eye", "nose", "head"),
        "*_ear": ("head", "nose"),
        "mouth_*": ("nose", "head"),
        "jaw": ("nose", "head"),
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
    | {
        f"*_{finger}_{number}": (f"*_{finger}", "*_hand", "*_wrist")
        for finger in "index middle pinky ring thumb".split()
        for number in (1, 2, 3)
    }
)
"""Joint that can only be invented -> candidates for its position; the first one of the source is used."""


@dataclass(frozen=True)
class Conversion:
    """Conversion of joints from one layout to another; made by `conversion`.

    Args:
        source: Layout of the given joints.
        target: Layout of the result.
        sources: Source joints of each target joint: one (copied), or several (their mean).
        weights: Weights of these source joints; they sum to one for each target joint.
        invented: Indices of target joints without a source; ``sources`` defines their positions.

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
        """Indices of target joints that are a joint of the source, under the same or another name."""
        return tuple(
            joint for joint, made_of in enumerate(self.sources) if len(made_of) == 1 and joint not in self.invented
        )

    @cached_property
    def lost(self) -> tuple[int, ...]:
        """Indices of source joints that no target joint uses."""
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
        """Convert joints (..., V, C) of the source to joints (..., V', C) of the target.

        Absent bodies and frames, all zero, stay zero. Fill in missing joints of existing bodies first: a joint of zeros
        counts as a point at the origin.
        """
        if isinstance(joints, Tensor):
            return joints.new_tensor(self.matrix) @ joints
        return self.matrix.astype(joints.dtype) @ joints

    def describe(self) -> str:
        """Return one sentence: the number of copied joints, and the names of means, invented and lost joints."""
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
    """Return the conversion from ``source`` to ``target``; it exists for every two layouts of maskel.

    Raises:
        InputError: If a target joint is not in the source, and no joint near it is known.

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
    shares = tuple(tuple(weights.values()) for weights in made_of)
    return Conversion(source, target, tuple(map(tuple, made_of)), shares, tuple(invented))


def trunk_middle(layout: Layout) -> Float64[np.ndarray, " v"]:
    """Return weights of a layout's joints: their weighted sum is the middle of the trunk, the origin of recordings.

    It is the joint at which NTU RGB+D is centred, if the layout has it, else an estimate of this joint.

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
    """Return the joints of a layout by the names that all layouts share."""
    common = _SAME.get(layout.name, {})
    return {common.get(joint, joint): place for place, joint in enumerate(layout.joints)}


def _weights(landmark: str, places: Mapping[str, int]) -> dict[int, float]:
    """Return the joints whose weighted sum is the landmark; none if it cannot be estimated."""
    if landmark in places:
        return {places[landmark]: 1.0}
    weights: dict[int, float] = {}
    parts = [_weights(part, places) for part in _MEANS.get(landmark, ())]
    if all(parts):
        for part in parts:
            for joint, weight in part.items():
                weights[joint] = weights.get(joint, 0.0) + weight / len(parts)
    return weights
