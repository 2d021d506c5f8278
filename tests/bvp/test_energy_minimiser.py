"""The minimiser of the energy: exact geodesics, honest residuals, batches, failures."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.bvp import (
    BoundaryProblem,
    EnergyMinimiser,
    Result,
    Step,
    solve_bvp,
)
from diffusion_geodesics.density import Density, Gaussian, GaussianMixture, HalfPlane
from diffusion_geodesics.manifold import Sphere
from diffusion_geodesics.metric import ConformalMetric, MetricEnergy
from diffusion_geodesics.path import GreatArc, Line, Spline
from tests.exact import Counting, GaussianEach, vector
from tests.problems import reference
from tests.problems.score_metrics import ScoreJacobian, Stein

_MIXTURE = GaussianMixture([[-2.0, 0], [2, 0], [0, 1.8]], [0.7, 0.9, 0.8])
_TIMES = torch.linspace(0, 1, 9, dtype=torch.float64)


def _log_prob(density: Density, x: Tensor) -> float:
    return float(density.log_prob(torch.zeros(1).double(), x[None]))


def _points(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_euclidean_energy_gives_lines_in_one_step():
    """The coordinates make it round: one plain step, however many nodes."""
    start = Spline(_points(9, 4, 3))
    energy = MetricEnergy(ConformalMetric(Gaussian([0.0] * 3), 0.0))
    for intervals in (8, 64):
        solution = solve_bvp(BoundaryProblem(energy, start), EnergyMinimiser(intervals), tol=1e-8)
        assert solution.converged
        assert solution.iterations == 2
        line = Line(start.nodes[0], start.nodes[-1])
        assert_close(solution.path(_TIMES), line(_TIMES), rtol=0, atol=1e-8)


def test_great_circles():
    sphere = Sphere(2.0)
    energy = MetricEnergy(ConformalMetric(Gaussian([0.0] * 3), 0.0, sphere))
    a, b = vector(2, 0, 0), vector(0, 2, 0)
    bent = Spline(torch.stack([a, sphere.project(vector(1, 1, 2)), b]), sphere)
    solution = solve_bvp(BoundaryProblem(energy, bent), EnergyMinimiser(64), tol=1e-6)
    assert solution.converged
    assert float(solution.length) == pytest.approx(math.pi, rel=1e-4)
    assert_close(solution.path(_TIMES), GreatArc(a, b)(_TIMES), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["ring", "three components"])
def test_conformal_metrics_as_a_check(name: str):
    known = next(r for r in reference.REFERENCES if r.name == name)
    problem = known.make()
    zero = torch.zeros(1, dtype=torch.float64)
    at_start = float(problem.density.log_prob(zero, problem.start[None]))
    metric = ConformalMetric(problem.density, problem.alpha, reference=at_start)
    line = Line(problem.start, problem.end)
    errors: list[float] = []
    for intervals in (32, 64):
        solution = solve_bvp(
            BoundaryProblem(MetricEnergy(metric), line), EnergyMinimiser(intervals), tol=1e-4
        )
        assert solution.converged
        errors.append(abs(float(solution.length) - known.length))
        assert errors[-1] < float(solution.distance_error)
    assert errors[1] < 0.4 * errors[0]
    assert errors[1] < 2e-5 * known.length


def test_constant_speed():
    solution = solve_bvp(
        BoundaryProblem(MetricEnergy(Stein(_MIXTURE, 1.0)), Line(vector(-2, 0), vector(2, 0.3))),
        EnergyMinimiser(64),
    )
    steps = solution.arc_length.diff(dim=0)
    assert float(steps.std() / steps.mean()) < 0.02


def test_residual_is_relative():
    """ρ does not change with the scale of the metric or of the points."""
    line = Spline(_points(5, 2))
    residuals: list[float] = []
    for size, std in ((1.0, 0.5), (1.0, 5.0), (100.0, 50.0)):
        energy = ScoreJacobian(Gaussian([0.0, 0.0], std))
        moved = Spline(size * line.nodes)
        seen: list[Step] = []
        solve_bvp(
            BoundaryProblem(energy, moved), EnergyMinimiser(), max_steps=1, callback=seen.append
        )
        residuals.append(float(seen[0].residual))
    assert_close(torch.tensor(residuals), torch.full((3,), residuals[0]), rtol=1e-6, atol=0)


def test_excess_length_is_half_the_residual_squared():
    energy = MetricEnergy(ConformalMetric(Gaussian([0.0, 0]), 0.0))
    t = torch.linspace(0, 1, 65, dtype=torch.float64)
    bump = torch.stack([t, 0.02 * torch.sin(torch.pi * t)], -1)
    seen: list[Step] = []
    solve_bvp(
        BoundaryProblem(energy, Spline(bump)),
        EnergyMinimiser(64),
        max_steps=1,
        callback=seen.append,
    )
    residual, excess = float(seen[0].residual), float(seen[0].length) - 1
    assert excess == pytest.approx(residual**2 / 2, rel=0.05)


def test_a_batch_is_a_loop():
    means = _points(3, 2)
    line = Line(vector(1.5, 0).expand(3, 2), vector(-0.4, 1.2).expand(3, 2))
    together = solve_bvp(
        BoundaryProblem(MetricEnergy(Stein(GaussianEach(means))), line), EnergyMinimiser()
    )
    assert together.length.shape == (3,)
    assert together.arc_length.shape == (129, 3)
    for i in range(3):
        one = solve_bvp(
            BoundaryProblem(
                MetricEnergy(Stein(Gaussian(means[i]))), Line(vector(1.5, 0), vector(-0.4, 1.2))
            ),
            EnergyMinimiser(),
        )
        assert_close(together.length[i], one.length, rtol=1e-10, atol=0)
        assert_close(together.residual[i], one.residual, rtol=1e-4, atol=0)


def test_a_path_that_fails_does_not_spoil_the_others():
    """Between the modes J is singular: no geodesic there, and the next path does not notice."""
    starts = torch.stack([vector(0.0617, 0.6213), vector(0.66, 0.27)])
    ends = torch.stack([vector(-0.0981, 0.0188), vector(0.86, -0.6)])
    energy = ScoreJacobian(_MIXTURE)
    solution = solve_bvp(
        BoundaryProblem(energy, Line(starts, ends)), EnergyMinimiser(), max_steps=60
    )
    assert solution.results[0] is Result.not_converged
    assert solution.results[1] is Result.converged
    assert solution.result is Result.not_converged
    assert not solution.converged
    alone = solve_bvp(BoundaryProblem(energy, Line(starts[1], ends[1])), EnergyMinimiser())
    assert_close(solution.length[1], alone.length)


def test_single_precision():
    line = Line(vector(1.5, 0).float(), vector(-0.4, 1.2).float())
    energy = MetricEnergy(Stein(Gaussian([0.0, 0])))
    single = solve_bvp(BoundaryProblem(energy, line), EnergyMinimiser())
    exact = solve_bvp(
        BoundaryProblem(energy, Line(vector(1.5, 0), vector(-0.4, 1.2))), EnergyMinimiser()
    )
    assert single.length.dtype == torch.float32
    assert single.converged
    assert_close(single.length.double(), exact.length, rtol=1e-4, atol=0)


def test_cost_is_what_the_score_sees():
    counting = Counting(Gaussian([0.0, 0]))
    energy = MetricEnergy(Stein(counting))
    seen: list[Step] = []
    line = Line(vector(1.5, 0), vector(-0.4, 1.2))
    solution = solve_bvp(BoundaryProblem(energy, line), EnergyMinimiser(), callback=seen.append)
    derivatives = solution.iterations  # by autograd, each as much as a batch of evaluations
    assert solution.nfe == counting.nfe + 32 * derivatives
    assert solution.batches == counting.batches + derivatives
    assert tuple(seen) == solution.steps
    assert solution.iterations == len(seen)


def test_steps_do_not_grow_with_the_nodes():
    energy = MetricEnergy(Stein(_MIXTURE, 1.0))
    line = Line(vector(-2, 0), vector(2, 0.3))
    coarse, fine = (
        solve_bvp(BoundaryProblem(energy, line), EnergyMinimiser(n)).iterations for n in (16, 128)
    )
    assert fine <= coarse + 4


def test_ends_that_are_one_point():
    point = vector(1.0, 2.0)
    solution = solve_bvp(
        BoundaryProblem(ScoreJacobian(_MIXTURE), Line(point, point)), EnergyMinimiser()
    )
    assert solution.converged
    assert float(solution.length) == 0


def test_a_score_that_is_not_finite_is_reported():
    solution = solve_bvp(
        BoundaryProblem(ScoreJacobian(HalfPlane()), Line(vector(0, 1), vector(1, -1))),
        EnergyMinimiser(),
        max_steps=5,
    )
    assert solution.result is Result.non_finite


def test_a_trial_outside_the_domain_is_turned_back():
    """The half-plane's log density is NaN below it; its semicircle is found all the same."""
    metric = ConformalMetric(HalfPlane(), 1.0)
    line = Line(vector(0, 0.2), vector(2, 0.2))
    solution = solve_bvp(BoundaryProblem(MetricEnergy(metric), line), EnergyMinimiser(64))
    assert solution.converged
    exact = math.acosh(1 + 4 / (2 * 0.04))
    assert abs(float(solution.length) - exact) < float(solution.distance_error)
    assert float(solution.length) == pytest.approx(exact, rel=2e-3)


def test_too_few_steps_are_reported():
    solution = solve_bvp(
        BoundaryProblem(MetricEnergy(Stein(_MIXTURE, 3.0)), Line(vector(-2, 0), vector(2, 0.3))),
        EnergyMinimiser(),
        max_steps=2,
    )
    assert solution.result in (Result.max_steps, Result.not_converged)
    assert solution.iterations == 3


def test_cancel():
    def stop(step: Step) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solve_bvp(
            BoundaryProblem(ScoreJacobian(_MIXTURE), Line(vector(0, 0), vector(1, 0))),
            EnergyMinimiser(),
            callback=stop,
        )


@pytest.mark.parametrize("bad", [{"tol": 0.0}, {"tol": math.nan}, {"max_steps": 0}], ids=str)
def test_bad_options(bad: dict[str, Any]):
    line = Line(vector(0, 0), vector(1, 0))
    with pytest.raises(ValueError, match="relative residual 0 < tol ≤ 1, and max_steps ≥ 1"):
        solve_bvp(BoundaryProblem(ScoreJacobian(_MIXTURE), line), EnergyMinimiser(8), **bad)


def test_too_few_intervals():
    with pytest.raises(ValueError, match="intervals is 1"):
        EnergyMinimiser(1)


def test_several_initial_paths():
    """Both ways round a ring are minima; the shorter one is kept."""
    problem = reference.ring(0.9)
    metric = ConformalMetric(problem.density, reference=_log_prob(problem.density, problem.start))
    energy, t = MetricEnergy(metric), torch.linspace(0, 1, 17, dtype=torch.float64)

    def arc(angle: float) -> Spline:
        return Spline(2 * torch.stack([(angle * t).cos(), (angle * t).sin()], -1))

    ways = [arc(-1.1 * math.pi), arc(0.9 * math.pi)]
    seen: list[Step] = []
    solution = solve_bvp(BoundaryProblem(energy, ways), callback=seen.append)
    assert solution.converged
    assert float(solution.length) == pytest.approx(5.430263, rel=1e-3)
    assert float(solution.starts[0].length) == pytest.approx(6.62357, rel=1e-2)
    assert float(solution.starts[1].length) == pytest.approx(float(solution.length), rel=1e-2)
    alone = [solve_bvp(BoundaryProblem(energy, way)) for way in ways]
    assert solution.iterations == sum(s.iterations for s in alone) == len(seen)
    verification = energy.evaluations(129, gradient=False)
    assert solution.nfe == sum(s.nfe for s in alone) - verification
    assert solution.batches == sum(s.batches for s in alone) - 1


def test_one_pair_of_a_batch():
    starts = torch.stack([vector(1.5, 0), vector(1.2, 0.1)])
    ends = torch.stack([vector(-0.4, 1.2), vector(0.3, 1.0)])
    energy = MetricEnergy(Stein(Gaussian([0.0, 0])))
    both = solve_bvp(BoundaryProblem(energy, Line(starts, ends)))
    for i in range(2):
        one, alone = both.pair(i), solve_bvp(BoundaryProblem(energy, Line(starts[i], ends[i])))
        assert_close(one.path(_TIMES), alone.path(_TIMES), rtol=0, atol=1e-9)
        assert_close(one.arc_length, alone.arc_length)
        assert_close(one.length, alone.length)


def test_an_energy_has_no_density():
    line = Line(vector(1.5, 0), vector(-0.4, 1.2))
    solution = solve_bvp(BoundaryProblem(MetricEnergy(Stein(Gaussian([0.0, 0]))), line))
    with pytest.raises(ValueError, match="no log density"):
        _ = solution.log_density
    assert solution.noise_energy is None
    assert solution.warnings == ()
    assert_close(solution.norm, solution.path(solution.t).norm(dim=-1))
