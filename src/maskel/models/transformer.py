"""Pre-norm transformer that encoder and decoder share."""

from collections import OrderedDict

import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.nn import functional


def attend(
    query: Float[Tensor, "b h n d"], key: Float[Tensor, "b h m d"], value: Float[Tensor, "b h m d"]
) -> Float[Tensor, "b h n d"]:
    """Compute softmax(Q·Kᵀ/√d)·V, the fastest way on this device; ``benchmarks/training_step.py`` measures it."""
    if query.device.type == "cpu" and query.dtype == torch.bfloat16:  # PyTorch's fused kernel is slower there
        return torch.softmax((query * query.shape[-1] ** -0.5) @ key.transpose(2, 3), -1) @ value
    return functional.scaled_dot_product_attention(query, key, value)


class Attention(nn.Module):
    """Multi-head attention, softmax(Q·Kᵀ/√d)·V, with biases.

    Args:
        dim: Width D.
        num_heads: Heads; must divide ``dim``.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(
        self, tokens: Float[Tensor, "b n d"], context: Float[Tensor, "b m d"] | None = None
    ) -> Float[Tensor, "b n d"]:
        """Let every token attend to ``context``; by default to the tokens themselves."""
        if context is None:
            query, key, value = self.qkv(tokens).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        else:
            dim = self.proj.in_features
            of_query, of_both = self.qkv.weight.split((dim, 2 * dim))
            query_bias, both_bias = self.qkv.bias.split((dim, 2 * dim))
            query = functional.linear(tokens, of_query, query_bias).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            both = functional.linear(context, of_both, both_bias)
            key, value = both.unflatten(2, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        attended = attend(query, key, value)  # (B, heads, N, D / heads)
        return self.proj(attended.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """One pre-norm block: x + Attention(norm1(x)), then x + mlp(norm2(x)); the mlp is Linear, GELU, Linear.

    Args:
        dim: Width D.
        num_heads: Attention heads.
        mlp_ratio: Width of the feed-forward layer over D.
    """

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = Attention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim)
        hidden = int(dim * mlp_ratio)
        layers = {"fc1": nn.Linear(dim, hidden), "gelu": nn.GELU(), "fc2": nn.Linear(hidden, dim)}
        self.mlp = nn.Sequential(OrderedDict(layers))

    def forward(
        self,
        tokens: Float[Tensor, "b n d"],
        scales: Float32[Tensor, "b 2"] | None = None,
        context: Float[Tensor, "b m d"] | None = None,
    ) -> Float[Tensor, "b n d"]:
        """Apply the block.

        Args:
            tokens: (B, N, D) tokens to update.
            scales: (B, 2) factors of the two residual branches of each sequence (stochastic depth).
            context: (B, M, D) tokens to attend to; by default the tokens themselves.
        """
        attended = self.attn(self.norm1(tokens), None if context is None else self.norm1(context))
        tokens = tokens + (attended if scales is None else attended * scales[:, 0, None, None])
        mixed = self.mlp(self.norm2(tokens))
        return tokens + (mixed if scales is None else mixed * scales[:, 1, None, None])


class Transformer(nn.Module):
    """Stack of blocks and a final LayerNorm.

    Args:
        dim: Width D.
        depth: Number of blocks.
        num_heads: Attention heads; must divide ``dim``.
        mlp_ratio: Width of the feed-forward layers over D.
    """

    def __init__(self, dim: int, depth: int, num_heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(dim, num_heads, mlp_ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(
        self, tokens: Float[Tensor, "b n d"], scales: Float32[Tensor, "b depth 2"] | None = None
    ) -> Float[Tensor, "b n d"]:
        """Apply all blocks and the norm; ``scales`` come from `drop_path_scales`, None turns stochastic depth off."""
        for number, block in enumerate(self.blocks):
            tokens = block(tokens, None if scales is None else scales[:, number])
        return self.norm(tokens)


def drop_path_scales(draws: Float32[Tensor, "b n"], depth: int, rate: float) -> Float32[Tensor, "b depth 2"]:
    """Compute the factors of stochastic depth: 0 for a dropped branch, 1 / (1 - rate) for a kept one.

    Args:
        draws: (B, 2·depth) draws on [0, 1).
        depth: Number of blocks.
        rate: Probability of dropping a branch of the last block, in [0, 1); it rises linearly from 0 in the first.
    """
    rates = torch.linspace(0, rate, depth, device=draws.device)[:, None]
    return (draws.view(-1, depth, 2) >= rates) / (1 - rates)


def initialise(module: nn.Module) -> None:
    """Initialise linear layers and norms as published: Xavier-uniform weights, zero biases, norms 1 and 0."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)


def position_embedding(*shape: int) -> nn.Parameter:
    """Make a learned embedding, truncated normal with standard deviation 0.02."""
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(*shape), std=0.02))
