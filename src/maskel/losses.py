"""Losses of masked modelling."""

from jaxtyping import Float, Float32
from torch import Tensor


def masked_mean_squared_error(
    predicted: Float[Tensor, "b h p"], target: Float32[Tensor, "b h p"]
) -> Float32[Tensor, ""]:
    """Mean squared error over each masked token's values, averaged over the masked tokens of the batch.

    Both arguments hold the masked tokens only; every body has the same number of them, so this is one mean.
    """
    return (predicted.float() - target).square().mean()
