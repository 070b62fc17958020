"""Uniform random masking: that of the MAE baseline."""

from jaxtyping import Float32
from torch import Tensor

from maskel.masking.base import Masking


class RandomMasking(Masking):
    """Strategy that masks every token with the same probability.

    Args:
        ratio: Share of tokens to mask, in (0, 1).

    Examples:
        >>> import torch
        >>> from maskel.masking import RandomMasking
        >>> mask = RandomMasking(ratio=0.75)(torch.zeros(2, 4, 5, 12), torch.rand(2, 20))
        >>> mask.keep.shape, mask.masked.shape
        (torch.Size([2, 5]), torch.Size([2, 15]))
    """

    def score(self, patches: Float32[Tensor, "b t v p"]) -> Float32[Tensor, "b n"]:
        """Return 0 for every token."""
        return patches.new_zeros(len(patches), patches.shape[1] * patches.shape[2])
