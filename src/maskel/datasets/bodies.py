"""How large the bodies of a prepared set are, and which way is up in it.

A body's size is the diagonal of its bounding box. Both are found from a sample of the clips, so that large sets take
no longer than small ones.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32

from maskel.datasets.store import SkeletonSet
from maskel.layouts import layout_named

SMALLEST_METRES, LARGEST_METRES = 0.3, 3.0
"""Sizes between which a body in metres lies."""

_CLIPS, _FRAMES = 256, 16  # of a sample: evenly over the set, and evenly over each clip's body-frames
_AXES = "xyz"


def missing_joints(joints: Float32[np.ndarray, "r v c"], data: SkeletonSet) -> Bool[np.ndarray, "r v"] | None:
    """Which joints of bodies that exist are missing, all zero; None where no joint can be.

    In 3D a joint at zero may be the origin, unless the set was prepared with missing joints left at zero.
    """
    if data.coordinates == 3 and data.options.get("missing") != "zero":
        return None
    missing: Bool[np.ndarray, "r v"] = np.logical_not(joints.any(axis=2))
    return missing if missing.any() else None


def body_sizes(
    joints: Float32[np.ndarray, "r v c"], missing: Bool[np.ndarray, "r v"] | None = None
) -> Float32[np.ndarray, " r"]:
    """The diagonal of each body's bounding box, over the joints that are not missing."""
    return np.sqrt(np.square(body_extents(joints, missing)).sum(axis=0))


def body_extents(
    joints: Float32[np.ndarray, "r v c"], missing: Bool[np.ndarray, "r v"] | None = None
) -> Float32[np.ndarray, "c r"]:
    """How far each body reaches along each axis, over the joints that are not missing."""
    columns = np.ascontiguousarray(joints.transpose(2, 1, 0))  # the long axis last: many times faster
    if missing is None:
        return columns.max(axis=1) - columns.min(axis=1)
    hidden = np.broadcast_to(missing.T, columns.shape)
    high, low = np.where(hidden, -np.inf, columns).max(axis=1), np.where(hidden, np.inf, columns).min(axis=1)
    return np.where(hidden.all(axis=1), 0, high - low).astype(np.float32)


@dataclass(frozen=True)
class Sample:
    """Some body-frames of a set, evenly over its clips, all of them finite.

    Args:
        joints: (R, V, C) coordinates.
        missing: (R, V) which joints are missing; None where none can be.
    """

    joints: Float32[np.ndarray, "r v c"]
    missing: Bool[np.ndarray, "r v"] | None

    @classmethod
    def of(cls, data: SkeletonSet) -> "Sample":
        """The sample; always the same one of a set."""
        clips = np.unique(np.linspace(0, len(data) - 1, _CLIPS).astype(np.int64)).tolist()
        parts = []
        for clip in clips:
            joints = data.body_frames(clip, clip + 1).joints
            parts.append(joints[np.unique(np.linspace(0, len(joints) - 1, _FRAMES).astype(np.int64))])
        joints = np.concatenate(parts)
        joints = joints[np.isfinite(joints).all(axis=(1, 2))]
        return cls(joints, missing_joints(joints, data))


def usual_size(sample: Sample) -> float:
    """The median size of a body, in the set's unit; 0 if no body is whole."""
    with np.errstate(over="ignore"):  # damaged coordinates are another check's
        return float(np.median(body_sizes(sample.joints, sample.missing))) if len(sample.joints) else 0.0


@dataclass(frozen=True)
class Up:
    """Which way is up in a set.

    Args:
        axis: Which coordinate.
        sign: 1 where it grows upwards, -1 where it grows downwards, as y does in images.
        why: How this is known, in words.
        doubt: Where the bodies of the set point another way than they should: what was found, in words.
    """

    axis: int
    sign: int
    why: str
    doubt: str = ""

    def __str__(self) -> str:
        return _name(self.axis, self.sign)

    @property
    def across(self) -> str:
        """Name of the coordinate that pictures draw from left to right."""
        return _AXES[self._order[0]]

    @property
    def _order(self) -> list[int]:
        return {0: [1, 0, 2], 1: [0, 1, 2], 2: [0, 2, 1]}[self.axis]

    def turn(self, points: Float[np.ndarray, "*n c"]) -> Float[np.ndarray, "*n c"]:
        """Points or motions as pictures draw them: to the right, up, and the coordinate that is left."""
        turned = points[..., self._order[: points.shape[-1]]]
        turned[..., 1] *= self.sign
        return turned


def upward(data: SkeletonSet, sample: Sample | None = None) -> Up:
    """Which way is up: as the layout's tool or an image has it, else as heads and feet of the set's bodies say.

    Where more than half of the bodies contradict that rule, they are believed and the rule is not: pictures show heads
    above feet.

    Args:
        data: The set.
        sample: Of its bodies; taken where it is not given.
    """
    shares = _pointing(sample or Sample.of(data), data)
    best = max(shares, key=lambda way: shares[way], default=(1, 1))
    share = shares.get(best, 0.0)
    rule = _rule(data)
    if rule is None:
        if share > 0.5:
            return Up(*best, f"a guess: heads are on this side of the feet in {share:.0%} of frames")
        return Up(1, 1, "a guess: heads and feet do not tell")
    axis, sign, why = rule
    if best == (axis, sign) or share <= 0.5:
        return Up(axis, sign, why)
    doubt = f"{share:.0%} of heads point along {_name(*best)}, but expected {_name(axis, sign)} ({why})"
    return Up(*best, "as heads and feet have it", doubt)


def _name(axis: int, sign: int) -> str:
    return ("-" if sign < 0 else "") + _AXES[axis]


def _rule(data: SkeletonSet) -> tuple[int, int, str] | None:
    """What is known without a look at the bodies: axis, sign, and how."""
    if data.coordinates == 2:
        return 1, -1, "images count y downwards"
    name = data.options.get("layout") if data.options.get("to_layout") else data.layout.name
    layout = layout_named(name) if name else None
    if layout is None or not layout.up:
        return None
    return _AXES.index(layout.up[-1]), -1 if layout.up.startswith("-") else 1, f"as in {layout.name}"


def head_over_feet(
    joints: Float32[np.ndarray, "r v c"], missing: Bool[np.ndarray, "r v"] | None, data: SkeletonSet
) -> Float[np.ndarray, "r c"]:
    """From the middle of each body's feet to the middle of its head; not a number where all of either are missing."""
    middles = []
    for part in (data.layout.head, data.layout.feet):
        points = joints[:, part]
        if not part:
            middles.append(np.full((len(joints), joints.shape[2]), np.nan, np.float32))
        elif missing is None:
            middles.append(points.mean(axis=1))
        else:
            seen = ~missing[:, part]
            with np.errstate(invalid="ignore"):
                middles.append(np.einsum("rvc,rv->rc", points, seen) / seen.sum(axis=1)[:, np.newaxis])
    return middles[0] - middles[1]


def _pointing(sample: Sample, data: SkeletonSet) -> dict[tuple[int, int], float]:
    """For each direction the share of bodies whose head is, seen from the feet, that way more than any other."""
    along = head_over_feet(sample.joints, sample.missing, data)
    along = along[np.isfinite(along).all(axis=1) & along.any(axis=1)]
    if not len(along):
        return {}
    axes = np.abs(along).argmax(axis=1)
    signs = np.sign(along[np.arange(len(along)), axes])
    return {(axis, sign): float(((axes == axis) & (signs == sign)).mean()) for axis in range(3) for sign in (1, -1)}
