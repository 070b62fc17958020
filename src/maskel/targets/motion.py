"""Motion of the joints as target: MAMP's (arXiv 2308.07092), and the form of it in HA-CM's released code."""

from typing import ClassVar

from jaxtyping import Float32
from torch import Tensor

from maskel.errors import InputError
from maskel.geometry import exp_map
from maskel.targets.base import Drawn, Target
from maskel.transforms import joint_to_motion


class MotionTarget(Target):
    """Motion of the joints, x[t + stride] - x[t], and 0 for the last ``stride`` frames: MAMP's target.

    Args:
        stride: Frames between the two positions, 1 or more.
        normalize: Standardise each patch over its values.

    Raises:
        InputError: If the stride is not positive.

    Examples:
        >>> import torch
        >>> from maskel.targets import MotionTarget
        >>> joints = torch.tensor([0.0, 1.0, 3.0, 6.0]).view(1, 4, 1, 1)  # 4 frames of one joint on a line
        >>> MotionTarget().signal(joints).flatten()
        tensor([1., 2., 3., 0.])
        >>> MotionTarget(stride=2).signal(joints).flatten()
        tensor([3., 5., 0., 0.])
    """

    drawn: ClassVar[Drawn] = "motion"

    def __init__(self, stride: int = 1, normalize: bool = True) -> None:
        super().__init__(normalize)
        if stride < 1:
            raise InputError(f"target: found a motion stride of {stride} frames, expected 1 or more")
        self.stride = stride

    def signal(self, joints: Float32[Tensor, "b t v c"]) -> Float32[Tensor, "b t v c"]:
        """Compute the forward difference over ``stride`` frames."""
        return joint_to_motion(joints, self.stride)


class HyperbolicMotionTarget(MotionTarget):
    """Motion of the joints mapped into the unit ball: the target of HA-CM's released code, within 1e-4 of motion.

    Args:
        stride: Frames between the two positions, 1 or more.
        normalize: Standardise each patch over its values.

    Examples:
        >>> import torch
        >>> from maskel.targets import HyperbolicMotionTarget
        >>> joints = 10 * torch.arange(4.0).view(1, 4, 1, 1)  # a joint that jumps
        >>> bool((HyperbolicMotionTarget().signal(joints).abs() < 1).all())
        True
    """

    def signal(self, joints: Float32[Tensor, "b t v c"]) -> Float32[Tensor, "b t v c"]:
        """Compute each joint's forward difference under the exponential map."""
        return exp_map(super().signal(joints))
