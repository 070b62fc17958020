"""Switches of HA-CM: points on which its released code and the intended method differ, and ablations."""

from dataclasses import dataclass
from typing import Literal

from maskel.errors import InputError
from maskel.losses import Reduction
from maskel.masking.hierarchy_aware import AttentionScale, CriterionSign, Distance, Projections, SoftmaxAxis


@dataclass(frozen=True)
class HACMVariant:
    """A variant of HA-CM: the intended method by default, or as its public code computes it (`released`).

    Args:
        criterion_sign: Stay visible: tokens of high score (``keep_high``, as released) or of low score (``keep_low``).
        distance: Distance of the joint hierarchy: ``poincare``; ``factor4``, as released; or ``euclidean``.
        root_weight: Weight of a token's distance to the root, relative to that of its distance to each token of its
            time; a factor without unit, 0 or more. At 0.01, as released, the root hardly counts; at 1 it counts as one
            joint.
        temporal_softmax: Attention sums to one over ``time``, or (as released) over the joints.
        attn_scale: Attention logits are divided by √D (``div``) or, as released, multiplied (``mul``).
        attn_proj: ``frozen`` random projections to query and key, as released, or ``none``.
        cc_alpha: Weight α of the contrast, in [0, 1): the loss is α·contrast + (1 - α)·reconstruction. A larger α
            strengthens the contrast and weakens the reconstruction. 0 leaves the contrast out. None, as released, adds
            the two as they are.
        cc_inter: Add the released third term of the contrast, between the halves.
        cc_rows: Bodies to contrast: the ``valid`` ones (recorded, not copied, not empty in the view), or ``all``.
        cc_reduction: Squared errors of similarities: their ``mean``, as released, or ``row_sum``, B times that.
        target: ``motion``, or ``hyperbolic_motion``, as released.
        token_order: ``natural``; ``scrambled`` reproduces the release, which mixes up times and joints.

    Raises:
        InputError: If ``root_weight`` or ``cc_alpha`` is out of range.

    Examples:
        >>> from maskel.methods import HACMVariant
        >>> HACMVariant().distance, HACMVariant.released().distance
        ('poincare', 'factor4')
    """

    criterion_sign: CriterionSign = "keep_high"
    distance: Distance = "poincare"
    root_weight: float = 0.01
    temporal_softmax: SoftmaxAxis = "time"
    attn_scale: AttentionScale = "div"
    attn_proj: Projections = "frozen"
    cc_alpha: float | None = 0.5
    cc_inter: bool = False
    cc_rows: Literal["valid", "all"] = "valid"
    cc_reduction: Reduction = "mean"
    target: Literal["motion", "hyperbolic_motion"] = "motion"
    token_order: Literal["natural", "scrambled"] = "natural"

    def __post_init__(self) -> None:
        if not self.root_weight >= 0:
            raise InputError(f"hacm: found root_weight {self.root_weight}, expected 0 or more")
        if self.cc_alpha is not None and not 0 <= self.cc_alpha < 1:
            raise InputError(f"hacm: found cc_alpha {self.cc_alpha}, expected null or a number from 0 to below 1")

    @classmethod
    def released(cls) -> "HACMVariant":
        """Return the variant of the public code, its faults included (recipe ``hacm_released``)."""
        return cls(
            distance="factor4",
            temporal_softmax="joint",
            attn_scale="mul",
            cc_alpha=None,
            cc_inter=True,
            cc_rows="all",
            target="hyperbolic_motion",
            token_order="scrambled",
        )
