"""Motion-aware masking of MAMP (arXiv 2308.07092): what moves more is masked more often."""

import torch
from jaxtyping import Float32
from torch import Tensor

from maskel.masking.base import Masking


class MotionAwareMasking(Masking):
    """Tokens are masked with probability softmax(m / (tau · max m)), m being the token's motion amount.

    Args:
        ratio: Share of tokens to mask, in (0, 1).
        tau: Temperature; the smaller, the more the mask follows the motion. 0 or less masks uniformly.
    """

    def __init__(self, ratio: float = 0.9, tau: float = 0.8) -> None:
        super().__init__(ratio)
        self.tau = tau

    def motion(self, patches: Float32[Tensor, "b t v p"]) -> Float32[Tensor, "b n"]:
        """Motion amount of each token: mean |patch(t) - patch(t - 1)|; the first patch in time copies the second.

        With a single patch in time nothing moves, and every amount is 0.
        """
        if patches.shape[1] == 1:
            return patches.new_zeros(len(patches), patches.shape[2])
        amount = (patches[:, 1:] - patches[:, :-1]).abs().mean(-1)
        return torch.cat((amount[:, :1], amount), 1).flatten(1)

    def score(self, patches: Float32[Tensor, "b t v p"]) -> Float32[Tensor, "b n"]:
        """Log-softmax of the normalised motion over a body's tokens."""
        motion = self.motion(patches)
        if self.tau <= 0:
            return torch.zeros_like(motion)
        return torch.log_softmax(motion / (motion.amax(1, keepdim=True) * self.tau + 1e-10), 1)
