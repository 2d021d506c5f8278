"""The minimiser of the energy: exact geodesics, honest residuals, batches, failures."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import diffusion_geodesics as dg
from benchmarks import reference
from diffusion_geodesics.bvp.energy import EnergySolution, minimise_energy
from diffusion_geodesics.metric import (
    CentralDifference,
    ConformalMetric,
    DenoiserMoments,
    FisherRao,
    MetricEnergy,
    MixtureMoments,
    ScoreJacobian,
    Stein,
    spacetime_point,
)
from tests.exact import Counting, GaussianEach, vector
from tests.test_energies import mixture_denoiser, normal_distance
from tests.test_stein import paraboloid_distance

_MIXTURE = dg.GaussianMixture([[-2.0, 0], [2, 0], [0, 1.8]], [0.7, 0.9, 0.8])
_TIMES = torch.linspace(0, 1, 9, dtype=torch.float64)


def _points(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_euclidean_energy_gives_lines_in_one_step():
    """The coordinates make it round: one plain step, however many nodes."""
    start = dg.Spline(_points(9, 4, 3))
    energy = MetricEnergy(ConformalMetric(dg.Gaussian([0.0] * 3), 0.0))
    for intervals in (8, 64):
        solution = minimise_energy(energy, start, intervals=intervals, tol=1e-8)
        assert solution.converged
        assert solution.iterations == 2
        line = dg.Line(start.nodes[0], start.nodes[-1])
        assert_close(solution.path(_TIMES), line(_TIMES), rtol=0, atol=1e-8)
        assert_close(solution.energy, solution.length**2)


def test_great_circles():
    sphere = dg.Sphere(2.0)
    energy = MetricEnergy(ConformalMetric(dg.Gaussian([0.0] * 3), 0.0, sphere))
    a, b = vector(2, 0, 0), vector(0, 2, 0)
    bent = dg.Spline(torch.stack([a, sphere.project(vector(1, 1, 2)), b]), sphere)
    solution = minimise_energy(energy, bent, intervals=64, tol=1e-6)
    assert solution.converged
    assert float(solution.length) == pytest.approx(math.pi, rel=1e-4)
    assert_close(solution.path(_TIMES), dg.GreatArc(a, b)(_TIMES), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["ring", "three components"])
def test_conformal_metrics_as_a_check(name: str):
    known = next(r for r in reference.REFERENCES if r.name == name)
    problem = known.make()
    zero = torch.zeros(1, dtype=torch.float64)
    at_start = float(problem.density.log_prob(zero, problem.start[None]))
    metric = ConformalMetric(problem.density, problem.alpha, reference=at_start)
    line = dg.Line(problem.start, problem.end)
    errors: list[float] = []
    for intervals in (32, 64):
        solution = minimise_energy(MetricEnergy(metric), line, intervals=intervals, tol=1e-4)
        assert solution.converged
        errors.append(abs(float(solution.length) - known.length))
        assert errors[-1] < float(solution.distance_error)
    assert errors[1] < 0.4 * errors[0]
    assert errors[1] < 2e-5 * known.length


@pytest.mark.parametrize("differences", [False, True])
@pytest.mark.parametrize(("strength", "angle"), [(0.3, 2.0), (3.0, 1.2)])
def test_stein_of_a_gaussian(strength: float, angle: float, differences: bool):
    score: dg.Score = dg.Gaussian([0.0, 0])
    if differences:
        score = CentralDifference(score)
    ends = 1.5 * vector(1, 0), 1.5 * vector(math.cos(angle), math.sin(angle))
    energy = MetricEnergy(Stein(score, strength))
    solution = minimise_energy(energy, dg.Line(*ends), intervals=48, tol=1e-4)
    exact = paraboloid_distance(strength, 1.5, angle)
    assert solution.converged
    assert float(solution.length) == pytest.approx(exact, rel=2e-5)


@pytest.mark.parametrize("strength", [0.3, 3.0])
def test_stein_of_a_mixture_agrees_with_the_flow(strength: float):
    """Two discretisations, one by the derived acceleration, one without it."""
    stein, line = Stein(_MIXTURE, strength), dg.Line(vector(-2, 0), vector(2, 0.3))
    solution = minimise_energy(MetricEnergy(stein), line, intervals=64)
    flow = dg.solve_bvp(stein, dg.PreconditionedFlow(), line)
    assert float(solution.length) == pytest.approx(float(flow.length), rel=1e-4)
    middle = vector(0.25, 0.5, 0.75)
    at = dg.measure(stein, solution.path).at_arc_length(middle)
    other = flow.profile.at_arc_length(middle)
    assert_close(solution.path(at), flow.path(other), rtol=0, atol=2e-2)


def test_score_jacobian_of_a_gaussian_gives_lines():
    start = dg.Spline(_points(9, 2, 3))
    solution = minimise_energy(ScoreJacobian(dg.Gaussian([0.5] * 3, 0.5)), start, tol=1e-7)
    assert solution.converged
    a, b = start.nodes[0], start.nodes[-1]
    assert_close(solution.path(_TIMES), dg.Line(a, b)(_TIMES), rtol=0, atol=1e-6)
    assert_close(solution.length, (b - a).norm(dim=-1) / 0.25)


def test_score_jacobian_of_a_mixture_is_the_preimage_of_a_line():
    a, b = vector(0.6614, 0.2669), vector(0.8575, 0.1551)
    solution = minimise_energy(ScoreJacobian(_MIXTURE), dg.Line(a, b), tol=1e-6)
    assert solution.converged
    scores = _MIXTURE(_TIMES, solution.path(_TIMES))
    assert_close(scores, dg.Line(scores[0], scores[-1])(_TIMES), rtol=0, atol=2e-4)
    assert float(solution.length) == pytest.approx(float((scores[-1] - scores[0]).norm()), rel=1e-6)
    bend = solution.path(_TIMES) - dg.Line(a, b)(_TIMES)
    assert float(bend.abs().max()) > 1e-3


def _normal(point: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """The posterior's mean and standard deviation under the prior N(0, τ²)."""
    noise = (2 * point[..., -1]).exp()
    mean = tau**2 * point[..., :-1] / (tau**2 + noise[..., None])
    return mean, (tau**2 * noise / (tau**2 + noise)).sqrt()


@pytest.mark.parametrize("network", [False, True])
def test_fisher_rao_of_a_gaussian_prior(network: bool):
    """A hyperbolic half space: the distance is known, and the noise level rises on the way."""
    prior = dg.GaussianMixture([[0.0, 0, 0]], 2.0)
    moments = MixtureMoments(prior)
    if network:
        moments = DenoiserMoments(mixture_denoiser(prior), 3, 1)
    a = spacetime_point(vector(1.0, 0, 0), 0.3)
    b = spacetime_point(vector(-0.2, 0.8, 0), 0.5)
    solution = minimise_energy(FisherRao(moments), dg.Line(a, b), intervals=48, tol=1e-4)
    assert solution.converged
    exact = float(normal_distance(*_normal(a, 2.0), *_normal(b, 2.0)))
    assert float(solution.length) == pytest.approx(exact, rel=2e-5)
    middle = solution.path(vector(0.5))[0]
    assert float(middle[-1]) > 0.5 * math.log(0.3 * 0.5) + 0.2


def test_fisher_rao_of_a_mixture_goes_through_noise():
    """Between modes the shortest way is to add noise, and take it away again."""
    a, b = spacetime_point(vector(-2, 0), 0.3), spacetime_point(vector(2, 0), 0.3)
    solution = minimise_energy(FisherRao(MixtureMoments(_MIXTURE)), dg.Line(a, b))
    assert solution.converged
    assert float(solution.path(_TIMES)[4, -1].exp()) > 1.0


def test_constant_speed():
    solution = minimise_energy(
        MetricEnergy(Stein(_MIXTURE, 1.0)), dg.Line(vector(-2, 0), vector(2, 0.3)), intervals=64
    )
    steps = solution.arc_length.diff(dim=0)
    assert float(steps.std() / steps.mean()) < 0.02
    assert float(solution.energy) == pytest.approx(float(solution.length) ** 2, rel=2e-3)


def test_residual_is_relative():
    """ρ does not change with the scale of the metric or of the points."""
    line = dg.Spline(_points(5, 2))
    residuals: list[float] = []
    for size, std in ((1.0, 0.5), (1.0, 5.0), (100.0, 50.0)):
        energy = ScoreJacobian(dg.Gaussian([0.0, 0.0], std))
        moved = dg.Spline(size * line.nodes)
        seen: list[dg.Step] = []
        minimise_energy(energy, moved, max_steps=1, callback=seen.append)
        residuals.append(float(seen[0].residual))
    assert_close(torch.tensor(residuals), torch.full((3,), residuals[0]), rtol=1e-6, atol=0)


def test_excess_length_is_half_the_residual_squared():
    energy = MetricEnergy(ConformalMetric(dg.Gaussian([0.0, 0]), 0.0))
    t = torch.linspace(0, 1, 65, dtype=torch.float64)
    bump = torch.stack([t, 0.02 * torch.sin(torch.pi * t)], -1)
    seen: list[dg.Step] = []
    minimise_energy(energy, dg.Spline(bump), max_steps=1, callback=seen.append, intervals=64)
    residual, excess = float(seen[0].residual), float(seen[0].length) - 1
    assert excess == pytest.approx(residual**2 / 2, rel=0.05)


def test_a_batch_is_a_loop():
    means = _points(3, 2)
    line = dg.Line(vector(1.5, 0).expand(3, 2), vector(-0.4, 1.2).expand(3, 2))
    together = minimise_energy(MetricEnergy(Stein(GaussianEach(means))), line)
    assert together.length.shape == (3,)
    assert together.arc_length.shape == (129, 3)
    for i in range(3):
        one = minimise_energy(
            MetricEnergy(Stein(dg.Gaussian(means[i]))), dg.Line(vector(1.5, 0), vector(-0.4, 1.2))
        )
        assert_close(together.length[i], one.length, rtol=1e-10, atol=0)
        assert_close(together.residual[i], one.residual, rtol=1e-4, atol=0)


def test_a_path_that_fails_does_not_spoil_the_others():
    """Between the modes J is singular: no geodesic there, and the next path does not notice."""
    starts = torch.stack([vector(0.0617, 0.6213), vector(0.66, 0.27)])
    ends = torch.stack([vector(-0.0981, 0.0188), vector(0.86, -0.6)])
    energy = ScoreJacobian(_MIXTURE)
    solution = minimise_energy(energy, dg.Line(starts, ends), max_steps=60)
    assert solution.results[0] is dg.Result.not_converged
    assert solution.results[1] is dg.Result.converged
    assert solution.result is dg.Result.not_converged
    assert not solution.converged
    alone = minimise_energy(energy, dg.Line(starts[1], ends[1]))
    assert_close(solution.length[1], alone.length)


def test_single_precision():
    line = dg.Line(vector(1.5, 0).float(), vector(-0.4, 1.2).float())
    energy = MetricEnergy(Stein(dg.Gaussian([0.0, 0])))
    single = minimise_energy(energy, line)
    exact = minimise_energy(energy, dg.Line(vector(1.5, 0), vector(-0.4, 1.2)))
    assert single.length.dtype == torch.float32
    assert single.converged
    assert_close(single.length.double(), exact.length, rtol=1e-4, atol=0)


def test_cost_is_what_the_score_sees():
    counting = Counting(dg.Gaussian([0.0, 0]))
    energy = MetricEnergy(Stein(CentralDifference(counting)))
    seen: list[dg.Step] = []
    line = dg.Line(vector(1.5, 0), vector(-0.4, 1.2))
    solution = minimise_energy(energy, line, callback=seen.append)
    assert (solution.score_evals, solution.calls) == (counting.rows, counting.calls)
    assert tuple(seen) == solution.steps
    assert solution.iterations == len(seen)


def test_steps_do_not_grow_with_the_nodes():
    energy = MetricEnergy(Stein(_MIXTURE, 1.0))
    line = dg.Line(vector(-2, 0), vector(2, 0.3))
    coarse, fine = (minimise_energy(energy, line, intervals=n).iterations for n in (16, 128))
    assert fine <= coarse + 4


def test_ends_that_are_one_point():
    point = vector(1.0, 2.0)
    solution = minimise_energy(ScoreJacobian(_MIXTURE), dg.Line(point, point))
    assert solution.converged
    assert float(solution.length) == 0


def test_a_score_that_is_not_finite_is_reported():
    solution = minimise_energy(
        ScoreJacobian(dg.HalfPlane()), dg.Line(vector(0, 1), vector(1, -1)), max_steps=5
    )
    assert solution.result is dg.Result.non_finite


def test_a_trial_outside_the_domain_is_turned_back():
    """The half-plane's log density is NaN below it; its semicircle is found all the same."""
    metric = ConformalMetric(dg.HalfPlane(), 1.0)
    line = dg.Line(vector(0, 0.2), vector(2, 0.2))
    solution = minimise_energy(MetricEnergy(metric), line, intervals=64)
    assert solution.converged
    exact = math.acosh(1 + 4 / (2 * 0.04))
    assert abs(float(solution.length) - exact) < float(solution.distance_error)
    assert float(solution.length) == pytest.approx(exact, rel=2e-3)


def test_too_few_steps_are_reported():
    solution = minimise_energy(
        MetricEnergy(Stein(_MIXTURE, 3.0)), dg.Line(vector(-2, 0), vector(2, 0.3)), max_steps=2
    )
    assert solution.result in (dg.Result.max_steps, dg.Result.not_converged)
    assert solution.iterations == 3


def test_cancel():
    def stop(step: dg.Step) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        minimise_energy(ScoreJacobian(_MIXTURE), dg.Line(vector(0, 0), vector(1, 0)), callback=stop)


@pytest.mark.parametrize(
    "bad", [{"tol": 0.0}, {"tol": math.nan}, {"max_steps": 0}, {"intervals": 1}], ids=str
)
def test_bad_input(bad: dict[str, float]):
    def solve(tol: float = 1e-3, max_steps: int = 9, intervals: int = 8) -> EnergySolution:
        line = dg.Line(vector(0, 0), vector(1, 0))
        energy = ScoreJacobian(_MIXTURE)
        return minimise_energy(energy, line, tol=tol, max_steps=max_steps, intervals=intervals)

    with pytest.raises(ValueError, match="expected tol > 0, max_steps ≥ 1, intervals ≥ 2"):
        solve(**bad)  # type: ignore[arg-type]
