"""The Poincaré ball of curvature -1, as HA-CM (arXiv 2409.17951) uses it.

Points come from tangent vectors at the origin: x = exp(v), d(0, x) = 2|v|. Everything here runs outside autocast: in
bfloat16 nearly all distances between points close to the boundary are infinite.
"""

import math

import torch
from jaxtyping import Float, Float32
from torch import Tensor

_LARGEST = 1 - 1e-5  # norm of a point of the ball; nearer to the boundary 1 - |x|² has no digit left in float32
_FARTHEST = 100.0  # norm of a tangent vector as distances see it; sinh products stay inside float64's range


def exp_map(tangent: Float[Tensor, "*b d"]) -> Float32[Tensor, "*b d"]:
    """The point of the ball at the end of each tangent vector: tanh|v|·v/|v|, its norm at most 1 - 1e-5.

    Zero goes to zero, where the gradient is the identity.
    """
    with torch.autocast(tangent.device.type, enabled=False):
        tangent = tangent.float()
        squared = tangent.square().sum(-1, keepdim=True)
        near = squared < 1e-12  # tanh(n)/n is 1 to the last digit, and the norm has no gradient at 0
        norm = torch.where(near, 1.0, squared).sqrt()
        return tangent * torch.where(near, 1.0, norm.tanh().clamp(max=_LARGEST) / norm)


def log_map(point: Float[Tensor, "*b d"]) -> Float32[Tensor, "*b d"]:
    """The tangent vector that leads to each point of the ball: artanh|x|·x/|x|; the inverse of `exp_map`."""
    with torch.autocast(point.device.type, enabled=False):
        point = point.float()
        squared = point.square().sum(-1, keepdim=True)
        near = squared < 1e-12
        norm = torch.where(near, 1.0, squared).sqrt()
        return point * torch.where(near, 1.0, norm.clamp(max=_LARGEST).atanh() / norm)


@torch.no_grad()
def poincare_distance(one: Float[Tensor, "*b n d"], other: Float[Tensor, "*b m d"]) -> Float32[Tensor, "*b n m"]:
    """Distance of each pair of points, both given by their tangent vectors; no gradient flows.

    d = 2·asinh√(sinh²(a - b) + sinh(2a)·sinh(2b)·|x̂ - ŷ|²/4) for x = a·x̂ and y = b·ŷ. Same as the arccosh formula on
    the ball, without its loss of all digits near the boundary. Norms above 100 count as 100.

    Args:
        one: Tangent vectors v with exp(v) = x.
        other: Those of y.
    """
    return 2 * _half_sinh_squared(one, other).sqrt().asinh().float()


@torch.no_grad()
def factor4_distance(one: Float[Tensor, "*b n d"], other: Float[Tensor, "*b m d"]) -> Float32[Tensor, "*b n m"]:
    """What HA-CM's released code computes instead: arccosh(1 + 4|x - y|²/((1 - |x|²)(1 - |y|²))).

    With 2 in place of 4 it would be the distance: sinh(d/2) is √2 times as large. Far points are ln 2 farther apart.
    """
    return 2 * (math.sqrt(2) * _half_sinh_squared(one, other).sqrt()).asinh().float()


@torch.no_grad()
def euclidean_distance(one: Float[Tensor, "*b n d"], other: Float[Tensor, "*b m d"]) -> Float32[Tensor, "*b n m"]:
    """|x - y| of each pair; no gradient flows."""
    with torch.autocast(one.device.type, enabled=False):
        return _pairs(one.float(), other.float())


def _half_sinh_squared(one: Tensor, other: Tensor) -> Tensor:
    """sinh²(d/2) of each pair. Directions in float64: their last digits are multiplied by sinh of the norms."""
    with torch.autocast(one.device.type, enabled=False):
        one, other = one.double(), other.double()
        a, b = one.norm(dim=-1, keepdim=True), other.norm(dim=-1, keepdim=True)
        apart = _pairs(one / a.clamp(min=1e-12), other / b.clamp(min=1e-12))
        a, b = a.clamp(max=_FARTHEST), b.clamp(max=_FARTHEST).mT
        return (a - b).sinh().square() + (2 * a).sinh() * (2 * b).sinh() * (apart / 2).square()


def _pairs(one: Tensor, other: Tensor) -> Tensor:
    """|x - y| of each pair by differences, not by x·y: equal points are 0 apart; nothing of size (N, M, D) exists."""
    return torch.cdist(one, other, compute_mode="donot_use_mm_for_euclid_dist")
