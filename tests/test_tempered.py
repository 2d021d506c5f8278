"""The finite-temperature string: principal curves that are known, its limit, its honesty."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import diffusion_geodesics as dg
from diffusion_geodesics.bvp import StringMethod
from diffusion_geodesics.bvp.tempered import TemperedString, finite_temperature_string
from tests.exact import Counting, vector

TUBE = dg.Gaussian([0.0, 0.0, 0.0], [3.0, 0.5, 0.8])


def _quick(density: dg.Density, path: dg.Path, temperature: float, seed: int = 0) -> TemperedString:
    return finite_temperature_string(
        density, path, temperature, walkers=16, iterations=30, check=100, seed=seed
    )


def _bent(start: Tensor, end: Tensor, *bump: float) -> dg.Spline:
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    wave = torch.sin(math.pi * t)[:, None]
    return dg.Spline(dg.Line(start, end)(t) + wave * vector(*bump))


def _conditional_mean(density: dg.Density, temperature: float, x: Tensor, along: Tensor) -> float:
    """Mean of r over the points x + r along, r in [-3, 4], by quadrature."""
    r = torch.linspace(-3, 4, 4001, dtype=torch.float64)
    log_p = density.log_prob(torch.zeros(()), x + r[:, None] * along) / temperature
    weight = (log_p - log_p.max()).exp()
    return float((weight * r).sum() / weight.sum())


@pytest.fixture(scope="module")
def tube() -> TemperedString:
    path = _bent(vector(-3, 0, 0), vector(3, 0, 0), 0, 1, 0.5)
    return _quick(TUBE, path, 2.0)


def test_curve_of_a_gaussian_tube_is_its_axis(tube: TemperedString):
    assert tube.converged
    assert tube.warnings == ()
    off = tube.path.nodes[1:-1, 1:].norm(dim=-1)
    assert float(off.max()) < 0.2  # a seventh of the tube's width, with 16 walkers a node
    assert_close(tube.path.nodes[[0, -1]], torch.stack([vector(-3, 0, 0), vector(3, 0, 0)]))


def test_the_spread_is_the_width_of_the_tube(tube: TemperedString):
    """√T times the standard deviations across it."""
    width = math.sqrt(2 * (0.5**2 + 0.8**2))
    assert float(tube.spread.mean()) == pytest.approx(width, rel=0.05)


def test_nodes_have_equal_chords(tube: TemperedString):
    steps = (tube.path.nodes[1:] - tube.path.nodes[:-1]).norm(dim=-1)
    assert float(steps.max() / steps.min()) < 1.1


def test_it_sees_the_width_and_the_ridge_does_not():
    """Two rows of components, a narrow one beside a wide one: the density is highest near the
    narrow row, its mean across is elsewhere."""
    x = torch.linspace(-6, 6, 25, dtype=torch.float64)
    means = torch.cat([torch.stack([x, torch.full_like(x, y)], -1) for y in (0.0, 0.8)])
    stds = torch.cat([torch.full_like(x, 0.3), torch.full_like(x, 0.6)])
    density = dg.GaussianMixture(means, stds)
    middle, across = vector(0, 0), vector(0, 1)
    height = _conditional_mean(density, 1.0, middle, across)
    path = _bent(vector(-2.5, height), vector(2.5, height), 0, 0.3)
    curve = _quick(density, path, 1.0)
    assert curve.converged
    assert_close(curve.path.nodes[4:13, 1].mean(), vector(height)[0], rtol=0, atol=0.05)
    ridge = dg.solve_bvp(
        dg.Conformal(density), StringMethod((16,)), curve.path, max_steps=100, throw=False
    )
    assert isinstance(ridge.path, dg.Spline)
    assert float(ridge.path.nodes[8, 1]) < height - 0.15


def _ring() -> tuple[dg.GaussianMixture, Tensor]:
    """Sixteen components on a circle of radius 2.5, and two unit vectors 135° apart."""
    angle = torch.arange(16, dtype=torch.float64) * (math.pi / 8)
    circle = torch.stack([angle.cos(), angle.sin()], -1)
    return dg.GaussianMixture(2.5 * circle, 0.5), circle[[0, 6]]


def test_curve_of_a_ring():
    """Every plane is a radius, up to the centre."""
    density, ends = _ring()
    radius = _conditional_mean(density, 1.0, 3 * ends[0], ends[0]) + 3
    line = dg.Line(radius * ends[0], radius * ends[1])
    curve = _quick(density, line, 1.0)
    assert curve.converged
    assert_close(curve.path.nodes.norm(dim=-1).mean(), vector(radius)[0], rtol=0, atol=0.02)


def test_at_low_temperature_it_is_the_string_method():
    density, ends = _ring()
    line = dg.Line(2.45 * ends[0], 2.45 * ends[1])
    cold = finite_temperature_string(density, line, 1e-6, walkers=2, check=50)
    string = dg.solve_bvp(dg.Conformal(density), StringMethod((16,)), line, max_steps=100)
    assert isinstance(string.path, dg.Spline)
    assert cold.converged
    assert cold.residual < 1e-3
    assert_close(cold.path.nodes, string.path.nodes, rtol=0, atol=0.02)


def test_a_seed_is_a_result(tube: TemperedString):
    path = _bent(vector(-3, 0, 0), vector(3, 0, 0), 0, 1, 0.5)
    same, other = (_quick(TUBE, path, 2.0, s) for s in (0, 1))
    assert_close(same.path.nodes, tube.path.nodes, rtol=0, atol=0)
    assert_close(same.gap, tube.gap, rtol=0, atol=0)
    assert float((other.path.nodes - tube.path.nodes).abs().max()) > 1e-3


def test_a_curve_that_is_none_says_so():
    """After one iteration the bent path is far from the axis, by more than the error of the
    means."""
    path = _bent(vector(-3, 0, 0), vector(3, 0, 0), 0, 1, 0.5)
    hasty = finite_temperature_string(TUBE, path, 0.1, walkers=16, iterations=1, check=100)
    assert not hasty.converged
    assert "more iterations" in hasty.warnings[0]
    assert float(hasty.gap.max()) > 0.3


@pytest.mark.parametrize("known", [True, False])
def test_cost_is_counted(known: bool):
    score = Counting(TUBE)
    seen: list[dg.Step] = []
    curve = finite_temperature_string(
        score if known else dg.FunctionScore(lambda x: score(torch.zeros(()), x)),
        dg.Line(vector(-3, 0.1, 0), vector(3, 0, 0)),
        intervals=6,
        walkers=3,
        iterations=4,
        sweep=2,
        check=5,
        callback=seen.append,
    )
    assert (curve.calls, curve.score_evals) == (score.calls, score.rows)
    assert curve.score_evals == 5 * (3 * (4 * 2 + 5) + 1) + (0 if known else 10)
    assert tuple(seen) == curve.steps
    assert curve.iterations == 4


def test_a_score_that_fails_is_reported():
    path = dg.Line(vector(-3, 0, 0), vector(3, 0, 0))
    curve = finite_temperature_string(
        lambda x: torch.where(x[:, 1:2] > 0.5, torch.nan, TUBE(torch.zeros(()), x)),
        path,
        walkers=4,
        iterations=3,
        check=10,
    )
    assert not curve.converged
    assert "not finite" in curve.warnings[0]


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.0},
        {"temperature": math.nan},
        {"walkers": 1},
        {"intervals": 3},
        {"iterations": 0},
        {"check": 1},
        {"step": -1.0},
    ],
)
def test_bad_options(options: dict[str, float]):
    with pytest.raises(ValueError, match="expected at least 4, 2"):
        finite_temperature_string(TUBE, dg.Line(vector(-3, 0, 0), vector(3, 0, 0)), **options)  # type: ignore[arg-type]


def test_one_path_in_flat_space():
    ends = torch.eye(3, dtype=torch.float64)
    with pytest.raises(ValueError, match="expected one path"):
        finite_temperature_string(TUBE, dg.Line(ends[:2], ends[1:]))
    with pytest.raises(ValueError, match="flat space"):
        finite_temperature_string(TUBE, dg.Spline(ends, dg.Sphere(1.0)))


def test_where_there_is_no_curvature_the_step_must_be_given():
    line = dg.Line(vector(0, 0), vector(1, 0))
    with pytest.raises(ValueError, match="Give the step"):
        finite_temperature_string(torch.zeros_like, line)
    curve = finite_temperature_string(
        torch.zeros_like, line, step=1e-4, walkers=4, iterations=4, check=4
    )
    assert bool(torch.isfinite(curve.path.nodes).all())
