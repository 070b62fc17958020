"""Losses of masked modelling."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

Reduction = Literal["mean", "row_sum"]
"""Reduction of the squared errors of B² similarities to one number: their mean, or B times that."""


def mean_of_rows(values: Float32[Tensor, "b *v"], weights: Float32[Tensor, " b"] | None = None) -> Float32[Tensor, ""]:
    """Compute the mean of all values, or that of rows with a weight each.

    Args:
        values: (B, ...) a row for each body, one or more values in it.
        weights: (B,) weight of each row; None where all weigh alike.

    Examples:
        >>> import torch
        >>> from maskel.losses import mean_of_rows
        >>> mean_of_rows(torch.tensor([[1.0, 3.0], [8.0, 8.0]]), weights=torch.tensor([1.0, 0.0]))
        tensor(2.)
    """
    if weights is None:
        return values.mean()
    return (values.flatten(1).mean(1) * weights).sum() / weights.sum()


def masked_mean_squared_error(
    predicted: Float[Tensor, "b h p"], target: Float32[Tensor, "b h p"], weights: Float32[Tensor, " b"] | None = None
) -> Float32[Tensor, ""]:
    """Compute the mean squared error over each masked token's values, averaged over the batch's masked tokens.

    Both arguments hold the masked tokens only; every body has the same number of them, so this is one mean. It is the
    loss of MAMP (arXiv 2308.07092).

    Args:
        predicted: (B, H, P) predictions.
        target: (B, H, P) true values.
        weights: (B,) weight of each body, see `mean_of_rows`.

    Examples:
        >>> import torch
        >>> from maskel.losses import masked_mean_squared_error
        >>> masked_mean_squared_error(torch.zeros(1, 2, 4), torch.ones(1, 2, 4))
        tensor(1.)
    """
    return mean_of_rows((predicted.float() - target).square(), weights)


@torch.no_grad()
def energy_weights(
    positions: Float32[Tensor, "b t v c"], windows: Sequence[int], strength: float
) -> Float32[Tensor, "b t v"]:
    """Compute weights in (0, 1] that grow with the motion of a joint: AMR's motion-energy weighting.

    The energy e of a joint in a window of frames is the variance of its positions there, averaged over coordinates. Its
    weight is 1 / (1 + k·ē / (e + 1e-8)), ē the mean energy of the body; a joint that moves like the average gets
    1 / (1 + k). The weights of several window lengths are averaged.

    Args:
        positions: (B, T, V, C) a body each, in any unit; the weights do not change with it but for the 1e-8.
        windows: Lengths of the windows in frames; each divides T.
        strength: k, 0 or more; 0 weighs everything alike.

    Examples:
        >>> import torch
        >>> from maskel.losses import energy_weights
        >>> positions = torch.zeros(1, 4, 2, 3)
        >>> positions[:, 2:, 1] = 1  # of two joints the second moves
        >>> energy_weights(positions, windows=[4], strength=1.0)[0, 0].round(decimals=2)
        tensor([0.0000, 0.6700])
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
    counted: Bool[Tensor, " b"] | None = None,
) -> Float32[Tensor, ""]:
    """Compute HA-CM's contrast: each half of a body's tokens should find that body among all bodies.

    Mean squared distance of softmax(odd·wholeᵀ) and softmax(even·wholeᵀ) from the identity, summed. Features are not
    normalised. 0 for no bodies.

    Bodies that do not count are masked, not taken out: to know how many are left, a GPU would be waited for.

    Args:
        even: (B, D) mean of the visible tokens of even patches in time.
        odd: (B, D) of odd ones.
        whole: (B, D) of both.
        inter: Add the released third term, softmax(even·oddᵀ).
        reduction: ``mean`` over B² entries, as released, or ``row_sum``: the mean over rows of their sums.
        counted: (B,) True for the bodies to contrast; the result is that of these alone. By default all.

    Examples:
        >>> import torch
        >>> from maskel.losses import cross_contrast
        >>> same = torch.zeros(4, 8)  # 4 bodies that look alike: each of two terms is (B - 1) / B² = 3 / 16
        >>> cross_contrast(same, same, same)
        tensor(0.3750)
    """
    pairs = [(odd, whole), (even, whole)] + ([(even, odd)] if inter else [])
    if counted is None:
        counted = torch.ones(len(even), dtype=torch.bool, device=even.device)
    count = counted.sum().clamp(min=1)
    entries = count.square() if reduction == "mean" else count
    both = counted[:, None] & counted
    least = torch.finfo(torch.float32).min  # its exponential is 0; an infinite one would leave an empty row undefined
    with torch.autocast(even.device.type, enabled=False):
        same = torch.eye(len(even), device=even.device)
        similar = [(first @ second.T).masked_fill(~counted, least).softmax(1) for first, second in pairs]
        errors = [torch.where(both, found - same, 0.0).square().sum() / entries for found in similar]
        return torch.stack(errors).sum()
