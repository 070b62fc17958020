"""The decoder of masked modelling; thrown away after pre-training."""

from jaxtyping import Float
from torch import Tensor, nn

from maskel.errors import InputError
from maskel.masking.base import TokenMask
from maskel.models.encoder import DEEPEST, LARGEST, Encoder
from maskel.models.patches import put_tokens, take_tokens
from maskel.models.transformer import Transformer, initialise, position_embedding


class Decoder(nn.Module):
    """Puts visible tokens back on the grid, fills it with a learned mask token, and predicts the masked patches.

    Args:
        encoder: The encoder whose grid, heads and patches it serves.
        dim: Width of the decoder; the encoder's heads must divide it.
        depth: Transformer blocks.

    Raises:
        InputError: If the width or the depth is impossible, or the heads do not divide the width.
    """

    def __init__(self, encoder: Encoder, dim: int, depth: int) -> None:
        super().__init__()
        config = encoder.config
        if not (1 <= dim <= LARGEST and 0 <= depth <= DEEPEST):
            raise InputError(
                f"decoder: found decoder_dim {dim} and decoder_depth {depth}, "
                f"expected 1 to {LARGEST} and 0 to {DEEPEST}"
            )
        if dim % config.num_heads:
            raise InputError(f"decoder: the {config.num_heads} heads do not divide decoder_dim {dim}")
        self.embed = nn.Linear(config.dim, dim)
        self.transformer = Transformer(dim, depth, config.num_heads, config.mlp_ratio)
        self.predict = nn.Linear(dim, config.patch_frames * config.patch_joints * encoder.coordinates)
        self.apply(initialise)
        self.mask_token = position_embedding(1, 1, dim)
        self.time_embed = position_embedding(1, encoder.grid[0], 1, dim)
        self.joint_embed = position_embedding(1, 1, encoder.grid[1], dim)

    def forward(self, visible: Float[Tensor, "b k d"], mask: TokenMask) -> Float[Tensor, "b h p"]:
        """Predictions for the masked tokens, in the order of ``mask.masked``."""
        positions = (self.time_embed + self.joint_embed).flatten(1, 2)  # (1, N, D)
        embedded = self.embed(visible)
        grid = self.mask_token.to(embedded.dtype).expand(len(visible), positions.shape[1], -1)
        tokens = self.transformer(put_tokens(grid, mask.keep, embedded) + positions)
        return self.predict(take_tokens(tokens, mask.masked))
