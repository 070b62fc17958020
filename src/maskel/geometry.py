"""Poincaré ball of curvature -1, as in HA-CM (arXiv 2409.17951).

Points come from tangent vectors at the origin: x = exp(v), d(0, x) = 2|v|. Everything here runs outside autocast: in
bfloat16 nearly all distances between points close to the boundary are infinite.
"""

import math

import torch
from jaxtyping import Float, Float32
from torch import Tensor

_LARGEST = 1 - 1e-5  # largest norm of a point; nearer to the boundary 1 - |x|² has no digit left in float32
_FARTHEST = 100.0  # largest norm of a tangent vector in distances; sinh products stay inside float64's range


def exp_map(tangent: Float[Tensor, "*b d"]) -> Float32[Tensor, "*b d"]:
    """Map each tangent vector to the point of the ball at its end: tanh|v|·v/|v|, its norm at most 1 - 1e-5.

    Zero goes to zero, where the gradient is the identity.

    Examples:
        >>> import torch
        >>> from maskel.geometry import exp_map, log_map
        >>> point = exp_map(torch.tensor([0.6, 0.8]))
        >>> point.norm(), log_map(point)
        (tensor(0.7616), tensor([0.6000, 0.8000]))
    """
    with torch.autocast(tangent.device.type, enabled=False):
        tangent = tangent.float()
        squared = tangent.square().sum(-1, keepdim=True)
        near = squared < 1e-12  # tanh(n)/n is 1 to the last digit, and the norm has no gradient at 0
        norm = torch.where(near, 1.0, squared).sqrt()
        return tangent * torch.where(near, 1.0, norm.tanh().clamp(max=_LARGEST) / norm)


def log_map(point: Float[Tensor, "*b d"]) -> Float32[Tensor, "*b d"]:
    """Map each point of the ball to the tangent vector that leads there: artanh|x|·x/|x|; the inverse of `exp_map`."""
    with torch.autocast(point.device.type, enabled=False):
        point = point.float()
        squared = point.square().sum(-1, keepdim=True)
        near = squared < 1e-12
        norm = torch.where(near, 1.0, squared).sqrt()
        return point * torch.where(near, 1.0, norm.clamp(max=_LARGEST).atanh() / norm)


@torch.no_grad()
def poincare_distance(first: Float[Tensor, "*b n d"], second: Float[Tensor, "*b m d"]) -> Float32[Tensor, "*b n m"]:
    """Compute the distance of each pair of points, both given by their tangent vectors; no gradient flows.

    d = 2·asinh√(sinh²(a - b) + sinh(2a)·sinh(2b)·|x̂ - ŷ|²/4) for x = a·x̂ and y = b·ŷ. Same as the arccosh formula on
    the ball, without its loss of all digits near the boundary. Norms above 100 count as 100.

    Args:
        first: Tangent vectors v with exp(v) = x.
        second: Coordinates of y.

    Examples:
        >>> import torch
        >>> from maskel.geometry import poincare_distance
        >>> poincare_distance(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2))  # from the origin: twice the length
        tensor([[2.]])
    """
    return 2 * _half_sinh_squared(first, second).sqrt().asinh().float()


@torch.no_grad()
def factor4_distance(first: Float[Tensor, "*b n d"], second: Float[Tensor, "*b m d"]) -> Float32[Tensor, "*b n m"]:
    """Compute the distance of HA-CM's released code: arccosh(1 + 4|x - y|²/((1 - |x|²)(1 - |y|²))).

    With 2 in place of 4 it would be the true distance. Here sinh(d/2) is √2 times as large, and far points are ln 2
    farther apart.
    """
    return 2 * (math.sqrt(2) * _half_sinh_squared(first, second).sqrt()).asinh().float()


@torch.no_grad()
def euclidean_distance(first: Float[Tensor, "*b n d"], second: Float[Tensor, "*b m d"]) -> Float32[Tensor, "*b n m"]:
    """Compute |x - y| of each pair; no gradient flows."""
    with torch.autocast(first.device.type, enabled=False):
        return _pairs(first.float(), second.float())


def _half_sinh_squared(first: Tensor, second: Tensor) -> Tensor:
    """Compute sinh²(d/2) of each pair. Directions in float64: their last digits are multiplied by sinh of the norms."""
    with torch.autocast(first.device.type, enabled=False):
        first, second = first.double(), second.double()
        a, b = first.norm(dim=-1, keepdim=True), second.norm(dim=-1, keepdim=True)
        apart = _pairs(first / a.clamp(min=1e-12), second / b.clamp(min=1e-12))
        a, b = a.clamp(max=_FARTHEST), b.clamp(max=_FARTHEST).mT
        return (a - b).sinh().square() + (2 * a).sinh() * (2 * b).sinh() * (apart / 2).square()


def _pairs(first: Tensor, second: Tensor) -> Tensor:
    """Compute |x - y| by differences, not by x·y: equal points are 0 apart; nothing of size (N, M, D) exists."""
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")
