"""Masks as sets of keep-indices on the token grid. A masking strategy only scores tokens."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor, nn

from maskel.errors import InputError


@dataclass(frozen=True)
class TokenMask:
    """Tokens that a network sees, and the others. Indices are always grid positions t'·V' + v.

    Args:
        keep: (B, K) visible tokens, none twice.
        masked: (B, N - K) all others.

    Examples:
        >>> import torch
        >>> from maskel.masking import TokenMask
        >>> TokenMask(keep=torch.tensor([[2, 0]]), masked=torch.tensor([[1, 3]])).hidden
        tensor([[False,  True, False,  True]])
    """

    keep: Int64[Tensor, "b k"]
    masked: Int64[Tensor, "b h"]

    @property
    def hidden(self) -> Bool[Tensor, "b n"]:
        """Mask with True where a token is masked: (B, N)."""
        count = self.keep.shape[1] + self.masked.shape[1]
        hidden = torch.ones(len(self.keep), count, dtype=torch.bool, device=self.keep.device)
        return hidden.scatter_(1, self.keep, False)


def gumbel(draws: Float32[Tensor, "b n"]) -> Float32[Tensor, "b n"]:
    """Turn draws on [0, 1) into Gumbel noise: sorting log-probability plus noise samples without replacement."""
    return -torch.log(-torch.log(draws + 1e-10) + 1e-10)


def num_kept(tokens: int, ratio: float) -> int:
    """Return how many of ``tokens`` stay visible when a share ``ratio`` is masked.

    Note:
        Rounded as the published code does: 74, not 75, of 750 at ratio 0.9.

    Raises:
        InputError: If none or all would stay visible.

    Examples:
        >>> from maskel.masking.base import num_kept
        >>> num_kept(750, 0.9)
        74
    """
    kept = int(tokens * (1 - ratio))
    if not 0 < kept < tokens:
        raise InputError(f"masking: ratio {ratio} keeps {kept} of {tokens} tokens; expected some, not all")
    return kept


class Masking(nn.Module, ABC):
    """Strategy that keeps the tokens with the lowest score plus Gumbel noise: sampling without replacement.

    A subclass writes only `score`; sampling, counting and rounding happen here, once.

    Args:
        ratio: Share of tokens to mask, in (0, 1).

    Raises:
        InputError: If the ratio is out of range.
    """

    def __init__(self, ratio: float = 0.9) -> None:
        super().__init__()
        if not 0 < ratio < 1:
            raise InputError(f"masking: found ratio {ratio}, expected a number between 0 and 1")
        self.ratio = ratio

    def num_kept(self, tokens: int) -> int:
        """Return how many of ``tokens`` stay visible, see `num_kept`."""
        return num_kept(tokens, self.ratio)

    @abstractmethod
    def score(self, patches: Float32[Tensor, "b t v p"]) -> Float32[Tensor, "b n"]:
        """Compute the log-probability, up to a constant, with which each token is masked first."""

    @torch.no_grad()
    def forward(self, patches: Float32[Tensor, "b t v p"], draws: Float32[Tensor, "b n"]) -> TokenMask:
        """Draw a mask.

        Args:
            patches: (B, T', V', P) the joints cut into patches.
            draws: (B, N) draws on [0, 1), one per token.
        """
        order = torch.argsort(self.score(patches) + gumbel(draws), dim=1)
        kept = self.num_kept(order.shape[1])
        return TokenMask(order[:, :kept], order[:, kept:])


def mask_columns(
    masking: Masking, patches: Float32[Tensor, "b t v p"], draws: Float32[Tensor, "b n"], columns: Sequence[int]
) -> TokenMask:
    """Draw a mask among the tokens of some columns of the grid; those of others are neither visible nor masked.

    Args:
        masking: The strategy; it sees the patches of these columns alone.
        patches: (B, T', V', P) the joints cut into patches.
        draws: (B, N) draws on [0, 1), one per token of the whole grid.
        columns: Columns v of the grid, in order.

    Examples:
        >>> import torch
        >>> from maskel.masking import RandomMasking
        >>> from maskel.masking.base import mask_columns
        >>> mask = mask_columns(RandomMasking(0.5), torch.zeros(1, 2, 3, 12), torch.rand(1, 6), [0, 2])
        >>> sorted(torch.cat((mask.keep, mask.masked), 1)[0].tolist())  # token t'·3 + v; column 1 is not there
        [0, 2, 3, 5]
    """
    chosen = torch.tensor(columns, device=patches.device)
    tokens = (torch.arange(patches.shape[1], device=patches.device)[:, None] * patches.shape[2] + chosen).flatten()
    mask = masking(patches.index_select(2, chosen), draws.index_select(1, tokens))
    return TokenMask(tokens[mask.keep], tokens[mask.masked])
