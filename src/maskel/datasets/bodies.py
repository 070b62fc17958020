"""Size of the bodies of a prepared set, and its upward direction.

A body's size is the diagonal of its bounding box. Both are estimated from a sample of the clips, so that large sets
take no longer than small ones.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32

from maskel.datasets.store import SkeletonSet
from maskel.layouts import LAYOUTS, Layout

SMALLEST_METRES, LARGEST_METRES = 0.3, 3.0
"""Smallest and largest size of a body in metres."""

_CLIPS, _FRAMES = 256, 16  # of a sample: evenly over the set, and evenly over each clip's body-frames
_AXES = "xyz"


def columns_of(joints: Float32[np.ndarray, "r v c"]) -> Float32[np.ndarray, "c v r"]:
    """Transpose joints so that the longest axis is last, which makes sums and differences many times faster."""
    return np.ascontiguousarray(joints.transpose(2, 1, 0))


def missing_joints(columns: Float32[np.ndarray, "c v r"], dataset: SkeletonSet) -> Bool[np.ndarray, "v r"] | None:
    """Return a mask of missing (all zero) joints of existing bodies; None where no joint is missing.

    In 3D a joint at zero may be the origin, unless the set was prepared with missing joints left at zero.
    """
    if dataset.coordinates == 3 and dataset.options.get("missing") != "zero":
        return None
    missing: Bool[np.ndarray, "v r"] = np.logical_not(columns.any(axis=0))
    return missing if missing.any() else None


def without_missing(joints: Float32[np.ndarray, "*n v c"], dataset: SkeletonSet) -> Float32[np.ndarray, "*n v c"]:
    """Replace missing joints by NaN; absent bodies stay zero."""
    rows = joints.reshape(-1, *joints.shape[-2:])
    missing = missing_joints(columns_of(rows), dataset)
    if missing is None:
        return joints
    gone = (missing & ~np.all(missing, axis=0, keepdims=True)).T  # (R, V)
    known: Float32[np.ndarray, "r v c"] = np.where(np.expand_dims(gone, 2), np.float32(np.nan), rows)
    return known.reshape(joints.shape)


def body_extents(
    columns: Float32[np.ndarray, "c v r"], missing: Bool[np.ndarray, "v r"] | None = None
) -> Float32[np.ndarray, "c r"]:
    """Return the extent of each body along each axis, over the joints that are not missing."""
    if missing is None:
        return columns.max(axis=1) - columns.min(axis=1)
    high, low = (np.where(missing, far, columns) for far in (np.float32(-np.inf), np.float32(np.inf)))
    return np.where(missing.all(axis=0), np.float32(0), high.max(axis=1) - low.min(axis=1))


def body_sizes(extents: Float32[np.ndarray, "c r"]) -> Float32[np.ndarray, " r"]:
    """Return the diagonal of each body's bounding box."""
    return np.sqrt(np.square(extents).sum(axis=0))


@dataclass(frozen=True)
class Sample:
    """A sample of a set's body-frames, evenly over its clips, all finite.

    Args:
        columns: (C, V, R) coordinates.
        missing: (V, R) True for missing joints; None where none are missing.
    """

    columns: Float32[np.ndarray, "c v r"]
    missing: Bool[np.ndarray, "v r"] | None

    @classmethod
    def of(cls, dataset: SkeletonSet) -> "Sample":
        """Draw the sample; the same for every call on a set."""
        clips = np.unique(np.linspace(0, len(dataset) - 1, _CLIPS).astype(np.int64)).tolist()
        parts = []
        for clip in clips:
            joints = dataset.body_frames(clip, clip + 1).joints
            parts.append(joints[np.unique(np.linspace(0, len(joints) - 1, _FRAMES).astype(np.int64))])
        joints = np.concatenate(parts)
        columns = columns_of(joints[np.isfinite(joints).all(axis=(1, 2))])
        return cls(columns, missing_joints(columns, dataset))


def usual_size(sample: Sample) -> float:
    """Return the median size of a body, in the set's unit; 0 if no body is finite."""
    with np.errstate(over="ignore"):  # another check reports damaged coordinates
        sizes = body_sizes(body_extents(sample.columns, sample.missing))
    return float(np.median(sizes)) if len(sizes) else 0.0


@dataclass(frozen=True)
class Up:
    """Upward direction of a set.

    Args:
        axis: Index of the vertical coordinate.
        sign: 1 where it grows upwards, -1 where it grows downwards, as y does in images.
        why: The reason, in words.
        doubt: The contradiction, in words, if the set's bodies point another way than its rule says; else empty.
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
        """Turn points or motions as pictures draw them: right, up, and the remaining coordinate."""
        turned = points[..., self._order[: points.shape[-1]]]
        turned[..., 1] *= self.sign
        return turned


def upward(dataset: SkeletonSet, sample: Sample | None = None) -> Up:
    """Return the upward direction: that of the layout's tool or of images, else the one from feet to heads.

    If more than half of the bodies contradict the rule, the bodies win: pictures show heads above feet.

    Args:
        dataset: The set.
        sample: A sample of its bodies; drawn by default.
    """
    shares = _pointing(sample or Sample.of(dataset), dataset.layout)
    return _decide(shares, _rule(dataset.coordinates, recorded_layout(dataset)))


def upward_of(joints: Float32[np.ndarray, "r v c"], layout: Layout) -> Up:
    """Return the upward direction of bodies that belong to no set, as `upward` does.

    Args:
        joints: Bodies; NaN where a joint is missing.
        layout: Their joints.
    """
    columns = columns_of(joints)
    missing = np.isnan(columns).any(axis=0)
    sample = Sample(np.nan_to_num(columns), missing if missing.any() else None)
    return _decide(_pointing(sample, layout), _rule(joints.shape[2], layout))


def _decide(shares: dict[tuple[int, int], float], rule: tuple[int, int, str] | None) -> Up:
    best = max(shares, key=lambda way: shares[way], default=(1, 1))
    share = shares.get(best, 0.0)
    if rule is None:
        if share > 0.5:
            return Up(*best, f"a guess: heads are on this side of the feet in {share:.0%} of frames")
        return Up(1, 1, "a guess: heads and feet do not tell")
    axis, sign, why = rule
    if best == (axis, sign) or share <= 0.5:
        return Up(axis, sign, why)
    doubt = f"{share:.0%} of heads point along {_name(*best)}, but expected {_name(axis, sign)} ({why})"
    return Up(*best, "as heads and feet have it", doubt)


def recorded_layout(dataset: SkeletonSet) -> Layout | None:
    """Return the layout of the recordings, before ``--to-layout``; None where the set does not record it."""
    if not dataset.options.get("to_layout"):
        return dataset.layout
    return LAYOUTS.get(str(dataset.options.get("layout")))


def _name(axis: int, sign: int) -> str:
    return ("-" if sign < 0 else "") + _AXES[axis]


def _rule(coordinates: int, layout: Layout | None) -> tuple[int, int, str] | None:
    """Return axis, sign and reason as known without a look at the bodies."""
    if coordinates == 2:
        return 1, -1, "images count y downwards"
    if layout is None or not layout.up:
        return None
    return _AXES.index(layout.up[-1]), -1 if layout.up.startswith("-") else 1, f"as in {layout.name}"


def head_over_feet(
    columns: Float32[np.ndarray, "c v r"], missing: Bool[np.ndarray, "v r"] | None, layout: Layout
) -> Float32[np.ndarray, "c r"]:
    """Return the vector from the middle of each body's feet to that of its head; NaN without a foot or head joint."""
    middles = []
    for part in (layout.head, layout.feet):
        points = columns[:, list(part)]
        seen = np.ones(points.shape[1:], dtype=bool) if missing is None else ~missing[list(part)]
        with np.errstate(invalid="ignore"):
            middles.append(points.sum(axis=1, where=seen) / seen.sum(axis=0, dtype=np.float32))
    return middles[0] - middles[1]


def _pointing(sample: Sample, layout: Layout) -> dict[tuple[int, int], float]:
    """Return, for each direction, the share of bodies whose head lies mainly that way from the feet."""
    along = head_over_feet(sample.columns, sample.missing, layout)
    along = along[:, np.isfinite(along).all(axis=0) & along.any(axis=0)]
    if not along.size:
        return {}
    axes = np.abs(along).argmax(axis=0)
    signs = np.sign(np.take_along_axis(along, axes[np.newaxis], axis=0)[0])
    return {(axis, sign): float(((axes == axis) & (signs == sign)).mean()) for axis in range(3) for sign in (1, -1)}
