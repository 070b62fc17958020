"""HA-CM: hierarchy and attention guided cross masking (Yin and Cao, 2024, arXiv 2409.17951).

====================  ===============================  =====================================
paper                 here                             where
====================  ===============================  =====================================
prior refinement      ``EncoderConfig.joints`` kept    ``maskel.models.encoder``
hyperbolic mapping    ``EncoderConfig.geometry``       same; ``maskel.geometry.exp_map``
joint hierarchy       ``JointHierarchy``               ``maskel.masking.hierarchy_aware``
global attention      ``TemporalAttention``            same
cross masking         ``CrossMasking``                 same
motion target         ``MotionTarget``                 ``maskel.targets``
cross-contrast loss   ``cross_contrast``, ``cc_alpha``  ``maskel.losses``
====================  ===============================  =====================================

Where paper and released code differ or the code is at fault, the default is what is evidently meant;
docs/methods/hacm.md lists every point. ``layout="scrambled"`` is the only trace of the release's token order here.
"""

from copy import deepcopy
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from maskel.distributed import gather_rows_with_gradient
from maskel.errors import InputError
from maskel.losses import Reduction, cross_contrast, masked_mean_squared_error
from maskel.masking.base import TokenMask
from maskel.masking.hierarchy_aware import (
    AttentionScale,
    CriterionSign,
    CrossMasking,
    Distance,
    JointHierarchy,
    Projections,
    SoftmaxAxis,
    TemporalAttention,
    Uniform,
)
from maskel.methods import hacm_released_layout
from maskel.methods.masked import Bodies, MaskedMethod, Reconstruction
from maskel.models.decoder import Decoder, DecoderKind
from maskel.models.encoder import Encoder
from maskel.models.patches import take_tokens, to_patches
from maskel.sequence import SkeletonBatch
from maskel.targets import HyperbolicMotionTarget, MotionTarget

Criteria = Literal["cross", "spatial", "temporal", "random"]
"""``cross``: attention for even patches in time, hierarchy for odd ones; else the same criterion for both."""


class HACM(MaskedMethod):
    """Predict the motion of masked joints; what stays visible is chosen by joint hierarchy and by temporal attention.

    Args:
        encoder: The encoder to pre-train; it reads the ``kept`` joints and maps its tokens into the Poincaré ball.
        masking: ``cross``; or, to compare, one criterion for all tokens: ``spatial``, ``temporal`` or ``random``.
        ratio: Share of tokens to mask, in (0, 1).
        mask_tau: Temperature of both criteria, above 0.
        criterion_sign: Whether tokens of high score stay visible (as released) or those of low score.
        distance: Of the joint hierarchy: ``poincare``; ``factor4``, as released; or ``euclidean``.
        root_weight: Weight of the distance to the root joints in the hierarchy, 0 or more.
        temporal_softmax: Attention sums to one over ``time``, or (as released) over the joints.
        attn_scale: Attention logits are divided by √D (``div``) or, as released, multiplied (``mul``).
        attn_proj: ``frozen`` random projections to query and key, as released, or ``none``.
        cc_alpha: Weight α of the contrast, in [0, 1): α·contrast + (1 - α)·reconstruction. None, as released: their
            plain sum. 0: no contrast.
        cc_inter: Add the released third term of the contrast, between the halves.
        cc_rows: Bodies to contrast: the ``valid`` ones (recorded, not copied, not empty in the view), or ``all``.
        cc_reduction: Squared errors of similarities: their ``mean``, as released, or ``row_sum``, B times that.
        target: ``motion``, or ``hyperbolic_motion``, as released.
        normalize_target: Standardise the target of each patch.
        layout: ``natural``; ``scrambled`` exists to reproduce the release, which mixes up times and joints.
        decoder_dim: Width of the decoder.
        decoder_depth: Blocks of the decoder.
        decoder: ``full`` as published, or ``cross``: masked tokens attend to visible ones only, which is quicker.
        bodies: ``all`` trains on absent bodies too, as published; ``present`` skips them.

    Raises:
        InputError: If the encoder is of another kind, or a number is out of range.
    """

    logged: ClassVar[tuple[str, ...]] = ("reconstruction", "contrast")
    decoder: Decoder
    _roots: Tensor

    def __init__(
        self,
        encoder: Encoder,
        masking: Criteria = "cross",
        ratio: float = 0.9,
        mask_tau: float = 0.9,
        criterion_sign: CriterionSign = "keep_high",
        distance: Distance = "poincare",
        root_weight: float = 0.01,
        temporal_softmax: SoftmaxAxis = "time",
        attn_scale: AttentionScale = "div",
        attn_proj: Projections = "frozen",
        cc_alpha: float | None = 0.5,
        cc_inter: bool = False,
        cc_rows: Literal["valid", "all"] = "valid",
        cc_reduction: Reduction = "mean",
        target: Literal["motion", "hyperbolic_motion"] = "motion",
        normalize_target: bool = True,
        layout: Literal["natural", "scrambled"] = "natural",
        decoder_dim: int = 256,
        decoder_depth: int = 3,
        decoder: DecoderKind = "full",
        bodies: Bodies = "all",
    ) -> None:
        super().__init__()
        _check(encoder, layout, ratio, root_weight, cc_alpha)

        attention = TemporalAttention(encoder.config.dim, temporal_softmax, attn_scale, attn_proj)
        hierarchy, alike = JointHierarchy(distance, root_weight), Uniform()
        even, odd = {
            "cross": (attention, hierarchy),
            "spatial": (hierarchy, hierarchy),
            "temporal": (attention, deepcopy(attention)),  # a file of weights holds no tensor under two names
            "random": (alike, alike),
        }[masking]
        self.masking = CrossMasking(even, odd, ratio, mask_tau, criterion_sign)
        self.kept = tuple(self.masking.num_kept(patches) for patches in _halves(encoder))
        self.encoder = encoder
        self.decoder = Decoder(encoder, decoder_dim, decoder_depth, decoder)
        kind = HyperbolicMotionTarget if target == "hyperbolic_motion" else MotionTarget
        self.target = kind(normalize=normalize_target)
        self.scrambled = layout == "scrambled"
        self.bodies = bodies
        self.cc_alpha, self.cc_inter, self.cc_rows, self.cc_reduction = cc_alpha, cc_inter, cc_rows, cc_reduction
        self.whole_batch = cc_alpha != 0
        self.register_buffer("_roots", torch.tensor(encoder.layout.group("roots")), persistent=False)

    @torch.no_grad()
    def embed(
        self, joints: Float32[Tensor, "r t v c"]
    ) -> tuple[Float32[Tensor, "r tp vp d"], Float32[Tensor, "r tp roots d"]]:
        """What the criteria see: every token with its position, and the roots without one; not yet in the ball."""
        encoder = self.encoder
        with torch.autocast(joints.device.type, enabled=False):
            tokens = encoder.embed(encoder.patches(joints)).unflatten(1, encoder.grid)
            roots = to_patches(joints.index_select(2, self._roots), encoder.config.patch_frames)
            return tokens, encoder.patch_embed(roots)

    @torch.no_grad()
    def mask(self, joints: Float32[Tensor, "r t v c"], draws: Float32[Tensor, "r n"]) -> TokenMask:
        """By both criteria; the tokens of even patches in time come first in ``keep``."""
        if self.scrambled:
            return hacm_released_layout.masks(self, joints, draws)[0]
        return self.masking(*self.embed(joints), draws)

    def reconstruct(self, joints: Float32[Tensor, "r t v c"], draws: Float32[Tensor, "r n"]) -> Reconstruction:
        """Mask, encode, decode."""
        if self.scrambled:
            return hacm_released_layout.reconstruct(self, joints, draws)
        mask = self.mask(joints, draws)
        visible = self.encoder(joints, mask.keep)
        predicted = self.decoder(visible, mask)
        return Reconstruction(mask, visible, predicted, take_tokens(self.targets(joints), mask.masked))

    def targets(self, joints: Float32[Tensor, "r t v c"]) -> Float32[Tensor, "r n p"]:
        """What to predict for every token, in token order."""
        return self.target(self.encoder.positions(joints), self.encoder.config.patch_frames, 1)

    def contrast(self, visible: Float[Tensor, "r k d"], rows: Int64[Tensor, " c"]) -> Float32[Tensor, ""]:
        """Contrast of the halves with the whole, among the bodies ``rows`` of all processes.

        Args:
            visible: (R, K, D) encoded tokens, those of even patches first.
            rows: (C,) which of the R bodies to contrast.
        """
        even, odd = (half.mean(1) for half in visible.float().index_select(0, rows).split(self.kept, 1))
        even, odd = gather_rows_with_gradient(torch.cat((even, odd), 1)).chunk(2, 1)
        share = self.kept[0] / sum(self.kept)
        whole = share * even + (1 - share) * odd
        return cross_contrast(even, odd, whole, self.cc_inter, self.cc_reduction)

    def contrasted(self, batch: SkeletonBatch) -> Int64[Tensor, " c"]:
        """Which of the bodies trained on are contrasted; a GPU is waited for, so ask before it has much to do."""
        valid = (batch.present & batch.joints.flatten(2).any(2)).flatten()
        if self.bodies == "present":
            valid = valid.index_select(0, batch.present_bodies())
        if self.cc_rows == "all":
            return torch.arange(len(valid), device=valid.device)
        return valid.nonzero().squeeze(1)

    def forward(self, batch: SkeletonBatch, keys: Int64[Tensor, " b"]) -> dict[str, Tensor]:
        """Mean squared error on the masked tokens, and contrast among the bodies of the whole batch."""
        joints, draws = self.see(batch, keys)
        rows = self.contrasted(batch)
        result = self.reconstruct(joints, draws)
        reconstruction = masked_mean_squared_error(result.predicted, result.target)
        contrast = self.contrast(result.visible, rows)
        # One weight serves both terms. The loop sums weight·gradient over processes and divides by all weights R. The
        # reconstruction is this process's mean over R_i bodies: R_i/R of the whole. The contrast is the same number on
        # each, of all bodies; its gradient reaches a process's rows from every process i, times R_i: R/R of the whole.
        if self.cc_alpha is None:
            loss = reconstruction + contrast
        else:
            loss = (1 - self.cc_alpha) * reconstruction + self.cc_alpha * contrast
        weight = loss.new_full((), len(joints))
        return {"loss": loss, "weight": weight, "reconstruction": reconstruction, "contrast": contrast}


def _halves(encoder: Encoder) -> tuple[int, int]:
    """Tokens of the even and of the odd patches in time."""
    times, joints = encoder.grid
    return (times + 1) // 2 * joints, times // 2 * joints


def _check(encoder: Encoder, layout: str, ratio: float, root_weight: float, cc_alpha: float | None) -> None:
    config = encoder.config
    if (config.joints, config.geometry, config.patch_joints) != ("kept", "poincare", 1):
        raise InputError(
            f"hacm: expected an encoder with joints kept, geometry poincare and patch_joints 1, as --config hacm sets; "
            f"found {config.joints}, {config.geometry} and {config.patch_joints}"
        )
    if encoder.grid[0] < 2 or (layout == "scrambled" and encoder.grid[0] % 2):
        even = "an even number" if layout == "scrambled" else "2 or more"
        raise InputError(
            f"hacm: found {encoder.grid[0]} patches in time, expected {even}; change the window or patch_frames"
        )
    if layout == "scrambled" and ratio < 0.5:
        raise InputError(f"hacm: found ratio {ratio}, expected 0.5 or more with the scrambled layout")
    if root_weight < 0:
        raise InputError(f"hacm: found root_weight {root_weight}, expected 0 or more")
    if cc_alpha is not None and not 0 <= cc_alpha < 1:
        raise InputError(f"hacm: found cc_alpha {cc_alpha}, expected null or a number from 0 to below 1")
