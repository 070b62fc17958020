"""Losses of masked modelling."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Float32
from torch import Tensor

Reduction = Literal["mean", "row_sum"]
"""How squared errors of B² similarities become one number: their mean, or B times that."""


def masked_mean_squared_error(
    predicted: Float[Tensor, "b h p"], target: Float32[Tensor, "b h p"]
) -> Float32[Tensor, ""]:
    """Mean squared error over each masked token's values, averaged over the masked tokens of the batch.

    Both arguments hold the masked tokens only; every body has the same number of them, so this is one mean.
    """
    return (predicted.float() - target).square().mean()


@torch.no_grad()
def energy_weights(
    positions: Float32[Tensor, "b t v c"], windows: Sequence[int], strength: float
) -> Float32[Tensor, "b t v"]:
    """Weights in (0, 1] that grow with how much a joint moves: AMR's motion-energy weighting.

    The energy e of a joint in a window of frames is the variance of its positions there, averaged over coordinates. Its
    weight is 1 / (1 + k·ē / (e + 1e-8)), ē the mean energy of the body; a joint that moves like the average gets
    1 / (1 + k). The weights of several window lengths are averaged.

    Args:
        positions: (B, T, V, C) a body each.
        windows: Lengths of the windows in frames; each divides T.
        strength: k, 0 or more; 0 weighs everything alike.
    """
    weights = []
    for length in windows:
        spans = positions.unflatten(1, (-1, length))  # (B, T / length, length, V, C)
        energy = spans.var(2, correction=0).mean(-1)
        mean = energy.mean((1, 2), keepdim=True)
        weights.append((1 / (1 + strength * mean / (energy + 1e-8))).repeat_interleave(length, 1))
    return torch.stack(weights).mean(0)


def cross_contrast(
    even: Float32[Tensor, "b d"],
    odd: Float32[Tensor, "b d"],
    whole: Float32[Tensor, "b d"],
    inter: bool = False,
    reduction: Reduction = "mean",
) -> Float32[Tensor, ""]:
    """HA-CM's contrast: each half of a body's tokens should find that body among all bodies.

    Mean squared distance of softmax(odd·wholeᵀ) and softmax(even·wholeᵀ) from the identity, summed. Features are not
    normalised. 0 for no bodies.

    Args:
        even: (B, D) mean of the visible tokens of even patches in time.
        odd: (B, D) of odd ones.
        whole: (B, D) of both.
        inter: Add the released third term, softmax(even·oddᵀ).
        reduction: ``mean`` over B² entries, as released, or ``row_sum``: the mean over rows of their sums.
    """
    pairs = [(odd, whole), (even, whole)] + ([(even, odd)] if inter else [])
    count = max(len(even), 1)
    entries = count**2 if reduction == "mean" else count
    with torch.autocast(even.device.type, enabled=False):
        same = torch.eye(len(even), device=even.device)
        errors = [((one @ other.T).softmax(1) - same).square().sum() / entries for one, other in pairs]
        return torch.stack(errors).sum()
