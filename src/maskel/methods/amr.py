"""AMR: masked prediction by learned queries over long spans, weighted by motion energy (after AMR, CVPR 2026).

AMR's code is not public, and its paper leaves details open; docs/methods/amr.md lists which choices are its own, which
are ours, and what is known of their effect.

| paper | here | where |
|---|---|---|
| random mask | ``RandomMasking`` | ``maskel.masking.random`` |
| learned queries, r = 6 | ``QueryDecoder``, ``query_frames`` 24 | ``maskel.models.decoder`` |
| motion-energy weights | ``energy_weights`` | ``maskel.losses`` |
| encoder | ``Encoder``, as MAMP's | ``maskel.models.encoder`` |
"""

from collections.abc import Collection, Sequence
from typing import Literal

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from maskel.errors import InputError
from maskel.losses import energy_weights, mean_of_rows
from maskel.masking import RandomMasking
from maskel.masking.base import TokenMask, mask_columns
from maskel.methods.masked import Bodies, MaskedMethod, Reconstruction
from maskel.models.decoder import QueryDecoder
from maskel.models.encoder import Encoder
from maskel.models.patches import take_tokens, to_patches
from maskel.sequence import SkeletonBatch
from maskel.targets import TARGETS, moments, standardised

QueryTarget = Literal["joints", "motion", "both"]
"""Signal that a query predicts: the joint's positions, their motion from frame to frame, or both in this order."""
Standardised = Literal["query", "joint", "clip"]
"""Extent over which a target is standardised: the query's own span, all spans of its joint, or the whole body."""
_AXES = {"query": (2, 4), "joint": (1, 2, 4), "clip": (1, 2, 3, 4)}
"""Axes of each extent, of a signal cut into spans, (R, Q, F, V, C)."""


class AMR(MaskedMethod):
    """Predict joints and motion of long spans from a few visible tokens; joints that move count more.

    The encoder sees the tokens that a uniform mask leaves. One learned query for each joint and each span of
    ``query_frames`` frames attends to them, and predicts the joint's whole span, whether parts of it were seen or not.

    Args:
        query_frames: Frames that a query predicts; must divide the window. By default a fifth of the window or the next
            smaller divisor: 24 of 120 frames, AMR's r = 6 patches of 4.
        target: ``joints``, ``motion``, or ``both``. AMR predicts joints; both is ours.
        standardise: Standardise the target over each ``query``, over a ``joint``'s whole window, or the ``clip``.
        energy: k of the loss's weights 1 / (1 + k·mean energy / energy), 0 or more; 0 weighs everything alike.
        energy_windows: Frames of the windows in which energy is measured; each must divide the window. By default those
            of 4, 8 and 12 that do.
        decoder_depth: Cross-attention blocks of the decoder.
        bodies: ``all`` trains on absent bodies too; ``present`` skips them.

    Raises:
        InputError: If an option is out of range, or spans or windows do not divide the encoder's window.

    Examples:
        >>> from maskel import AMR, Encoder, EncoderConfig
        >>> from maskel.layouts import NTU25
        >>> method = AMR(Encoder(NTU25, EncoderConfig(window=24, dim=32, depth=1, num_heads=4)), decoder_dim=32)
        >>> method.query_frames, method.energy_windows  # both divide the window of 24 frames
        (4, (4, 8, 12))
    """

    may_lack_joints = True

    def __init__(
        self,
        encoder: Encoder,
        ratio: float = 0.9,
        query_frames: int | None = None,
        target: QueryTarget = "both",
        standardise: Standardised = "query",
        energy: float = 0.01,
        energy_windows: Sequence[int] | None = None,
        decoder_dim: int = 256,
        decoder_depth: int = 4,
        bodies: Bodies = "all",
    ) -> None:
        super().__init__()
        window = encoder.config.window
        if query_frames is None:
            query_frames = next((f for f in range(window // 5, 1, -1) if window % f == 0), window)
        if energy_windows is None:
            energy_windows = [length for length in (4, 8, 12) if window % length == 0] or [window]
        _check(encoder, query_frames, energy, energy_windows)
        self.encoder = encoder
        self.masking = RandomMasking(ratio)
        self.masking.num_kept(encoder.num_tokens)  # a ratio that keeps nothing is refused before the first step
        self.signals = [
            TARGETS[name](normalize=False) for name in (("joints", "motion") if target == "both" else (target,))
        ]
        self.target = self.signals[0]
        self.query_frames = query_frames
        self.standardise = standardise
        self.energy = energy
        self.energy_windows = tuple(energy_windows)
        values = len(self.signals) * query_frames * encoder.coordinates
        self.decoder = QueryDecoder(encoder, decoder_dim, decoder_depth, encoder.config.window // query_frames, values)
        self.bodies = bodies

    @property
    def standardised_within(self) -> str:
        """Span, joint or clip over which the target is standardised."""
        return {"query": f"span of {self.query_frames} frames of a joint", "joint": "joint", "clip": "clip"}[
            self.standardise
        ]

    def mask(self, joints: Float32[Tensor, "r t v c"], draws: Float32[Tensor, "r n"]) -> TokenMask:
        """Hide every token with the same probability."""
        return self.masking(self.encoder.patches(joints), draws)

    def reconstruct(self, joints: Float32[Tensor, "r t v c"], draws: Float32[Tensor, "r n"]) -> Reconstruction:
        """Mask, encode, predict; return the masked tokens' part of the first signal, in its own units.

        For pictures the standardisation is undone with the true mean and spread, which the method does not know.
        """
        config, count = self.encoder.config, len(self.encoder.joints)
        mask = self.mask(joints, draws)
        visible = self.encoder(joints, mask.keep)
        predicted = self._unfold(self.decoder(visible, mask.keep).float())[:, :, :, 0]
        positions = self.encoder.positions(joints)
        signal = self.target.signal(positions)
        mean, spread = moments(self._spans(signal), _AXES[self.standardise])  # (R, Q, F, V, C)
        drawn = (predicted * spread + mean).reshape(len(joints), config.window, count, -1)
        patches = (
            to_patches(values, config.patch_frames, config.patch_joints).flatten(1, 2) for values in (drawn, signal)
        )
        return Reconstruction(mask, visible, *(take_tokens(tokens, mask.masked) for tokens in patches))

    def loss(self, batch: SkeletonBatch, keys: Int64[Tensor, " b"], there: Collection[int] | None) -> dict[str, Tensor]:
        """Compute the mean squared error of the queries of the joints ``there``, weighted by motion energy."""
        joints, draws = self.masked_inputs(batch, keys)
        positions = self.encoder.positions(joints)
        mask = (
            self.mask(joints, draws)
            if there is None
            else mask_columns(self.masking, self.encoder.patches(joints), draws, self.encoder.columns(there))
        )
        predicted = self._unfold(self.decoder(self.encoder(joints, mask.keep), mask.keep).float())
        if there is not None:
            known = torch.tensor(self.encoder.columns(there, patch_joints=1), device=joints.device)
            predicted, positions = predicted.index_select(4, known), positions.index_select(2, known)
        errors = (predicted - self._targets(positions)).square()
        if self.energy:
            weights = energy_weights(positions, self.energy_windows, self.energy)
            errors = errors * self._spans(weights[..., None])[:, :, :, None]
        loss = mean_of_rows(errors, self.row_weights(batch))
        return {"loss": loss, "weight": self.row_count(batch)}

    def _spans(self, signal: Float32[Tensor, "r t v c"]) -> Float32[Tensor, "r q f v c"]:
        """Cut a signal into the spans that queries predict."""
        return signal.unflatten(1, (-1, self.query_frames))

    @torch.no_grad()
    def _targets(self, positions: Float32[Tensor, "r t v c"]) -> Float32[Tensor, "r q f s v c"]:
        """Compute every signal S of the joints read, standardised."""
        spans = (self._spans(signal.signal(positions)) for signal in self.signals)
        return torch.stack([standardised(values, _AXES[self.standardise]) for values in spans], 3)

    def _unfold(self, predicted: Float[Tensor, "r queries values"]) -> Float[Tensor, "r q f s v c"]:
        """Reorder predictions as the targets are: span, frame, signal, joint, coordinate."""
        sizes = (-1, len(self.encoder.joints), len(self.signals), self.query_frames, self.encoder.coordinates)
        return predicted.view(len(predicted), *sizes).permute(0, 1, 4, 3, 2, 5)


def _check(encoder: Encoder, query_frames: int, energy: float, windows: Sequence[int]) -> None:
    window = encoder.config.window
    for name, frames in (("query_frames", (query_frames,)), ("energy_windows", windows)):
        if wrong := [length for length in frames if length < 1 or window % length]:
            raise InputError(f"amr: found {name} {wrong[0]}, expected a number that divides the window of {window}")
    if min((query_frames, *windows)) < 2 or not windows:
        raise InputError(
            "amr: found a span of one frame, or no energy_windows; expected 2 frames or more, and a window"
        )
    if not 0 <= energy < float("inf"):
        raise InputError(f"amr: found energy {energy}, expected 0 or more")
