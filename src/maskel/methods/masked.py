"""Masked modelling: hide most tokens, encode the rest, predict what was hidden."""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float, Float32, Int64
from torch import Tensor

from maskel.draws import Purpose, body_keys, uniform
from maskel.losses import masked_mean_squared_error
from maskel.masking.base import Masking, TokenMask
from maskel.methods.base import Method, fold_bodies
from maskel.models.decoder import Decoder
from maskel.models.encoder import Encoder
from maskel.models.patches import take_tokens
from maskel.sequence import SkeletonBatch
from maskel.targets import Target
from maskel.transforms import to_stream

Bodies = Literal["all", "present"]
"""Which bodies are trained on: all M slots as published, absent ones included, or only those that were recorded."""


@dataclass(frozen=True)
class Reconstruction:
    """What one forward pass of masked modelling made of R bodies.

    Args:
        mask: Which tokens were hidden.
        predicted: (R, N - K, P) predictions for the masked tokens.
        target: (R, N - K, P) what they should be.
    """

    mask: TokenMask
    predicted: Float[Tensor, "r h p"]
    target: Float32[Tensor, "r h p"]


class MaskedModeling(Method):
    """Encoder, decoder, masking and target, composed.

    Args:
        encoder: The encoder to pre-train.
        masking: Strategy that hides tokens.
        target: What to predict.
        decoder_dim: Width of the decoder.
        decoder_depth: Blocks of the decoder.
        bodies: ``all`` as published, or ``present`` to skip absent bodies.
    """

    def __init__(
        self,
        encoder: Encoder,
        masking: Masking,
        target: Target,
        decoder_dim: int,
        decoder_depth: int,
        bodies: Bodies,
    ) -> None:
        super().__init__()
        masking.num_kept(encoder.num_tokens)  # a ratio that keeps nothing is refused before the first step
        self.encoder = encoder
        self.decoder = Decoder(encoder, decoder_dim, decoder_depth)
        self.masking = masking
        self.target = target
        self.bodies = bodies

    def reconstruct(self, joints: Float32[Tensor, "r t v c"], draws: Float32[Tensor, "r n"]) -> Reconstruction:
        """Mask, encode, decode.

        Args:
            joints: (R, T, V, C) a body each, in the encoder's stream.
            draws: (R, N) uniform on [0, 1), one per token; they decide the mask.
        """
        config = self.encoder.config
        mask = self.masking(self.encoder.patches(joints), draws)
        visible = self.encoder(joints, mask.keep)
        predicted = self.decoder(visible, mask)
        target = self.target(joints, config.patch_frames, config.patch_joints)
        return Reconstruction(mask, predicted, take_tokens(target, mask.masked))

    def forward(self, batch: SkeletonBatch, keys: Int64[Tensor, " b"]) -> dict[str, Tensor]:
        """Mean squared error on the masked tokens of the batch's bodies."""
        joints, rows = fold_bodies(batch, body_keys(keys, batch.joints.shape[1]), self.bodies == "present")
        joints = to_stream(joints, self.encoder.config.stream, self.encoder.layout)
        result = self.reconstruct(joints, uniform(rows, Purpose.MASK, self.encoder.num_tokens))
        loss = masked_mean_squared_error(result.predicted, result.target)
        return {"loss": loss, "weight": loss.new_tensor(len(rows))}
