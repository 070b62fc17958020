"""Masked modelling: hide most tokens, encode the rest, predict what was hidden."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float, Float32, Int64
from torch import Tensor

from maskel.draws import Purpose, body_keys, uniform
from maskel.losses import masked_mean_squared_error
from maskel.masking.base import Masking, TokenMask
from maskel.methods.base import Method, fold_bodies
from maskel.models.decoder import Decoder, DecoderKind, QueryDecoder
from maskel.models.encoder import Encoder
from maskel.models.patches import take_tokens, to_patches
from maskel.sequence import SkeletonBatch
from maskel.targets import Target

Bodies = Literal["all", "present"]
"""Which bodies are trained on: all M slots as published, absent ones included, or only those that were recorded."""


@dataclass(frozen=True)
class Reconstruction:
    """What one forward pass of masked modelling made of R bodies.

    Args:
        mask: Which tokens were hidden.
        visible: (R, K, D) the encoder's normed tokens, in the order of ``mask.keep``.
        predicted: (R, N - K, P) predictions for the masked tokens, in the order of ``mask.masked``.
        target: (R, N - K, P) what they should be.
    """

    mask: TokenMask
    visible: Float[Tensor, "r k d"]
    predicted: Float[Tensor, "r h p"]
    target: Float32[Tensor, "r h p"]


class MaskedMethod(Method):
    """What all masked modelling has in common, and what pictures draw.

    Attributes:
        decoder: What predicts it, thrown away after pre-training.
        target: What is predicted, or the part of it that pictures draw.
        bodies: Which bodies are trained on.
    """

    decoder: Decoder | QueryDecoder
    target: Target
    bodies: Bodies

    @property
    def standardised_within(self) -> str:
        """Within what the target is standardised, in words; empty if it is not."""
        return "token" if self.target.normalize else ""

    @abstractmethod
    def mask(self, joints: Float32[Tensor, "r t v c"], draws: Float32[Tensor, "r n"]) -> TokenMask:
        """Choose the tokens to hide.

        Args:
            joints: (R, T, V, C) a body each, in the encoder's stream.
            draws: (R, N) uniform on [0, 1), one per token; they decide the mask.
        """

    @abstractmethod
    def reconstruct(self, joints: Float32[Tensor, "r t v c"], draws: Float32[Tensor, "r n"]) -> Reconstruction:
        """Mask, encode, decode; arguments as for `mask`."""

    def see(
        self, batch: SkeletonBatch, keys: Int64[Tensor, " b"]
    ) -> tuple[Float32[Tensor, "r t v c"], Float32[Tensor, "r n"]]:
        """The batch's bodies to train on, in the encoder's stream, and the draws that mask them."""
        joints, rows = fold_bodies(batch, body_keys(keys, batch.joints.shape[1]), self.bodies == "present")
        return self.encoder.stream(joints), uniform(rows, Purpose.MASK, self.encoder.num_tokens)


class MaskedModeling(MaskedMethod):
    """Encoder, decoder, masking and target, composed.

    Args:
        encoder: The encoder to pre-train.
        masking: Strategy that hides tokens.
        target: What to predict.
        decoder_dim: Width of the decoder.
        decoder_depth: Blocks of the decoder.
        bodies: ``all`` as published, or ``present`` to skip absent bodies.
        decoder: What masked tokens attend to.
    """

    decoder: Decoder

    def __init__(
        self,
        encoder: Encoder,
        masking: Masking,
        target: Target,
        decoder_dim: int,
        decoder_depth: int,
        bodies: Bodies,
        decoder: DecoderKind = "full",
    ) -> None:
        super().__init__()
        masking.num_kept(encoder.num_tokens)  # a ratio that keeps nothing is refused before the first step
        self.encoder = encoder
        self.decoder = Decoder(encoder, decoder_dim, decoder_depth, decoder)
        self.masking = masking
        self.target = target
        self.bodies = bodies

    def mask(self, joints: Float32[Tensor, "r t v c"], draws: Float32[Tensor, "r n"]) -> TokenMask:
        """By the masking strategy, which sees the positions in the encoder's patches, and no scores."""
        config = self.encoder.config
        patches = to_patches(self.encoder.positions(joints), config.patch_frames, config.patch_joints)
        return self.masking(patches, draws)

    def reconstruct(self, joints: Float32[Tensor, "r t v c"], draws: Float32[Tensor, "r n"]) -> Reconstruction:
        """Mask, encode, decode."""
        config = self.encoder.config
        mask = self.mask(joints, draws)
        visible = self.encoder(joints, mask.keep)
        predicted = self.decoder(visible, mask)
        target = self.target(self.encoder.positions(joints), config.patch_frames, config.patch_joints)
        return Reconstruction(mask, visible, predicted, take_tokens(target, mask.masked))

    def forward(self, batch: SkeletonBatch, keys: Int64[Tensor, " b"]) -> dict[str, Tensor]:
        """Mean squared error on the masked tokens of the batch's bodies."""
        joints, draws = self.see(batch, keys)
        result = self.reconstruct(joints, draws)
        loss = masked_mean_squared_error(result.predicted, result.target)
        return {"loss": loss, "weight": loss.new_full((), len(joints))}
