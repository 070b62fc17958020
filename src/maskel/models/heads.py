"""Heads of the two published protocols, which map features to class scores."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

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


class FinetuneHead(nn.Module):
    """Head of fine-tuning: linear, BatchNorm, ReLU, linear.

    Args:
        values: Values of a feature vector, V'·D.
        hidden: Width between the two layers.
        num_classes: Classes.
    """

    def __init__(self, values: int, hidden: int, num_classes: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(values, hidden)
        self.bn = nn.BatchNorm1d(hidden)
        self.fc2 = nn.Linear(hidden, num_classes)
        self.apply(initialise)

    def forward(self, features: Float[Tensor, "b f"]) -> Float[Tensor, "b classes"]:
        """Compute class scores."""
        return self.fc2(functional.relu(self.bn(self.fc1(features))))
