"""Base class of all targets: patches of a signal, standardised. A target only computes its signal."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from jaxtyping import Float32
from torch import Tensor, nn

from maskel.models.patches import to_patches

Drawn = Literal["positions", "motion", "maps"]
"""Form in which pictures show a signal: crosses at positions, arrows along motion, or only maps of its length."""


class Target(nn.Module, ABC):
    """Target signal of masked modelling, cut into patches and standardised per patch.

    A subclass writes only `signal`; cutting and standardising happen here, once.

    Args:
        normalize: Standardise each patch over its values, (y - mean) / sqrt(var + 1e-6), var unbiased; on in every
            published recipe.

    Attributes:
        drawn: Form in which pictures show the signal.
    """

    drawn: ClassVar[Drawn] = "maps"

    def __init__(self, normalize: bool = True) -> None:
        super().__init__()
        self.normalize = normalize

    @abstractmethod
    def signal(self, joints: Float32[Tensor, "b t v c"]) -> Float32[Tensor, "b t v c"]:
        """Compute the signal to predict, frame by frame.

        Args:
            joints: (B, T, V, C) a body each, in the encoder's stream, without scores.
        """

    def forward(
        self, joints: Float32[Tensor, "b t v c"], patch_frames: int, patch_joints: int
    ) -> Float32[Tensor, "b n p"]:
        """Compute the target of every token, in token order, each of patch_frames·patch_joints·C values."""
        patches = to_patches(self.signal(joints), patch_frames, patch_joints).flatten(1, 2)
        if not self.normalize:
            return patches
        return standardised(patches, -1)

    def restore(
        self, predicted: Float32[Tensor, "b n p"], patches: Float32[Tensor, "b n p"]
    ) -> Float32[Tensor, "b n p"]:
        """Undo the standardisation of predictions with the mean and spread of the true patches."""
        if not self.normalize:
            return predicted
        mean, spread = moments(patches, -1)
        return predicted * spread + mean


def moments(values: Float32[Tensor, "..."], axes: int | tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and sqrt(var + 1e-6), var unbiased, over ``axes``, which stay with length 1."""
    return values.mean(axes, keepdim=True), (values.var(axes, keepdim=True) + 1e-6).sqrt()


def standardised(values: Float32[Tensor, "..."], axes: int | tuple[int, ...]) -> Float32[Tensor, "..."]:
    """``values`` less their mean over ``axes``, divided by their standard deviation."""
    mean, spread = moments(values, axes)
    return (values - mean) / spread
