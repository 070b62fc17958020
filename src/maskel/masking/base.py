"""A mask is a set of keep-indices on the token grid; strategies only score tokens."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor, nn

from maskel.errors import InputError


@dataclass(frozen=True)
class TokenMask:
    """Which tokens a network sees. Indices are grid positions t'·V' + v, always.

    Args:
        keep: (B, K) visible tokens, none twice.
        masked: (B, N - K) all others.
    """

    keep: Int64[Tensor, "b k"]
    masked: Int64[Tensor, "b h"]

    @property
    def hidden(self) -> Bool[Tensor, "b n"]:
        """True where a token is masked: (B, N)."""
        count = self.keep.shape[1] + self.masked.shape[1]
        hidden = torch.ones(len(self.keep), count, dtype=torch.bool, device=self.keep.device)
        return hidden.scatter_(1, self.keep, False)


def gumbel(uniform: Float32[Tensor, "b n"]) -> Float32[Tensor, "b n"]:
    """Gumbel noise from draws on [0, 1): sorting log-probability plus noise samples without replacement."""
    return -torch.log(-torch.log(uniform + 1e-10) + 1e-10)


def num_kept(tokens: int, ratio: float) -> int:
    """How many of ``tokens`` stay visible when a share ``ratio`` is masked.

    Note:
        Rounded as the published code does: 74, not 75, of 750 at ratio 0.9.

    Raises:
        InputError: If none or all would stay visible.
    """
    kept = int(tokens * (1 - ratio))
    if not 0 < kept < tokens:
        raise InputError(f"masking: ratio {ratio} keeps {kept} of {tokens} tokens; expected some, not all")
    return kept


class Masking(nn.Module, ABC):
    """Chooses the tokens to keep: those with the lowest score after Gumbel noise, sampled without replacement.

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
        """How many of ``tokens`` stay visible, see `num_kept`."""
        return num_kept(tokens, self.ratio)

    @abstractmethod
    def score(self, patches: Float32[Tensor, "b t v p"]) -> Float32[Tensor, "b n"]:
        """Log-probability (up to a constant) with which each token is masked first."""

    @torch.no_grad()
    def forward(self, patches: Float32[Tensor, "b t v p"], uniform: Float32[Tensor, "b n"]) -> TokenMask:
        """Draw a mask.

        Args:
            patches: (B, T', V', P) the joints cut into patches.
            uniform: (B, N) draws on [0, 1), one per token.
        """
        order = torch.argsort(self.score(patches) + gumbel(uniform), dim=1)
        kept = self.num_kept(order.shape[1])
        return TokenMask(order[:, :kept], order[:, kept:])
