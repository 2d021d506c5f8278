"""The finite-temperature string: known principal curves, its limit, its error estimates."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.bvp import BoundaryProblem, Result, Solution, Step, StringMethod, solve_bvp
from diffusion_geodesics.density import Density, FunctionScore, Gaussian, GaussianMixture, Score
from diffusion_geodesics.experimental import FiniteTemperatureString, TubeDetails
from diffusion_geodesics.manifold import Sphere
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.path import Line, Path, Spline
from tests.exact import Counting, vector

TUBE = Gaussian([0.0, 0.0, 0.0], [3.0, 0.5, 0.8])


def _solve(score: Score, path: Path, max_steps: int = 60, **settings: Any) -> Solution:
    problem = BoundaryProblem(Conformal(score), path)
    return solve_bvp(problem, FiniteTemperatureString(**settings), max_steps=max_steps)


def _quick(density: Density, path: Path, temperature: float, seed: int = 0) -> Solution:
    return _solve(density, path, 30, temperature=temperature, walkers=16, check=100, seed=seed)


def _details(solution: Solution) -> TubeDetails:
    assert isinstance(solution.details, TubeDetails)
    return solution.details


def _bent(start: Tensor, end: Tensor, *bump: float) -> Spline:
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    wave = torch.sin(math.pi * t)[:, None]
    return Spline(Line(start, end)(t) + wave * vector(*bump))


def _conditional_mean(density: Density, temperature: float, x: Tensor, along: Tensor) -> float:
    """Mean of r over the points x + r along, r in [-3, 4], by quadrature."""
    r = torch.linspace(-3, 4, 4001, dtype=torch.float64)
    log_p = density.log_prob(torch.zeros(()), x + r[:, None] * along) / temperature
    weight = (log_p - log_p.max()).exp()
    return float((weight * r).sum() / weight.sum())


@pytest.fixture(scope="module")
def tube() -> Solution:
    path = _bent(vector(-3, 0, 0), vector(3, 0, 0), 0, 1, 0.5)
    return _quick(TUBE, path, 2.0)


def test_curve_of_a_gaussian_tube_is_its_axis(tube: Solution):
    assert tube.converged
    assert all("typical set" in w for w in tube.warnings)  # a centre line has no noise
    off = tube.path.nodes[1:-1, 1:].norm(dim=-1)
    assert float(off.max()) < 0.2  # a seventh of the tube's width, with 16 walkers a node
    assert_close(tube.path.nodes[[0, -1]], torch.stack([vector(-3, 0, 0), vector(3, 0, 0)]))


def test_the_spread_is_the_width_of_the_tube(tube: Solution):
    """√T times the standard deviations across it."""
    width = math.sqrt(2 * (0.5**2 + 0.8**2))
    assert float(_details(tube).spread.mean()) == pytest.approx(width, rel=0.05)


def test_lengths_are_those_of_the_metric(tube: Solution):
    """Along the axis log p changes by -(x² - 9) / 18, so the length is ∫ exp((x² - 9) / 18) dx."""
    x = torch.linspace(-3, 3, 20001, dtype=torch.float64)
    exact = float(torch.trapezoid(((x**2 - 9) / 18).exp(), x))
    assert float(tube.length) == pytest.approx(exact, rel=0.03)


def test_nodes_have_equal_chords(tube: Solution):
    steps = (tube.path.nodes[1:] - tube.path.nodes[:-1]).norm(dim=-1)
    assert float(steps.max() / steps.min()) < 1.1


def test_it_sees_the_width_and_the_ridge_does_not():
    """Two rows of components, a narrow one beside a wide one: the density is highest near the
    narrow row, its mean across is elsewhere."""
    x = torch.linspace(-6, 6, 25, dtype=torch.float64)
    means = torch.cat([torch.stack([x, torch.full_like(x, y)], -1) for y in (0.0, 0.8)])
    stds = torch.cat([torch.full_like(x, 0.3), torch.full_like(x, 0.6)])
    density = GaussianMixture(means, stds)
    middle, across = vector(0, 0), vector(0, 1)
    height = _conditional_mean(density, 1.0, middle, across)
    path = _bent(vector(-2.5, height), vector(2.5, height), 0, 0.3)
    curve = _quick(density, path, 1.0)
    assert curve.converged
    assert_close(curve.path.nodes[4:13, 1].mean(), vector(height)[0], rtol=0, atol=0.05)
    problem = BoundaryProblem(Conformal(density), curve.path)
    ridge = solve_bvp(problem, StringMethod((16,)), max_steps=100)
    assert float(ridge.path.nodes[8, 1]) < height - 0.15


def _ring() -> tuple[GaussianMixture, Tensor]:
    """Sixteen components on a circle of radius 2.5, and two unit vectors 135° apart."""
    angle = torch.arange(16, dtype=torch.float64) * (math.pi / 8)
    circle = torch.stack([angle.cos(), angle.sin()], -1)
    return GaussianMixture(2.5 * circle, 0.5), circle[[0, 6]]


def test_curve_of_a_ring():
    """Every plane is a radius, up to the centre."""
    density, ends = _ring()
    radius = _conditional_mean(density, 1.0, 3 * ends[0], ends[0]) + 3
    curve = _quick(density, Line(radius * ends[0], radius * ends[1]), 1.0)
    assert curve.converged
    assert_close(curve.path.nodes.norm(dim=-1).mean(), vector(radius)[0], rtol=0, atol=0.02)


def test_at_low_temperature_it_is_the_string_method():
    density, ends = _ring()
    line = Line(2.45 * ends[0], 2.45 * ends[1])
    cold = _solve(density, line, temperature=1e-6, walkers=2, check=50)
    problem = BoundaryProblem(Conformal(density), line)
    string = solve_bvp(problem, StringMethod((16,)), max_steps=100)
    assert cold.converged
    assert float(cold.residual) < 1e-3
    assert_close(cold.path.nodes, string.path.nodes, rtol=0, atol=0.02)


def test_a_seed_is_a_result(tube: Solution):
    path = _bent(vector(-3, 0, 0), vector(3, 0, 0), 0, 1, 0.5)
    same, other = (_quick(TUBE, path, 2.0, s) for s in (0, 1))
    assert_close(same.path.nodes, tube.path.nodes, rtol=0, atol=0)
    assert_close(_details(same).gap, _details(tube).gap, rtol=0, atol=0)
    assert float((other.path.nodes - tube.path.nodes).abs().max()) > 1e-3


def test_a_curve_that_is_none_says_so():
    """After one iteration the bent path is far from the axis, by more than the error of the
    means."""
    path = _bent(vector(-3, 0, 0), vector(3, 0, 0), 0, 1, 0.5)
    hasty = _solve(TUBE, path, 1, temperature=0.1, walkers=16, check=100)
    assert hasty.result is Result.max_steps
    assert "raise max_steps" in hasty.warnings[0]
    assert float(_details(hasty).gap.max()) > 0.3
    assert float(hasty.residual) > 2 * _details(hasty).sampling_error


@pytest.mark.parametrize("known", [True, False])
def test_cost_is_counted(known: bool):
    counting = Counting(TUBE)
    score: Score = counting
    if not known:
        score = FunctionScore(lambda x: counting(torch.zeros(()), x))
    seen: list[Step] = []
    problem = BoundaryProblem(Conformal(score), Line(vector(-3, 0.1, 0), vector(3, 0, 0)))
    solver = FiniteTemperatureString(intervals=6, walkers=3, sweep=2, check=5)
    curve = solve_bvp(problem, solver, max_steps=4, callback=seen.append)
    assert (curve.batches, curve.nfe) == (counting.batches, counting.nfe)
    assert curve.nfe == 5 * (3 * (4 * 2 + 5) + 1) + 65 + (0 if known else 10)
    assert tuple(seen) == curve.steps
    assert curve.iterations == 4


def test_a_score_that_fails_is_reported():
    def wall(x: Tensor) -> Tensor:
        return torch.where(x[:, 1:2] > 0.5, torch.nan, TUBE(torch.zeros(()), x))

    path = Line(vector(-3, 0, 0), vector(3, 0, 0))
    curve = _solve(FunctionScore(wall), path, 3, walkers=4, check=10)
    assert curve.result is Result.non_finite
    assert "not finite" in curve.warnings[0]


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.0},
        {"temperature": math.nan},
        {"walkers": 1},
        {"intervals": 3},
        {"sweep": 0},
        {"check": 1},
        {"step": -1.0},
    ],
)
def test_bad_settings(settings: dict[str, Any]):
    with pytest.raises(ValueError, match="expected at least 4, 2"):
        FiniteTemperatureString(**settings)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda x: BoundaryProblem(Conformal(TUBE), Line(x[:2], x[1:])), "expected one path"),
        (lambda x: BoundaryProblem(Conformal(TUBE), [Line(x[0], x[1])] * 2), "expected one path"),
        (
            lambda x: BoundaryProblem(Conformal(TUBE, 1.0, Sphere(1.0)), Line(x[0], x[1])),
            "flat space",
        ),
    ],
)
def test_one_path_in_flat_space(make: Callable[[Tensor], BoundaryProblem], match: str):
    with pytest.raises(ValueError, match=match):
        solve_bvp(make(torch.eye(3, dtype=torch.float64)), FiniteTemperatureString())


def test_where_there_is_no_curvature_the_step_must_be_given():
    line = Line(vector(0, 0), vector(1, 0))
    flat = FunctionScore(torch.zeros_like)
    with pytest.raises(ValueError, match="Give the step"):
        _solve(flat, line)
    curve = _solve(flat, line, 4, step=1e-4, walkers=4, check=4)
    off = curve.path.nodes - line(torch.linspace(0, 1, 17).double())
    assert float(off.abs().max()) < 0.05  # walkers of step 1e-4 go 0.06 in 40 steps
