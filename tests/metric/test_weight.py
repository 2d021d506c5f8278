"""Weights of log p: their slopes, and their geodesics against exact lengths."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.bvp import BoundaryProblem, PreconditionedFlow, Result, Solution, solve_bvp
from diffusion_geodesics.density import FunctionScore, Gaussian, GaussianMixture, HalfPlane, Score
from diffusion_geodesics.length import measure
from diffusion_geodesics.metric import Conformal, ConformalMetric, Hinged, LogLinear, Power, Weight
from diffusion_geodesics.path import Line
from tests.exact import GaussianEach, vector
from tests.problems import reference

WEIGHTS = [
    Power(0.0),
    Power(0.7),
    LogLinear(0.0),
    LogLinear(0.2),
    Hinged(1.0),
    Hinged(0.5, 2.0, 3.0),
    Hinged(2.0, -1.0, 0.1),
]


def _solve(density: Score, weight: Weight | float, start: Tensor, end: Tensor) -> Solution:
    return solve_bvp(
        BoundaryProblem(Conformal(density, weight), Line(start, end)),
        PreconditionedFlow(),
        tol=1e-4,
    )


def gaussian_distance(weight: Weight, radius: float, angle: float) -> float:
    """Distance of two points at one radius from the mean of a standard normal distribution, by
    quadrature of the conserved angular momentum J = w(r) r at the innermost radius."""

    def w(r: np.ndarray) -> np.ndarray:
        return weight.value(torch.from_numpy((radius**2 - r**2) / 2)).neg().exp().numpy()

    u, weights = np.polynomial.legendre.leggauss(300)
    u = (u + 1) / 2

    def along(inner: float) -> tuple[float, float]:
        """Angle and length of the curve: r = inner + (radius - inner) u² has no singularity."""
        r = inner + (radius - inner) * u**2
        momentum = w(np.array([inner])) * inner
        step = weights * 2 * u * (radius - inner) / np.sqrt((w(r) * r) ** 2 - momentum**2)
        return float((step * momentum / r).sum()), float((step * w(r) ** 2 * r).sum())

    chord = radius * math.cos(angle / 2)
    inner = brentq(lambda r: along(r)[0] - angle, 0.3 * chord, 0.9999 * radius, xtol=1e-13)
    assert isinstance(inner, float)
    return along(inner)[1]


@pytest.mark.parametrize("weight", WEIGHTS, ids=repr)
def test_slope_is_the_derivative(weight: Weight):
    log_density = torch.linspace(-20, 4.7, 301, dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(weight.value(log_density).sum(), log_density)
    assert_close(weight.slope(log_density.detach()), slope)
    assert (weight.slope(log_density.detach()) >= 0).all()


@pytest.mark.parametrize("weight", WEIGHTS, ids=repr)
def test_slope_is_continuous(weight: Weight):
    log_density = torch.linspace(-5, 4, 90_001, dtype=torch.float64)
    assert weight.slope(log_density).diff().abs().max() < 5e-3


@pytest.mark.parametrize("weight", WEIGHTS, ids=repr)
def test_constant_slope_says_so(weight: Weight):
    slope = weight.slope(vector(-3.0, 0.0, 1.9))
    if weight.constant_slope is not None:
        assert_close(slope, torch.full_like(slope, weight.constant_slope))
    elif weight != LogLinear(0.0):
        assert slope.max() > slope.min()


def test_hinged_is_a_power_below_and_constant_above():
    hinged, power = Hinged(0.8, 2.0, 1.5), Power(0.8)
    below, above = vector(-30.0, -1.0, 0.5), vector(2.0, 3.0, 90.0)
    assert_close(hinged.value(below), power.value(below))
    assert_close(hinged.value(above), torch.full_like(above, 0.8 * (2.0 - 0.75)))
    assert_close(hinged.slope(above), torch.zeros_like(above))


def test_log_linear_is_a_power_for_small_changes():
    small = vector(-1e-4, 1e-4)
    assert_close(LogLinear(0.3).value(small), 0.3 * small, rtol=1e-4, atol=0)
    assert_close((-LogLinear(0.3).value(vector(-10.0))).exp(), vector(4.0))
    assert torch.isnan(LogLinear(0.5).value(vector(2.0)))


def test_quadrature_knows_the_reference_length():
    assert gaussian_distance(Power(1.0), 1.5, 2.0) == pytest.approx(1.415722705976, rel=1e-8)


@pytest.mark.parametrize(
    "weight",
    [Power(1.0), Hinged(1.0), Hinged(1.0, 0.3, 0.3), Hinged(0.5, 2.0, 2.0), LogLinear(0.4)],
    ids=repr,
)
def test_gaussian(weight: Weight):
    angle = 2.0
    start, end = 1.5 * vector(1, 0), 1.5 * vector(math.cos(angle), math.sin(angle))
    solution = _solve(FunctionScore(lambda x: -x), weight, start, end)
    assert float(solution.residual) < 1e-4
    exact = gaussian_distance(weight, 1.5, angle)
    assert float(solution.distance) == pytest.approx(exact, rel=2e-6)
    assert abs(float(solution.distance) - exact) < 2 * float(solution.distance_error) + 1e-6


def test_power_is_the_number():
    problem = reference.three_components()
    one = _solve(problem.density, 1.0, problem.start, problem.end)
    other = _solve(problem.density, Power(1.0), problem.start, problem.end)
    assert float(one.length) == float(other.length)
    assert float(one.length) == pytest.approx(8.030884, rel=1e-6)


def test_half_plane_by_power():
    solution = _solve(HalfPlane(), Power(1.0), vector(0, 1), vector(2, 1))
    assert float(solution.distance) == pytest.approx(math.acosh(3), rel=1e-5)


def test_hinged_far_below_its_cap_is_the_power():
    problem = reference.ring(0.5)
    power = _solve(problem.density, 1.0, problem.start, problem.end)
    hinged = _solve(problem.density, Hinged(1.0, 100.0), problem.start, problem.end)
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    assert_close(hinged.path(t), power.path(t), rtol=0, atol=1e-9)
    assert float(hinged.distance) == pytest.approx(float(power.distance), rel=1e-9)
    assert float(hinged.length) == float(hinged.distance)


def test_hinged_far_above_its_cap_is_a_line():
    start, end = vector(1, 0), vector(-0.5, 1)
    solution = _solve(Gaussian([0.0, 0]), Hinged(1.0, -100.0), start, end)
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    assert_close(solution.path(t), Line(start, end)(t))
    chord = float((end - start).norm())
    assert float(solution.length) == pytest.approx(chord * math.exp(100.5), rel=1e-9)


@pytest.mark.parametrize("weight", [Hinged(1.0), Hinged(1.0, 0.0, 3.0), LogLinear(0.3)], ids=repr)
@pytest.mark.parametrize("problem", [reference.ring(), reference.three_components()])
def test_the_flow_costs_as_much_as_for_a_power(weight: Weight, problem: reference.Problem):
    solution = solve_bvp(
        BoundaryProblem(Conformal(problem.density, weight), Line(problem.start, problem.end)),
        PreconditionedFlow(),
    )
    assert solution.converged
    assert solution.nfe <= reference.SMOOTH_EVALS


@pytest.mark.parametrize("weight", [Hinged(0.7), LogLinear(0.2)], ids=repr)
def test_direction_of_travel(weight: Weight):
    problem = reference.three_components()
    start, end = problem.start, vector(1.2, 0.4)
    connection = Conformal(problem.density, weight)
    there = measure(connection, Line(start, end))
    back = measure(connection, Line(end, start))
    assert_close(there.length, back.length, rtol=1e-9, atol=0)
    assert_close(there.length, there.distance, rtol=0, atol=0)


@pytest.mark.parametrize("weight", [Hinged(1.0), LogLinear(0.1)], ids=repr)
def test_lengths_are_those_of_the_metric(weight: Weight):
    """The weight's l counts from the mean of both ends, on a path and in the metric's reference."""
    density = GaussianMixture([[-2.0, 0], [2, 0], [0, 1.8]], [0.7, 0.9, 0.8])
    path = Line(vector(-2.0, 0.3), vector(1.5, 1.0))
    zero = torch.zeros(2, dtype=torch.float64)
    mean = float(density.log_prob(zero, path(vector(0, 1))).mean())
    metric = ConformalMetric(density, weight, reference=mean)
    t = torch.linspace(0, 1, 2001, dtype=torch.float64)
    v = path(t, 1)
    exact = torch.trapezoid(metric.inner(t, path(t), v, v).sqrt(), t)
    profile = measure(Conformal(density, weight), path)
    assert_close(profile.length, exact, rtol=1e-6, atol=0)
    assert_close(profile.arc_length[-1], profile.length)
    assert abs(float(profile.length - exact)) < float(profile.length_error) + 1e-6


def test_a_batch_is_a_loop():
    means = torch.tensor([[0.0, 0], [0.5, 0.2], [-0.3, 0.1]], dtype=torch.float64)
    start, end = vector(1.5, 0).expand(3, 2), vector(-0.4, 1.2).expand(3, 2)
    weight = Hinged(0.8)
    together = _solve(GaussianEach(means), weight, start, end)
    for i in range(3):
        one = _solve(Gaussian(means[i]), weight, start[i], end[i])
        assert_close(together.distance[i], one.distance, rtol=1e-7, atol=0)


def test_single_precision():
    start, end = vector(1.5, 0), vector(-0.4, 1.2)
    exact = _solve(Gaussian([0.0, 0]), LogLinear(0.3), start, end)
    single = solve_bvp(
        BoundaryProblem(
            Conformal(Gaussian([0.0, 0]), LogLinear(0.3)), Line(start.float(), end.float())
        ),
        PreconditionedFlow(),
    )
    assert single.distance.dtype == torch.float32
    assert_close(single.distance.double(), exact.distance, rtol=1e-5, atol=0)


def test_a_weight_that_is_not_positive_ends_the_search():
    """Between the ends of a path around a mode l rises by 4.5 nats: 1 - l/3 is negative there."""
    solution = solve_bvp(
        BoundaryProblem(
            Conformal(Gaussian([0.0, 0]), LogLinear(1 / 3)), Line(vector(-3, 0), vector(3, 0))
        ),
        PreconditionedFlow(),
        throw=False,
    )
    assert solution.result is Result.non_finite


def test_a_score_alone_does_not_know_the_log_density():
    connection = Conformal(FunctionScore(lambda x: -x), Hinged())
    x = torch.ones(1, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match="pass log_density"):
        connection.acceleration(torch.zeros(1, dtype=torch.float64), x, x)


def test_strength_is_the_same_in_every_dimension():
    """The same bend for a normal distribution at the typical radius in 2 and in 800 dimensions."""
    bends: list[float] = []
    for dim in (8, 800):
        start, end = np.zeros(dim), np.zeros(dim)
        start[0], end[1] = dim**0.5, dim**0.5
        connection = Conformal(Gaussian([0.0] * dim), Power.per_dimension(1.0, dim))
        solution = solve_bvp(
            BoundaryProblem(connection, Line(torch.from_numpy(start), torch.from_numpy(end))),
            PreconditionedFlow(),
        )
        middle = solution.path(vector(0.5)).norm() / dim**0.5
        bends.append(float(middle))
    assert bends[0] == pytest.approx(bends[1], rel=1e-6)
    assert bends[0] < math.sqrt(0.5) - 0.01


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Power(-1.0), "alpha is -1.0"),
        (lambda: Power(math.nan), "alpha is nan"),
        (lambda: Power.per_dimension(1.0, 0), "dim is 0"),
        (lambda: Power.per_dimension(-1.0, 3), "strength is -1.0"),
        (lambda: LogLinear(-0.1), "rate is -0.1"),
        (lambda: Hinged(math.inf), "alpha is inf"),
        (lambda: Hinged(1.0, math.nan), "cap is nan"),
        (lambda: Hinged(1.0, 0.0, 0.0), "width is 0.0"),
    ],
)
def test_bad_input(make, message: str):
    with pytest.raises(ValueError, match=message):
        make()
