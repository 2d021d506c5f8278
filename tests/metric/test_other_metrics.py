"""A metric of one's own, the Stein-score metric: solvers, rays and energies work with it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.bvp import (
    BoundaryProblem,
    EnergyMinimiser,
    PreconditionedFlow,
    solve_bvp,
)
from diffusion_geodesics.density import (
    Density,
    Gaussian,
    GaussianMixture,
)
from diffusion_geodesics.ivp import AdaptiveRungeKutta, solve_ivp
from diffusion_geodesics.length import measure
from diffusion_geodesics.manifold import Flat, Manifold, Sphere
from diffusion_geodesics.metric import (
    MetricEnergy,
)
from diffusion_geodesics.path import Line
from tests.conformance.connection import (
    ConnectionCase,
    MetricSuite,
    assert_angular_momentum_is_conserved,
)
from tests.conformance.energy import EnergyCase, EnergySuite
from tests.exact import Counting, GaussianEach, MovingGaussian, vector
from tests.problems.score_metrics import Stein

_MIXTURE = GaussianMixture([[-2.0, 0, 1], [2, 0, 0], [0, 1.8, -1]], [0.7, 0.9, 0.8])


_PLANE = GaussianMixture([[-2.0, 0], [2, 0], [0, 1.8]], [0.7, 0.9, 0.8])


def _points(dim: int, seed: int = 0) -> Tensor:
    return torch.randn(5, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _case(name: str, density: Density, strength: float, manifold: Manifold) -> ConnectionCase:
    x, v = manifold.project(_points(3)), _points(3, 1)
    metric = Stein(density, strength, manifold)
    return ConnectionCase(name, metric, metric, x, manifold.to_tangent(x, v))


_CASES = [
    _case("gaussian", Gaussian([0.5, 0, 0], [0.6, 1.0, 1.5]), 1.0, Flat()),
    _case("mixture", _MIXTURE, 0.7, Flat()),
    _case("moving", MovingGaussian(_points(3)[0], _points(3)[1]), 2.0, Flat()),
    _case("strength 0", _MIXTURE, 0.0, Sphere(2.0)),
    _case("mixture on a sphere", _MIXTURE, 0.5, Sphere(1.7)),
    _case("gaussian on a sphere", Gaussian([1.0, 0, 0], 0.8), 0.8, Sphere(1.3)),
]


class TestStein(MetricSuite):
    @pytest.fixture(params=_CASES, ids=lambda c: c.name)
    def case(self, request: pytest.FixtureRequest) -> ConnectionCase:
        return request.param

    def test_strength_zero_is_the_manifold(self, case: ConnectionCase):
        assert isinstance(case.metric, Stein)
        plain = replace(case.metric, strength=0.0)
        a = plain.acceleration(case.t, case.x, case.v)
        assert_close(a, case.metric.manifold.acceleration(case.x, case.v))
        assert_close(plain.inner(case.t, case.x, case.v, case.v), case.v.square().sum(-1))


def test_angular_momentum_is_conserved():
    assert_angular_momentum_is_conserved(Stein(Gaussian([0.0, 0]), 2.0))


def paraboloid_distance(strength: float, radius: float, angle: float) -> float:
    """Distance on the graph of √λ log p of a standard normal distribution, between two points at
    one radius, by quadrature of the conserved angular momentum J, the innermost radius."""

    u, weights = np.polynomial.legendre.leggauss(100)
    u = (u + 1) / 2

    def along(inner: float) -> tuple[float, float]:
        """Angle and length of the curve: r = inner + (radius - inner) u² has no singularity."""
        r = inner + (radius - inner) * u**2
        root = np.sqrt((1 + strength * r**2) * (radius - inner) / (r + inner))
        return float((2 * weights * root * inner / r).sum()), float((2 * weights * root * r).sum())

    inner = brentq(lambda r: along(r)[0] - angle, 0.05 * radius, 0.9999 * radius, xtol=1e-13)
    assert isinstance(inner, float)
    return along(inner)[1]


@pytest.mark.parametrize(("strength", "angle"), [(0.3, 2.0), (1.0, 2.0), (3.0, 1.2)])
def test_gaussian(strength: float, angle: float):
    start, end = 1.5 * vector(1, 0), 1.5 * vector(math.cos(angle), math.sin(angle))
    stein = Stein(Gaussian([0.0, 0]), strength)
    solution = solve_bvp(BoundaryProblem(stein, Line(start, end)), PreconditionedFlow(), tol=1e-4)
    exact = paraboloid_distance(strength, 1.5, angle)
    assert float(solution.length) == pytest.approx(exact, rel=2e-6)
    assert float(solution.length) == float(solution.distance)
    assert solution.nfe < 800


def test_radial_length():
    """∫ sqrt(1 + λ r²) dr = (r sqrt(1 + λ r²) + asinh(√λ r)/√λ)/2."""
    profile = measure(Stein(Gaussian([0.0, 0]), 4.0), Line(vector(0, 0), vector(0, 1.5)))
    exact = (1.5 * math.sqrt(10) + math.asinh(3) / 2) / 2
    assert float(profile.length) == pytest.approx(exact, rel=1e-10)


def test_a_batch_of_different_scores_is_a_loop():
    means = _points(2)[:3]
    line = Line(vector(1.5, 0).expand(3, 2), vector(-0.4, 1.2).expand(3, 2))
    solver = PreconditionedFlow()
    together = solve_bvp(BoundaryProblem(Stein(GaussianEach(means)), line), solver)
    for i in range(3):
        one = solve_bvp(
            BoundaryProblem(Stein(Gaussian(means[i])), Line(vector(1.5, 0), vector(-0.4, 1.2))),
            solver,
        )
        assert_close(together.length[i], one.length, rtol=1e-6, atol=0)


def test_gradients_are_not_needed_around_it():
    x, v, t = _points(3), _points(3, 1), torch.zeros(5, dtype=torch.float64)
    with torch.no_grad():
        got = Stein(_MIXTURE).acceleration(t, x, v)
    assert not got.requires_grad
    assert_close(got, Stein(_MIXTURE).acceleration(t, x, v))


@pytest.mark.parametrize(("strength", "angle"), [(0.3, 2.0), (3.0, 1.2)])
def test_stein_of_a_gaussian(strength: float, angle: float):
    ends = 1.5 * vector(1, 0), 1.5 * vector(math.cos(angle), math.sin(angle))
    energy = MetricEnergy(Stein(Gaussian([0.0, 0]), strength))
    solution = solve_bvp(BoundaryProblem(energy, Line(*ends)), EnergyMinimiser(48), tol=1e-4)
    exact = paraboloid_distance(strength, 1.5, angle)
    assert solution.converged
    assert float(solution.length) == pytest.approx(exact, rel=2e-5)


@pytest.mark.parametrize("strength", [0.3, 3.0])
def test_stein_of_a_mixture_agrees_with_the_flow(strength: float):
    """Two discretisations, one by the derived acceleration, one without it."""
    stein, line = Stein(_PLANE, strength), Line(vector(-2, 0), vector(2, 0.3))
    solution = solve_bvp(BoundaryProblem(MetricEnergy(stein), line), EnergyMinimiser(64))
    flow = solve_bvp(BoundaryProblem(stein, line), PreconditionedFlow())
    assert float(solution.length) == pytest.approx(float(flow.length), rel=1e-4)
    middle = vector(0.25, 0.5, 0.75)
    at = measure(stein, solution.path).at_arc_length(middle)
    other = flow.profile.at_arc_length(middle)
    assert_close(solution.path(at), flow.path(other), rtol=0, atol=2e-2)


def test_it_has_rays():
    """Its own length is conserved in the sense that arc and speed agree; splittings refuse it."""
    connection = Stein(Gaussian([0.0, 0.0]), 0.5)
    ray = solve_ivp(connection, vector(1, 0), vector(0.5, 1), integrator=AdaptiveRungeKutta())
    speed = ray.velocities.norm(dim=-1)
    assert_close(speed, speed[:1].expand_as(speed))
    with pytest.raises(ValueError, match="Use RungeKutta"):
        solve_ivp(connection, vector(1, 0), vector(0.5, 1))


def _curve() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    curve = torch.randn(1, 3, 2, generator=generator, dtype=torch.float64)
    steps = 0.2 * torch.randn(5, 3, 2, generator=generator, dtype=torch.float64)
    return torch.cumsum(torch.cat([curve, steps]), 0)


class TestSteinEnergy(EnergySuite):
    @pytest.fixture
    def case(self) -> EnergyCase:
        return EnergyCase("autograd", MetricEnergy(Stein(_PLANE, 0.5)), _curve())


def test_cost_of_an_energy_is_what_the_score_sees():
    counting = Counting(_PLANE)
    nodes, t = _curve(), torch.linspace(0, 1, 6, dtype=torch.float64)
    energy = MetricEnergy(Stein(counting))
    energy.segments(t, nodes)
    assert (counting.nfe, counting.batches) == (3 * energy.evaluations(6, gradient=False), 1)
    assert energy.evaluations(6, gradient=True) == 2 * energy.evaluations(6, gradient=False)
