"""The Poincaré ball against arithmetic of 80 digits, and at the points where formulas break."""

from collections.abc import Callable

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from maskel.geometry import euclidean_distance, exp_map, factor4_distance, log_map, poincare_distance

DISTANCES = [poincare_distance, factor4_distance, euclidean_distance]
norms = st.one_of(st.just(0.0), st.floats(-6, 3).map(lambda power: 10.0**power))
seeds = st.integers(0, 2**16)


def vector(norm: float, seed: int, dim: int = 6) -> Tensor:
    drawn = torch.randn(dim, generator=torch.Generator().manual_seed(seed))
    return drawn / drawn.norm() * norm


def exact(tangent: Tensor, longest: float = float("inf")) -> tuple[list[mpmath.mpf], mpmath.mpf]:
    """The point at the end of a tangent vector, and the vector's norm (at most ``longest``)."""
    values = [mpmath.mpf(float(value)) for value in tangent]
    norm = mpmath.sqrt(sum(value**2 for value in values))
    seen = min(norm, mpmath.mpf(longest))
    return [mpmath.tanh(seen) * value / norm if norm else mpmath.mpf(0) for value in values], seen


def exact_distance(one: Tensor, other: Tensor, factor: int) -> float:
    """arccosh(1 + factor·|x - y|²/((1 - |x|²)(1 - |y|²))), norms of tangent vectors cut at 100."""
    with mpmath.workdps(220):
        (x, a), (y, b) = exact(one, 100), exact(other, 100)
        apart = sum((p - q) ** 2 for p, q in zip(x, y, strict=True))
        return float(mpmath.acosh(1 + factor * apart * mpmath.cosh(a) ** 2 * mpmath.cosh(b) ** 2))


@settings(max_examples=150, deadline=None)
@given(norms, norms, seeds, st.sampled_from([0.0, 1e-7, 1e-5, 1e-3, 0.1, None]))
def test_distances_are_those_of_exact_arithmetic(a: float, b: float, seed: int, near: float | None) -> None:
    one = vector(a, seed)
    other = vector(b, seed + 1) if near is None else one + vector(a * near, seed + 1)
    for distance, factor in ((poincare_distance, 2), (factor4_distance, 4)):
        found = distance(one[None], other[None]).item()
        assert found == pytest.approx(exact_distance(one, other, factor), rel=2e-6, abs=1e-12)
    assert euclidean_distance(one[None], other[None]).item() == pytest.approx((one - other).norm().item(), rel=1e-5)


@pytest.mark.parametrize("distance", DISTANCES)
def test_distances_are_a_metrics(distance: Callable[[Tensor, Tensor], Tensor]) -> None:
    points = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    with torch.no_grad():
        points[0, 0], points[0, 1] = 0, points[0, 2]
    found = distance(points, points)
    assert found.shape == (2, 5, 5)
    assert not found.requires_grad
    assert torch.equal(found, found.mT)
    assert not found.diagonal(dim1=1, dim2=2).any()
    assert found[0, 1, 2] == 0 < found[0, 1, 3]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(distance(points, points), found)


def test_the_origin_is_twice_the_norm_away() -> None:
    tangent = torch.stack([vector(norm, 3) for norm in (0.5, 4.0, 30.0)])
    found = poincare_distance(tangent, torch.zeros(1, 6))[:, 0]
    torch.testing.assert_close(found, torch.tensor([1.0, 8.0, 60.0]))
    far = factor4_distance(tangent[2:], -tangent[2:]) - poincare_distance(tangent[2:], -tangent[2:])
    assert far.item() == pytest.approx(0.6931, abs=1e-3)  # ln 2


@settings(max_examples=100, deadline=None)
@given(norms, seeds)
def test_the_exponential_map_is_that_of_exact_arithmetic(norm: float, seed: int) -> None:
    tangent = vector(norm, seed)
    found = exp_map(tangent[None])[0]
    assert found.norm() <= 1 - 0.95e-5
    with mpmath.workdps(60):
        expected = [float(value) for value in exact(tangent)[0]]
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1.1e-5, atol=1e-12)
    if norm < 3:
        torch.testing.assert_close(log_map(found[None])[0], tangent, rtol=1e-4, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(norms, seeds)
def test_the_gradient_of_the_exponential_map_is_finite_and_right(norm: float, seed: int) -> None:
    tangent = vector(norm, seed).requires_grad_()
    direction = vector(1.0, seed + 1)
    (exp_map(tangent) @ direction).backward()
    assert tangent.grad is not None
    assert tangent.grad.isfinite().all()
    if norm < 4:  # where no norm is clamped
        inexact = tangent.detach().double().requires_grad_()
        length = inexact.norm() if norm else inexact.sum() + 1
        (inexact * (length.tanh() / length if norm else 1) @ direction.double()).backward()
        torch.testing.assert_close(tangent.grad.double(), inexact.grad, rtol=1e-4, atol=1e-5)


def test_the_gradient_at_the_origin_is_the_identity() -> None:
    jacobian = torch.autograd.functional.jacobian(exp_map, torch.zeros(4))
    assert torch.equal(jacobian, torch.eye(4))
    assert torch.equal(torch.autograd.functional.jacobian(log_map, torch.zeros(4)), torch.eye(4))


def test_points_stay_float32_and_inside_under_autocast() -> None:
    tangent = torch.randn(50, 16, generator=torch.Generator().manual_seed(1)) * 4
    with torch.autocast("cpu", torch.bfloat16):
        found = exp_map(tangent)
    assert torch.equal(found, exp_map(tangent))
    assert exp_map(tangent.bfloat16()).dtype == torch.float32
    assert found.norm(dim=1).max() < 1
