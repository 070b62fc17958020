"""HA-CM: hierarchy and attention guided cross masking (Yin and Cao, 2024, arXiv 2409.17951).

| paper | here | where |
|---|---|---|
| prior refinement | ``EncoderConfig.joints`` kept | ``maskel.models.encoder`` |
| hyperbolic mapping | ``EncoderConfig.geometry`` | same; ``maskel.geometry.exp_map`` |
| joint hierarchy | ``JointHierarchy`` | ``maskel.masking.hierarchy_aware`` |
| global attention | ``TemporalAttention`` | same |
| cross masking | ``CrossMasking`` | same |
| motion target | ``MotionTarget`` | ``maskel.targets.motion`` |
| cross-contrast loss | ``cross_contrast``, ``cc_alpha`` | ``maskel.losses`` |

Where paper and released code differ or the code is at fault, the default is what is evidently meant;
docs/methods/hacm.md lists every point. All switches are fields of `HACMVariant` (``maskel.methods.hacm_variant``). Here
``scrambled`` is the only trace of the release's token order.
"""

from collections.abc import Collection
from copy import deepcopy
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from maskel.distributed import gather_rows_with_gradient
from maskel.errors import InputError
from maskel.losses import cross_contrast, masked_mean_squared_error
from maskel.masking.base import TokenMask
from maskel.masking.hierarchy_aware import CrossMasking, JointHierarchy, TemporalAttention, Uniform
from maskel.methods import hacm_released_order
from maskel.methods.hacm_variant import HACMVariant
from maskel.methods.masked import Bodies, MaskedMethod, Reconstruction
from maskel.models.decoder import Decoder, DecoderKind
from maskel.models.encoder import Encoder
from maskel.models.patches import take_tokens, to_patches
from maskel.sequence import SkeletonBatch
from maskel.targets import TARGETS

Criteria = Literal["cross", "spatial", "temporal", "random"]
"""Criteria of the mask. ``cross``: attention for even patches in time, hierarchy for odd ones; else one for both."""


class HACM(MaskedMethod):
    """Predict the motion of masked joints; joint hierarchy and temporal attention choose what stays visible.

    Args:
        encoder: The encoder to pre-train; it reads the ``kept`` joints and maps its tokens into the Poincaré ball.
        masking: ``cross``; or, to compare, one criterion for all tokens: ``spatial``, ``temporal`` or ``random``.
        mask_tau: Temperature of both criteria, above 0.
        switches: Fields of `HACMVariant` that differ from its defaults.

    Raises:
        InputError: If the encoder is of another kind, or a number is out of range.

    Examples:
        >>> import torch
        >>> from maskel import HACM, Encoder, EncoderConfig
        >>> from maskel.layouts import NTU25
        >>> sizes = {"window": 12, "patch_frames": 3, "dim": 32, "depth": 1, "num_heads": 4}
        >>> encoder = Encoder(NTU25, EncoderConfig(joints="kept", geometry="poincare", **sizes))
        >>> method = HACM(encoder, decoder_dim=32, distance="euclidean", cc_alpha=0.2)
        >>> method.mask(torch.randn(2, 12, 25, 3), torch.rand(2, 72)).keep.shape  # 3 of 36 tokens of each half
        torch.Size([2, 6])
    """

    logged: ClassVar[tuple[str, ...]] = ("reconstruction", "contrast")
    switches: ClassVar[type[HACMVariant] | None] = HACMVariant
    decoder: Decoder
    _roots: Tensor

    def __init__(
        self,
        encoder: Encoder,
        masking: Criteria = "cross",
        ratio: float = 0.9,
        mask_tau: float = 0.9,
        normalize_target: bool = True,
        decoder_dim: int = 256,
        decoder_depth: int = 3,
        decoder: DecoderKind = "full",
        bodies: Bodies = "all",
        **switches: Any,
    ) -> None:
        super().__init__()
        variant = HACMVariant(**switches)
        self.variant = variant
        self.scrambled = variant.token_order == "scrambled"
        _check(encoder, self.scrambled, ratio)

        attention = TemporalAttention(
            encoder.config.dim, variant.temporal_softmax, variant.attn_scale, variant.attn_proj
        )
        hierarchy, alike = JointHierarchy(variant.distance, variant.root_weight), Uniform()
        even, odd = {
            "cross": (attention, hierarchy),
            "spatial": (hierarchy, hierarchy),
            "temporal": (attention, deepcopy(attention)),  # a file of weights holds no tensor under two names
            "random": (alike, alike),
        }[masking]
        self.masking = CrossMasking(even, odd, ratio, mask_tau, variant.criterion_sign)
        times, joints = encoder.grid
        halves = (times + 1) // 2 * joints, times // 2 * joints  # tokens of the even and of the odd patches in time
        self.kept = tuple(self.masking.num_kept(tokens) for tokens in halves)
        self.encoder = encoder
        self.decoder = Decoder(encoder, decoder_dim, decoder_depth, decoder)
        self.target = TARGETS[variant.target](normalize=normalize_target)
        self.bodies = bodies
        self.needs_whole_batch = variant.cc_alpha != 0
        self.register_buffer("_roots", torch.tensor(encoder.layout.group("roots")), persistent=False)

    @torch.no_grad()
    def embed(
        self, joints: Float32[Tensor, "r t v c"]
    ) -> tuple[Float32[Tensor, "r tp vp d"], Float32[Tensor, "r tp roots d"]]:
        """Embed the tokens that the criteria score: all with positions, the roots without; not yet in the ball."""
        encoder = self.encoder
        with torch.autocast(joints.device.type, enabled=False):
            tokens = encoder.embed(encoder.patches(joints)).unflatten(1, encoder.grid)
            roots = to_patches(joints.index_select(2, self._roots), encoder.config.patch_frames)
            return tokens, encoder.patch_embed(roots)

    @torch.no_grad()
    def mask(self, joints: Float32[Tensor, "r t v c"], draws: Float32[Tensor, "r n"]) -> TokenMask:
        """Choose the tokens to hide by both criteria; those of even patches in time come first in ``keep``."""
        return self._masks(joints, draws)[0]

    def _masks(self, joints: Float32[Tensor, "r t v c"], draws: Float32[Tensor, "r n"]) -> tuple[TokenMask, TokenMask]:
        """Draw the mask, and the places of its tokens in the decoder: the same, but for the release's order."""
        if self.scrambled:
            return hacm_released_order.masks(self.masking, *self.embed(joints), draws)
        mask = self.masking(*self.embed(joints), draws)
        return mask, mask

    def reconstruct(self, joints: Float32[Tensor, "r t v c"], draws: Float32[Tensor, "r n"]) -> Reconstruction:
        """Mask, encode, decode."""
        mask, slots = self._masks(joints, draws)
        visible = self.encoder(joints, mask.keep)
        predicted = self.decoder(visible, slots)
        return Reconstruction(mask, visible, predicted, take_tokens(self.targets(joints), mask.masked))

    def targets(self, joints: Float32[Tensor, "r t v c"]) -> Float32[Tensor, "r n p"]:
        """Compute the target of every token, in token order."""
        return self.target(self.encoder.positions(joints), self.encoder.config.patch_frames, 1)

    def contrast(
        self, visible: Float[Tensor, "r k d"], rows: Bool[Tensor, " r"] | Int64[Tensor, " c"]
    ) -> Float32[Tensor, ""]:
        """Contrast the halves with the whole, among the bodies ``rows`` of all processes.

        Args:
            visible: (R, K, D) encoded tokens, those of even patches first.
            rows: (R,) True for the bodies to contrast; or (C,) their places among the R.
        """
        if rows.dtype != torch.bool:
            visible, rows = visible.index_select(0, rows), torch.ones_like(rows, dtype=torch.bool)
        halves = [half.mean(1) for half in visible.float().split(self.kept, 1)]
        gathered = gather_rows_with_gradient(torch.cat((*halves, rows[:, None]), 1))
        even, odd = gathered[:, :-1].chunk(2, 1)
        share = self.kept[0] / sum(self.kept)
        whole = share * even + (1 - share) * odd
        variant = self.variant
        return cross_contrast(even, odd, whole, variant.cc_inter, variant.cc_reduction, gathered[:, -1] > 0)

    def contrasted(self, batch: SkeletonBatch) -> Bool[Tensor, " r"]:
        """Mark the bodies to contrast, among those trained on."""
        valid = (batch.present & batch.joints.flatten(2).any(2)).flatten()
        if self.bodies == "present":
            valid = valid.index_select(0, batch.present_bodies())
        if self.variant.cc_rows == "all":
            valid = torch.ones_like(valid)
        weights = self.row_weights(batch)
        return valid if weights is None else valid & (weights > 0)

    def loss(self, batch: SkeletonBatch, keys: Int64[Tensor, " b"], there: Collection[int] | None) -> dict[str, Tensor]:
        """Compute the mean squared error on masked tokens, and the contrast among the bodies of the whole batch."""
        joints, draws = self.masked_inputs(batch, keys)
        result = self.reconstruct(joints, draws)
        reconstruction = masked_mean_squared_error(result.predicted, result.target, self.row_weights(batch))
        contrast = self.contrast(result.visible, self.contrasted(batch))
        # One weight serves both terms. The loop sums weight·gradient over processes and divides by all weights R. The
        # reconstruction is this process's mean over R_i bodies: R_i/R of the whole. The contrast is the same number on
        # each, of all bodies; its gradient reaches a process's rows from every process i, times R_i: R/R of the whole.
        alpha = self.variant.cc_alpha
        loss = reconstruction + contrast if alpha is None else (1 - alpha) * reconstruction + alpha * contrast
        weight = self.row_count(batch)
        return {"loss": loss, "weight": weight, "reconstruction": reconstruction, "contrast": contrast}


def _check(encoder: Encoder, scrambled: bool, ratio: float) -> None:
    config = encoder.config
    if (config.joints, config.geometry, config.patch_joints) != ("kept", "poincare", 1):
        raise InputError(
            f"hacm: expected an encoder with joints kept, geometry poincare and patch_joints 1, as --config hacm sets; "
            f"found {config.joints}, {config.geometry} and {config.patch_joints}"
        )
    if encoder.grid[0] < 2 or (scrambled and encoder.grid[0] % 2):
        even = "an even number" if scrambled else "2 or more"
        raise InputError(
            f"hacm: found {encoder.grid[0]} patches in time, expected {even}; change the window or patch_frames"
        )
    if scrambled and ratio < 0.5:
        raise InputError(f"hacm: found ratio {ratio}, expected 0.5 or more with the scrambled token order")
