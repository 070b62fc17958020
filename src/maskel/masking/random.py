"""Uniform random masking: the MAE baseline's."""

from jaxtyping import Float32
from torch import Tensor

from maskel.masking.base import Masking


class RandomMasking(Masking):
    """Every token is masked with the same probability."""

    def score(self, patches: Float32[Tensor, "b t v p"]) -> Float32[Tensor, "b n"]:
        """Zero for every token."""
        return patches.new_zeros(len(patches), patches.shape[1] * patches.shape[2])
