"""Missing joints of a detector, in every code that tools write for them."""

import numpy as np
from jaxtyping import Bool, Float64

from maskel.datasets.folder.gaps import all_may_be_missing

PIXELS = 10.0
"""Typical size from which positions in 2D are pixels."""
ORIGIN_SIZES = 0.75
"""Body sizes. A joint at zero may be the recording's origin if the body's middle is within this distance."""
NEAR_ZERO = 0.05
"""Body sizes. A joint that is nearer to zero than this may be at zero in the next frame."""


def missing_joints(
    joints: Float64[np.ndarray, "m t v d"],
    scores: Float64[np.ndarray, "m t v"] | None = None,
    min_score: float = 0.0,
    occlusion: bool = False,
) -> Bool[np.ndarray, "m t v"]:
    """Return a mask of the missing joints of a recording.

    * NaN in any coordinate.
    * A score of zero or less, unless no score is above zero: then the scores were never filled in. ``min_score`` adds
      all lower scores.
    * All coordinates zero, but for the joint that is a body's origin (see `origin_joint`). In 3D a joint may also be
      the origin in one frame: it is close to zero in a neighbouring frame, or is the only joint at zero.
    * (-1, -1), in 3D (-1, -1, -1); in pixels any joint that is left of and above the image, if no other joint leaves it
      in one direction only. Whole numbers that are negative elsewhere too are left alone: there -1 may be a position.

    Args:
        joints: Coordinates.
        scores: Confidence of the detector; NaN where unknown.
        min_score: A joint with a lower score is missing.
        occlusion: The scores are visibilities; the position of a hidden joint is an estimate even at score zero.
    """
    missing = np.isnan(joints).any(-1)
    if scores is not None:
        with np.errstate(invalid="ignore"):
            if not occlusion and (scores > 0).any():
                missing |= scores <= 0
            if min_score > 0:
                missing |= ~(scores >= min_score)
    zero = (joints == 0).all(-1)
    for body, body_zero, body_missing in zip(joints, zero, missing, strict=True):
        absent = (body_zero | body_missing).all(1)
        origin = origin_joint(body, body_zero | body_missing)
        if origin is not None:
            body_zero[:, origin] &= absent
        body_zero &= ~_passes_zero(body, body_zero | body_missing) | absent[:, np.newaxis]
    missing |= zero
    return missing | _negative(joints, missing)


def origin_joint(joints: Float64[np.ndarray, "t v d"], missing: Bool[np.ndarray, "t v"]) -> int | None:
    """Return the joint that is zero in every frame because a body's coordinates are relative to it; None without one.

    A joint that was never detected is zero as well. A joint is not the origin if the body is far from zero, nor in 2D
    if no coordinate is negative, as in pixels.
    """
    exists = ~missing.all(1)
    always = (joints[exists] == 0).all((0, 2))
    if not exists.any() or always.sum() != 1:
        return None
    others = np.where(missing[exists][..., np.newaxis], np.nan, joints[exists])
    if joints.shape[-1] == 2 and not _on_both_sides(others):
        return None
    with all_may_be_missing():  # a body-frame without any joint
        low, high = np.nanmin(others, 1), np.nanmax(others, 1)
        distance = np.nanmedian(np.linalg.norm((low + high) / 2, axis=-1))
        size = np.nanmedian(np.linalg.norm(high - low, axis=-1))
    return int(always.argmax()) if distance <= ORIGIN_SIZES * size else None


def _passes_zero(joints: Float64[np.ndarray, "t v d"], missing: Bool[np.ndarray, "t v"]) -> Bool[np.ndarray, "t v"]:
    """Return a mask of the joints in 3D whose position may really be zero.

    Either the joint is very near zero in a neighbouring frame, or it alone is zero, in the first frame and never again.
    """
    passes = np.zeros(missing.shape, np.bool_)
    exists = np.flatnonzero(~missing.all(1))
    if joints.shape[-1] != 3 or not len(exists):
        return passes
    seen = np.where(missing[..., np.newaxis], np.nan, joints)[exists]
    low, high = np.nanmin(seen, 1), np.nanmax(seen, 1)
    sizes = np.linalg.norm(high - low, axis=-1)
    close = ~missing & (np.linalg.norm(np.nan_to_num(joints), axis=-1) < NEAR_ZERO * np.median(sizes))
    passes[1:] |= close[:-1]
    passes[:-1] |= close[1:]
    zero = (joints[exists] == 0).all(-1)
    alone = zero[0] & (zero.sum(0) == 1)
    if zero[0].sum() == 1 and np.linalg.norm(low[0] + high[0]) / 2 <= ORIGIN_SIZES * sizes[0]:
        passes[exists[0]] |= alone
    return passes


def _on_both_sides(joints: np.ndarray) -> bool:
    """Return True if coordinates of both signs are common, apart from -1, which may be a code."""
    seen = joints[~np.isnan(joints) & (joints != -1)]
    return bool(seen.size) and bool(0.05 <= (seen < 0).mean() <= 0.95)


def _negative(joints: Float64[np.ndarray, "m t v d"], missing: Bool[np.ndarray, "m t v"]) -> Bool[np.ndarray, "m t v"]:
    code = (joints == -1).all(-1) & ~missing
    seen = joints[~missing & ~code]
    if code.any() and seen.size and (seen < 0).any() and (seen == np.round(seen)).all():
        code[:] = False
    if joints.shape[-1] == 3 or not seen.size or np.median(np.abs(seen)) < PIXELS:
        return code
    outside = (joints < 0) & ~(missing | code)[..., np.newaxis]
    corner = outside.all(-1)
    return code if (outside.any(-1) & ~corner).any() else code | corner
