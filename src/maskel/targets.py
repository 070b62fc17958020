"""What a masked method predicts: the joints themselves (MAE) or their motion (MAMP)."""

from abc import ABC, abstractmethod

from jaxtyping import Float32
from torch import Tensor, nn

from maskel.errors import InputError
from maskel.geometry import exp_map
from maskel.models.patches import to_patches
from maskel.transforms import joint_to_motion


class Target(nn.Module, ABC):
    """A target signal, cut into patches and standardised per patch.

    Args:
        normalize: Standardise each patch over its values, (y - mean) / sqrt(var + 1e-6), var unbiased; on in every
            published recipe.
    """

    def __init__(self, normalize: bool = True) -> None:
        super().__init__()
        self.normalize = normalize

    @abstractmethod
    def signal(self, joints: Float32[Tensor, "b t v c"]) -> Float32[Tensor, "b t v c"]:
        """The signal to predict, frame by frame, in the joints' own units."""

    def forward(
        self, joints: Float32[Tensor, "b t v c"], patch_frames: int, patch_joints: int
    ) -> Float32[Tensor, "b n p"]:
        """The target of every token, in token order, each of patch_frames·patch_joints·C values."""
        patches = to_patches(self.signal(joints), patch_frames, patch_joints).flatten(1, 2)
        if not self.normalize:
            return patches
        return standardised(patches, -1)

    def restore(
        self, predicted: Float32[Tensor, "b n p"], patches: Float32[Tensor, "b n p"]
    ) -> Float32[Tensor, "b n p"]:
        """Predictions in the signal's own units, given the true patches, whose mean and spread are put back."""
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


class JointTarget(Target):
    """The joints' positions: the MAE baseline."""

    def signal(self, joints: Float32[Tensor, "b t v c"]) -> Float32[Tensor, "b t v c"]:
        """The joints as they are."""
        return joints


class MotionTarget(Target):
    """The joints' motion x[t + stride] - x[t], 0 for the last frames: MAMP's target.

    Args:
        stride: Frames between the two positions, 1 or more.
        normalize: As for every target.

    Raises:
        InputError: If the stride is not positive.
    """

    def __init__(self, stride: int = 1, normalize: bool = True) -> None:
        super().__init__(normalize)
        if stride < 1:
            raise InputError(f"target: found a motion stride of {stride} frames, expected 1 or more")
        self.stride = stride

    def signal(self, joints: Float32[Tensor, "b t v c"]) -> Float32[Tensor, "b t v c"]:
        """The forward difference over ``stride`` frames."""
        return joint_to_motion(joints, self.stride)


class HyperbolicMotionTarget(MotionTarget):
    """The joints' motion mapped into the unit ball: what HA-CM's released code predicts, 1e-4 from motion."""

    def signal(self, joints: Float32[Tensor, "b t v c"]) -> Float32[Tensor, "b t v c"]:
        """The forward difference of each joint under the exponential map."""
        return exp_map(super().signal(joints))
