"""Decoders of masked modelling; thrown away after pre-training."""

from typing import Literal

from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from maskel.errors import InputError
from maskel.masking.base import TokenMask
from maskel.models.encoder import DEEPEST, LARGEST, Encoder
from maskel.models.patches import put_tokens, take_tokens
from maskel.models.transformer import Transformer, initialise, position_embedding

DecoderKind = Literal["full", "cross"]
"""Tokens that masked tokens attend to: all of the grid, as published, or the visible ones only."""


class Decoder(nn.Module):
    """Decoder that predicts masked patches from the visible tokens and a learned mask token at every masked place.

    ``full``, as published: all tokens of the grid attend to each other. ``cross``: masked tokens attend to the visible
    ones, which stay as they are; with 9 of 10 tokens masked that is a tenth of the attention. Both have the same
    weights.

    Args:
        encoder: The encoder whose grid, heads and patches it serves.
        dim: Width of the decoder; the encoder's heads must divide it.
        depth: Transformer blocks.
        kind: ``full`` or ``cross``.

    Raises:
        InputError: If the width or the depth is impossible, or the heads do not divide the width.
    """

    def __init__(self, encoder: Encoder, dim: int, depth: int, kind: DecoderKind = "full") -> None:
        super().__init__()
        config = encoder.config
        _check_sizes(encoder, dim, depth, least=1 if kind == "cross" else 0)
        self.kind = kind
        self.embed = nn.Linear(config.dim, dim)
        self.transformer = Transformer(dim, depth, config.num_heads, config.mlp_ratio)
        self.predict = nn.Linear(dim, config.patch_frames * config.patch_joints * encoder.coordinates)
        self.apply(initialise)
        self.mask_token = position_embedding(1, 1, dim)
        self.time_embed = position_embedding(1, encoder.grid[0], 1, dim)
        self.joint_embed = position_embedding(1, 1, encoder.grid[1], dim)

    def forward(self, visible: Float[Tensor, "b k d"], mask: TokenMask) -> Float[Tensor, "b h p"]:
        """Predict the masked tokens, in the order of ``mask.masked``."""
        positions = (self.time_embed + self.joint_embed).flatten(1, 2)  # (1, N, D)
        decode = self._among_all if self.kind == "full" else self._from_visible
        return self.predict(self.transformer.norm(decode(self.embed(visible), positions, mask)))

    def _among_all(self, visible: Tensor, positions: Tensor, mask: TokenMask) -> Float[Tensor, "b h d"]:
        grid = self.mask_token.to(visible.dtype).expand(len(visible), positions.shape[1], -1)
        tokens = put_tokens(grid, mask.keep, visible) + positions
        blocks = list(self.transformer.blocks)
        for block in blocks[:-1]:
            tokens = block(tokens)
        masked = take_tokens(tokens, mask.masked)  # of the last block nothing else is looked at
        return blocks[-1](masked, context=tokens) if blocks else masked

    def _from_visible(self, visible: Tensor, positions: Tensor, mask: TokenMask) -> Float[Tensor, "b h d"]:
        visible = visible + functional.embedding(mask.keep, positions[0])
        masked = self.mask_token + functional.embedding(mask.masked, positions[0])
        for block in self.transformer.blocks:
            masked = block(masked, context=visible)
        return masked


class QueryDecoder(nn.Module):
    """Decoder that predicts long spans of single joints by learned queries, which attend to the visible tokens alone.

    The decoder of AMR: cross-attention blocks only. There is one query for each span and each joint that the encoder
    reads, seen or not, and queries do not see each other.

    Args:
        encoder: The encoder whose grid, heads and joints it serves.
        dim: Width of the decoder; the encoder's heads must divide it.
        depth: Cross-attention blocks, 1 or more.
        spans: Spans of time Q.
        values: Values that each query predicts.

    Raises:
        InputError: If the width or the depth is impossible, or the heads do not divide the width.
    """

    def __init__(self, encoder: Encoder, dim: int, depth: int, spans: int, values: int) -> None:
        super().__init__()
        config = encoder.config
        _check_sizes(encoder, dim, depth, least=1)
        self.embed = nn.Linear(config.dim, dim)
        self.transformer = Transformer(dim, depth, config.num_heads, config.mlp_ratio)
        self.predict = nn.Linear(dim, values)
        self.apply(initialise)
        self.time_embed = position_embedding(1, encoder.grid[0], 1, dim)
        self.joint_embed = position_embedding(1, 1, encoder.grid[1], dim)
        self.query_time = position_embedding(1, spans, 1, dim)
        self.query_joint = position_embedding(1, 1, len(encoder.joints), dim)

    def forward(self, visible: Float[Tensor, "b k d"], keep: Int64[Tensor, "b k"]) -> Float[Tensor, "b q values"]:
        """Predict by all queries, in the order span·R + joint.

        Args:
            visible: (B, K, D) the encoder's tokens.
            keep: (B, K) their grid positions.
        """
        positions = (self.time_embed + self.joint_embed).flatten(1, 2)  # (1, N, D)
        context = self.embed(visible) + functional.embedding(keep, positions[0])
        queries = (self.query_time + self.query_joint).flatten(1, 2).expand(len(visible), -1, -1)
        for block in self.transformer.blocks:
            queries = block(queries, context=context)
        return self.predict(self.transformer.norm(queries))


def _check_sizes(encoder: Encoder, dim: int, depth: int, least: int) -> None:
    """Refuse impossible sizes. ``least`` is 1 where only blocks look at the visible tokens."""
    if not (1 <= dim <= LARGEST and least <= depth <= DEEPEST):
        raise InputError(
            f"decoder: found decoder_dim {dim} and decoder_depth {depth}, "
            f"expected 1 to {LARGEST} and {least} to {DEEPEST}"
        )
    if dim % encoder.config.num_heads:
        raise InputError(f"decoder: the {encoder.config.num_heads} heads do not divide decoder_dim {dim}")
