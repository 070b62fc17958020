"""Motion-aware masking of MAMP (arXiv 2308.07092): tokens that move more are masked more often."""

import torch
from jaxtyping import Float32
from torch import Tensor

from maskel.masking.base import Masking


class MotionAwareMasking(Masking):
    """Strategy that masks tokens with probability softmax(m / (τ·max m)), m being a token's motion amount.

    The masking section of arXiv 2308.07092 defines it.

    Args:
        ratio: Share of tokens to mask, in (0, 1).
        tau: Temperature τ; the smaller, the more the mask follows the motion. 0 or less masks uniformly.

    Examples:
        >>> import torch
        >>> from maskel.masking import MotionAwareMasking
        >>> patches = torch.zeros(1, 3, 4, 12)  # 3 patches in time of 4 joints
        >>> patches[:, 1:, 0] = 1  # joint 0 moves once
        >>> masking = MotionAwareMasking(ratio=0.5, tau=0.8)
        >>> masking.motion(patches).view(3, 4)[:, 0]
        tensor([1., 1., 0.])
        >>> masking(patches, torch.rand(1, 12)).keep.shape
        torch.Size([1, 6])
    """

    def __init__(self, ratio: float = 0.9, tau: float = 0.8) -> None:
        super().__init__(ratio)
        self.tau = tau

    def motion(self, patches: Float32[Tensor, "b t v p"]) -> Float32[Tensor, "b n"]:
        """Compute each token's motion amount, mean |patch(t) - patch(t - 1)|.

        The first patch in time copies the amount of the second. With a single patch in time nothing moves, and every
        amount is 0.
        """
        if patches.shape[1] == 1:
            return patches.new_zeros(len(patches), patches.shape[2])
        amount = (patches[:, 1:] - patches[:, :-1]).abs().mean(-1)
        return torch.cat((amount[:, :1], amount), 1).flatten(1)

    def score(self, patches: Float32[Tensor, "b t v p"]) -> Float32[Tensor, "b n"]:
        """Compute the log-softmax of the normalised motion over a body's tokens."""
        motion = self.motion(patches)
        if self.tau <= 0:
            return torch.zeros_like(motion)
        return torch.log_softmax(motion / (motion.amax(1, keepdim=True) * self.tau + 1e-10), 1)
