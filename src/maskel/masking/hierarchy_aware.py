"""Masking of HA-CM (arXiv 2409.17951): even patches in time by one criterion, odd ones by another.

A criterion gives every token a score. Those with a high score are more likely to stay visible.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn
from torch.nn import functional

from maskel.errors import InputError
from maskel.geometry import euclidean_distance, exp_map, factor4_distance, log_map, poincare_distance
from maskel.masking.base import TokenMask, gumbel, num_kept

Distance = Literal["poincare", "factor4", "euclidean"]
"""Distance of tokens: in the ball; in the ball as the release computes it; or before they are mapped into the ball."""
SoftmaxAxis = Literal["time", "joint"]
AttentionScale = Literal["div", "mul"]
Projections = Literal["frozen", "none"]
CriterionSign = Literal["keep_high", "keep_low"]
HalfTokens = Float32[Tensor, "b h v d"]
"""Tokens of the even or of the odd patches in time."""
HalfRoots = Float32[Tensor, "b h r d"]
Scores = Float32[Tensor, "b h v"]

_DISTANCES: dict[Distance, Callable[[Tensor, Tensor], Tensor]] = {
    "poincare": poincare_distance,
    "factor4": factor4_distance,
    "euclidean": euclidean_distance,
}


class Criterion(nn.Module, ABC):
    """Score of the tokens of some patches in time."""

    @abstractmethod
    def forward(self, tokens: HalfTokens, roots: HalfRoots) -> Scores:
        """Compute one score per token.

        Args:
            tokens: (B, T'/2, V', D) with their positions, not yet in the ball.
            roots: (B, T'/2, R, D) the layout's roots, embedded without positions.
        """


class JointHierarchy(Criterion):
    """Spatial criterion: distance of a joint from all others of its time, and from the root of the hierarchy.

    score(z) = Σ d(z, z') + root_weight·d(z, root), z' over the tokens of the same time, root the mean of the root
    joints' points.

    Args:
        distance: Distance d between tokens.
        root_weight: Factor of the distance to the root, without unit; 1 weighs the root like one joint.

    Examples:
        >>> import torch
        >>> from maskel.masking.hierarchy_aware import JointHierarchy
        >>> tokens = torch.tensor([0.0, 0.0, 3.0]).view(1, 1, 3, 1)  # three joints at one time; the third is far off
        >>> JointHierarchy("euclidean", root_weight=0.0)(tokens, torch.zeros(1, 1, 1, 1)).flatten()
        tensor([3., 3., 6.])
    """

    def __init__(self, distance: Distance = "poincare", root_weight: float = 0.01) -> None:
        super().__init__()
        self.distance = distance
        self.root_weight = root_weight

    def forward(self, tokens: HalfTokens, roots: HalfRoots) -> Scores:
        """Sum a token's distances to the tokens of its time and the weighted distance to the root."""
        between = _DISTANCES[self.distance]
        if self.distance == "euclidean":
            root = roots.mean(2, keepdim=True)
        else:
            root = log_map(exp_map(roots).mean(2, keepdim=True))
        return between(tokens, tokens).sum(-1) + self.root_weight * between(tokens, root).squeeze(-1)


class TemporalAttention(Criterion):
    """Temporal criterion: attention that a token draws from its own joint, summed over the times that attend.

    score = column sums of softmax(q·kᵀ/√D), over the patches in time of one joint.

    The projections are random and stay so: no gradient passes a choice of tokens. They are buffers, saved with the
    method and outside the optimiser.

    Args:
        dim: Width D of the tokens.
        softmax: Axis over which attention sums to one: the times attended to, or (as released) the joints.
        scale: Divide logits by √D, or (as released) multiply.
        projections: ``frozen`` random linear maps for query and key, or ``none``.
    """

    query_weight: Tensor | None
    query_bias: Tensor | None
    key_weight: Tensor | None
    key_bias: Tensor | None

    def __init__(
        self,
        dim: int,
        softmax: SoftmaxAxis = "time",
        scale: AttentionScale = "div",
        projections: Projections = "frozen",
    ) -> None:
        super().__init__()
        self.axis = -1 if softmax == "time" else 1  # of (B, V', time that attends, time attended to)
        self.factor = dim**-0.5 if scale == "div" else dim**0.5
        frozen = projections == "frozen"
        for name in ("query", "key"):
            weight = nn.init.xavier_uniform_(torch.empty(dim, dim)) if frozen else None
            self.register_buffer(f"{name}_weight", weight)
            self.register_buffer(f"{name}_bias", torch.zeros(dim) if frozen else None)

    def forward(self, tokens: HalfTokens, roots: HalfRoots) -> Scores:
        """Compute the column sums of each joint's attention over time."""
        query = key = tokens
        if self.query_weight is not None and self.key_weight is not None:
            query = functional.linear(tokens, self.query_weight, self.query_bias)
            key = functional.linear(tokens, self.key_weight, self.key_bias)
        logits = query.transpose(1, 2) @ key.permute(0, 2, 3, 1) * self.factor  # (B, V', T'/2, T'/2)
        return logits.softmax(self.axis).sum(2).transpose(1, 2)


class Uniform(Criterion):
    """Criterion that scores every token alike."""

    def forward(self, tokens: HalfTokens, roots: HalfRoots) -> Scores:
        """Return 1 for every token."""
        return tokens.new_ones(tokens.shape[:3])


class CrossMasking(nn.Module):
    """Strategy that keeps the same share of even and of odd patches in time, each drawn by its own criterion.

    Args:
        even: Criterion of the patches 0, 2, 4, …
        odd: Criterion of the patches 1, 3, 5, …
        ratio: Share of tokens to mask, in (0, 1).
        tau: Temperature; the smaller, the more the mask follows the score.
        sign: ``keep_high``: tokens of high score stay visible, as released; ``keep_low``: those of low score, as in
            MAMP.

    Raises:
        InputError: If ratio or temperature is out of range.

    Examples:
        >>> import torch
        >>> from maskel.masking import CrossMasking
        >>> from maskel.masking.hierarchy_aware import JointHierarchy, TemporalAttention
        >>> masking = CrossMasking(TemporalAttention(dim=8), JointHierarchy(), ratio=0.8)
        >>> tokens, roots = torch.randn(2, 4, 5, 8), torch.randn(2, 4, 1, 8)  # 4 patches in time of 5 joints
        >>> masking(tokens, roots, torch.rand(2, 20)).keep.shape  # 2 of 10 tokens of each half; int() rounds down
        torch.Size([2, 2])
    """

    def __init__(
        self,
        even: Criterion,
        odd: Criterion,
        ratio: float = 0.9,
        tau: float = 0.9,
        sign: CriterionSign = "keep_high",
    ) -> None:
        super().__init__()
        if not 0 < ratio < 1:
            raise InputError(f"masking: found ratio {ratio}, expected a number between 0 and 1")
        if not tau > 0:
            raise InputError(f"masking: found mask_tau {tau}, expected a number above 0")
        self.even = even
        self.odd = odd
        self.ratio = ratio
        self.tau = tau
        self.keep_high = sign == "keep_high"

    def num_kept(self, tokens: int) -> int:
        """Return how many of the ``tokens`` of one half stay visible, rounded down.

        Raises:
            InputError: If none or all would.
        """
        return num_kept(tokens, self.ratio)

    def scores(
        self, tokens: Float32[Tensor, "b t v d"], roots: Float32[Tensor, "b t r d"]
    ) -> tuple[Float32[Tensor, "b even v"], Float32[Tensor, "b odd v"]]:
        """Score the even and the odd patches in time, in float32 also under autocast."""
        with torch.autocast(tokens.device.type, enabled=False):
            return self.even(tokens[:, 0::2], roots[:, 0::2]), self.odd(tokens[:, 1::2], roots[:, 1::2])

    def order(self, scores: Float32[Tensor, "b n"], draws: Float32[Tensor, "b n"]) -> Int64[Tensor, "b n"]:
        """Draw the tokens of one half without replacement; the first ones stay visible.

        Args:
            scores: (B, N/2) 0 or more.
            draws: (B, N/2) draws on [0, 1).
        """
        chance = torch.log_softmax(scores / (self.tau * scores.amax(1, keepdim=True) + 1e-10), 1)
        return torch.argsort(chance + gumbel(draws), dim=1, descending=self.keep_high)

    def forward(
        self,
        tokens: Float32[Tensor, "b t v d"],
        roots: Float32[Tensor, "b t r d"],
        draws: Float32[Tensor, "b n"],
    ) -> TokenMask:
        """Draw a mask; the even patches' tokens come first in ``keep``.

        Args:
            tokens: (B, T', V', D) with their positions, not yet in the ball.
            roots: (B, T', R, D) the layout's roots, embedded without positions.
            draws: (B, N) draws on [0, 1), one per token in token order.
        """
        times, joints = tokens.shape[1:3]
        grid = torch.arange(times * joints, device=tokens.device).view(times, joints)
        keep, masked = [], []
        for parity, scores in enumerate(self.scores(tokens, roots)):
            places = grid[parity::2].flatten()  # token numbers of this half
            drawn = places[self.order(scores.flatten(1), draws[:, places])]
            kept = self.num_kept(len(places))
            keep.append(drawn[:, :kept])
            masked.append(drawn[:, kept:])
        return TokenMask(torch.cat(keep, 1), torch.cat(masked, 1))
