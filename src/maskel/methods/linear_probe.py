"""Linear evaluation: a linear layer on the features of a frozen encoder (arXiv 2308.07092, and its release)."""

import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn
from torch.nn import functional

from maskel.methods.base import Method
from maskel.models.encoder import Encoder
from maskel.sequence import SkeletonBatch
from maskel.training.distributed import gather_rows
from maskel.training.loading import FeatureBatch


class LinearProbe(Method):
    """BatchNorm without affine parameters, then a linear layer; the encoder stays frozen and in eval mode.

    Args:
        encoder: The encoder to evaluate.
        num_classes: Classes.
    """

    def __init__(self, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False)
        self.norm = nn.BatchNorm1d(encoder.config.dim, eps=1e-6, affine=False)
        self.head = nn.Linear(encoder.config.dim, num_classes)
        nn.init.trunc_normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def train(self, mode: bool = True) -> "LinearProbe":
        """Switch the head; the encoder stays in eval mode."""
        super().train(mode)
        self.encoder.eval()
        return self

    def logits(self, features: Float32[Tensor, "b d"]) -> Float32[Tensor, "b classes"]:
        """Class scores from features."""
        return self.head(self.norm(features)).float()

    def forward(self, batch: SkeletonBatch | FeatureBatch, keys: Int64[Tensor, " b"]) -> dict[str, Tensor]:
        """Cross-entropy of the batch of all processes, so that BatchNorm sees the whole batch on each."""
        if isinstance(batch, FeatureBatch):
            features = batch.features
        else:
            with torch.no_grad():
                features = self.encoder.pool(batch, absent_bodies=True)
        features, labels = gather_rows(features), gather_rows(batch.labels)
        loss = functional.cross_entropy(self.logits(features), labels)
        return {"loss": loss, "weight": loss.new_tensor(len(labels))}
