"""Paths: exact ends, true derivatives, order four of the spline, and awkward end points."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.manifold import Flat, Sphere
from diffusion_geodesics.path import (
    GreatArc,
    HalfwayNorm,
    Line,
    Path,
    Polyline,
    Spline,
    chord,
    separation,
    spline_matrix,
)
from tests.conformance.path import PathCase, PathSuite
from tests.exact import vector


def grid(count: int) -> Tensor:
    return torch.linspace(0, 1, count, dtype=torch.float64)


def _nodes(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _case(name: str, make: Callable[[Tensor, Tensor], Path], highest: int, *shape: int):
    start, end = _nodes(*shape), _nodes(*shape, seed=1)
    return PathCase(name, make(start, end), start, end, highest)


def _through(kind: Callable[[Tensor], Path], name: str, highest: int, *shape: int) -> PathCase:
    """Inside the intervals of 4 to 21 nodes: none of ``smooth_at`` is near a node."""
    nodes = _nodes(*shape)
    return PathCase(name, kind(nodes), nodes[0], nodes[-1], highest)


def _on_sphere(nodes: Tensor) -> Path:
    return Spline(nodes, Sphere(2.0))


def _sphere_case(*shape: int) -> PathCase:
    nodes = Sphere(2.0).project(_nodes(*shape) + 3)
    return PathCase("spline on a sphere", _on_sphere(nodes), nodes[0], nodes[-1], 1)


CASES = [
    _case("line", Line, 2, 3),
    _case("lines", Line, 2, 2, 3, 4),
    _case("great arc", GreatArc, 2, 3),
    _case("great arcs", GreatArc, 2, 2, 3, 4),
    _case("hlerp", HalfwayNorm, 0, 5),
    _case("hlerps", HalfwayNorm, 0, 2, 3, 4),
    _through(Spline, "spline of 2", 2, 2, 3),
    _through(Spline, "spline of 3", 2, 3, 3),
    _through(Spline, "spline of 4", 2, 4, 3),
    _through(Spline, "spline of 12", 2, 12, 3),
    _through(Spline, "splines", 2, 6, 2, 3, 4),
    _through(Polyline, "polyline of 2", 1, 2, 3),
    _through(Polyline, "polylines", 1, 6, 2, 3, 4),
    _sphere_case(9, 4),
]


class TestPaths(PathSuite):
    @pytest.fixture(params=CASES, ids=lambda c: c.name)
    def case(self, request: pytest.FixtureRequest) -> PathCase:
        return request.param


def _curve(t: Tensor) -> Tensor:
    return torch.stack([torch.sin(5 * t), torch.exp(t), t**2], -1)


def _curve_on_sphere(t: Tensor) -> Tensor:
    return Sphere(2.0).project(_curve(t))


@pytest.mark.parametrize(
    ("curve", "make"), [(_curve, Spline), (_curve_on_sphere, _on_sphere)], ids=["flat", "sphere"]
)
def test_spline_has_order_four(curve, make):
    fine = grid(1001)
    errors = []
    for intervals in (32, 64, 128):
        nodes = curve(grid(intervals + 1))
        errors.append(float((make(nodes)(fine) - curve(fine)).norm(dim=-1).max()))
    orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert all(3.7 < order < 4.4 for order in orders), orders


def test_polyline_has_order_two():
    fine = grid(1001)
    errors = [
        float((Polyline(_curve(grid(n + 1)))(fine) - _curve(fine)).abs().max()) for n in (32, 64)
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("nodes", [2, 3, 4, 9])
def test_spline_reproduces_cubics(nodes: int):
    degree = min(nodes - 1, 3)
    x, t = grid(nodes), grid(11)
    for order, exact in ((0, t**degree), (-1, t ** (degree + 1) / (degree + 1))):
        matrix = spline_matrix(nodes, tuple(t.tolist()), order)
        assert_close(matrix @ x**degree, exact, rtol=1e-10, atol=1e-12)


def test_spline_passes_through_its_nodes():
    nodes = _nodes(9, 2, 3)
    t = grid(9)
    assert_close(Spline(nodes)(t), nodes)
    assert_close(Polyline(nodes)(t), nodes)


def test_float32_stays():
    nodes = _nodes(5, 3).float()
    for path in (Line(nodes[0], nodes[1]), Spline(nodes), Polyline(nodes)):
        assert path(torch.tensor([0.3]).double()).dtype == torch.float32


def test_spline_follows_gradients():
    nodes = _nodes(5, 3).requires_grad_()
    Spline(nodes)(torch.tensor([0.5]).double()).sum().backward()
    assert nodes.grad is not None


@pytest.mark.parametrize("shape", [(3,), (1, 3)])
def test_spline_needs_two_nodes(shape: tuple[int, ...]):
    with pytest.raises((ValueError, TypeError)):
        Spline(torch.zeros(shape))
    with pytest.raises((ValueError, TypeError)):
        Polyline(torch.zeros(shape))


def test_great_arc_has_constant_speed_on_a_sphere():
    x = Sphere(3.0).project(_nodes(2, 5))
    t = grid(9)
    arc = GreatArc(x[0], x[1])
    assert_close(arc(t).norm(dim=-1), torch.full((9,), 3.0).double())
    speed = arc(t, 1).norm(dim=-1)
    assert_close(speed, separation(x[0], x[1], Sphere(3.0)).expand(9))


def test_norms_between_the_ends():
    x0, x1, t = vector(3, 0), vector(0, 1), torch.tensor([0.25]).double()
    lerp, slerp = (float(p(t).norm()) for p in (Line(x0, x1), GreatArc(x0, x1)))
    assert slerp == pytest.approx(0.75 * 3 + 0.25)
    assert float(HalfwayNorm(x0, x1)(t).norm()) == pytest.approx((lerp + slerp) / 2)
    direction = HalfwayNorm(x0, x1)(t) / Line(x0, x1)(t)
    assert float(direction[0, 0]) == pytest.approx(float(direction[0, 1]))


@pytest.mark.parametrize("kind", [Line, GreatArc, HalfwayNorm])
def test_identical_ends_stay_put(kind):
    x = vector(1, -2, 0.5)
    value = kind(x, x.clone())(grid(5))
    assert_close(value, x.expand(5, 3), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("kind", [Line, GreatArc, HalfwayNorm])
def test_opposite_ends_are_finite(kind):
    x = vector(1, -2, 0.5)
    path = kind(x, -x)
    value = path(grid(5))
    assert_close(value[[0, -1]], torch.stack([x, -x]))
    assert float(value.norm(dim=-1).max()) <= float(x.norm()) * (1 + 1e-12)


def test_great_arc_through_opposite_ends_is_half_a_circle():
    x = vector(1, -2, 0.5)
    value = GreatArc(x, -x)(grid(5))
    assert_close(value.norm(dim=-1), x.norm().expand(5))
    assert float(GreatArc(x, -x).arc_length(1001)[-1]) == pytest.approx(
        math.pi * float(x.norm()), rel=1e-5
    )


def test_great_arc_of_parallel_ends_is_a_line():
    x = vector(1, -2, 0.5)
    t = grid(5)
    assert_close(GreatArc(x, 3 * x)(t), Line(x, 3 * x)(t))


def test_a_great_arc_from_the_origin_is_finite():
    value = GreatArc(vector(0, 0), vector(1, 0))(grid(5))
    assert_close(value, Line(vector(0, 0), vector(1, 0))(grid(5)))


def test_chord_is_the_manifolds_geodesic():
    x = _nodes(2, 3)
    assert isinstance(chord(x[0], x[1], Flat()), Line)
    arc = chord(x[0], x[1], Sphere(2.0))
    t = grid(5)
    assert_close(arc(t).norm(dim=-1), torch.full((5,), 2.0).double())
    assert float(arc.arc_length(2001)[-1]) == pytest.approx(
        float(separation(x[0], x[1], Sphere(2.0))), rel=1e-6
    )
