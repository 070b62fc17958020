"""Joint positions as target: that of the MAE baseline."""

from typing import ClassVar

from jaxtyping import Float32
from torch import Tensor

from maskel.targets.base import Drawn, Target


class JointTarget(Target):
    """Positions of the joints: the target of the MAE baseline.

    Args:
        normalize: Standardise each patch over its values.

    Examples:
        >>> import torch
        >>> from maskel.targets import JointTarget
        >>> joints = torch.randn(2, 8, 25, 3)  # 2 bodies, 8 frames, 25 joints
        >>> JointTarget()(joints, patch_frames=4, patch_joints=1).shape  # 2 x 25 tokens of 4 x 1 x 3 values
        torch.Size([2, 50, 12])
    """

    drawn: ClassVar[Drawn] = "positions"

    def signal(self, joints: Float32[Tensor, "b t v c"]) -> Float32[Tensor, "b t v c"]:
        """Return the joints as they are."""
        return joints
