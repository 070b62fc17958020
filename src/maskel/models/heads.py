"""Heads of the two published protocols, which map features to class scores."""

from collections import OrderedDict

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from maskel.models.transformer import initialise


class LinearHead(nn.Module):
    """Head of linear evaluation: BatchNorm without affine parameters, then a linear layer.

    Args:
        values: Values of a feature vector.
        num_classes: Classes.
    """

    def __init__(self, values: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(values, eps=1e-6, affine=False)
        self.linear = nn.Linear(values, num_classes)
        nn.init.trunc_normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Float[Tensor, "b f"]) -> Float[Tensor, "b classes"]:
        """Compute class scores."""
        return self.linear(self.norm(features))

    @torch.no_grad()
    def take(
        self,
        mean: Float64[Tensor, " f"],
        spread: Float64[Tensor, " f"],
        weight: Float64[Tensor, "classes f"],
        bias: Float64[Tensor, " classes"],
    ) -> None:
        """Score as ``weight`` and ``bias`` do on features standardised by ``mean`` and ``spread``.

        Args:
            mean: (F,)
            spread: (F,) standard deviations above 0.
            weight: (K, F) of the standardised features.
            bias: (K,)
        """
        variance = spread.square()
        self.norm.load_state_dict(self.norm.state_dict() | {"running_mean": mean, "running_var": variance})
        self.linear.weight.copy_(weight * ((variance + self.norm.eps).sqrt() / spread))  # undoes what eps changes
        self.linear.bias.copy_(bias)


class FinetuneHead(nn.Sequential):
    """Head of fine-tuning: linear, BatchNorm, ReLU, linear.

    Args:
        values: Values of a feature vector, V'·D.
        hidden: Width between the two layers.
        num_classes: Classes.
    """

    def __init__(self, values: int, hidden: int, num_classes: int) -> None:
        first, last = nn.Linear(values, hidden), nn.Linear(hidden, num_classes)
        super().__init__(OrderedDict(fc1=first, bn=nn.BatchNorm1d(hidden), relu=nn.ReLU(), fc2=last))
        self.apply(initialise)
