"""The Stein-score metric: the conformance suite, closed forms, derivatives, costs."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from jaxtyping import Float
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from torch import Tensor
from torch.testing import assert_close

import diffusion_geodesics as dg
from diffusion_geodesics.metric import (
    CentralDifference,
    Conformal,
    ConformalMetric,
    Hinged,
    LogLinear,
    Metric,
    Power,
    Stein,
)
from diffusion_geodesics.metric.derivative import gradient_evaluations, jacobian_product
from tests.conformance.connection import (
    ConnectionCase,
    MetricSuite,
    across,
    christoffel_acceleration,
)
from tests.exact import Counting, GaussianEach, MovingGaussian, vector

_MIXTURE = dg.GaussianMixture([[-2.0, 0, 1], [2, 0, 0], [0, 1.8, -1]], [0.7, 0.9, 0.8])


def _points(dim: int, seed: int = 0) -> Tensor:
    return torch.randn(5, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _case(name: str, density: dg.Density, strength: float, manifold: dg.Manifold) -> ConnectionCase:
    x, v = manifold.project(_points(3)), _points(3, 1)
    metric = Stein(density, strength, manifold)
    return ConnectionCase(name, metric, metric, x, manifold.to_tangent(x, v))


_CASES = [
    _case("gaussian", dg.Gaussian([0.5, 0, 0], [0.6, 1.0, 1.5]), 1.0, dg.Flat()),
    _case("mixture", _MIXTURE, 0.7, dg.Flat()),
    _case("moving", MovingGaussian(_points(3)[0], _points(3)[1]), 2.0, dg.Flat()),
    _case("strength 0", _MIXTURE, 0.0, dg.Sphere(2.0)),
    _case("mixture on a sphere", _MIXTURE, 0.5, dg.Sphere(1.7)),
    _case("gaussian on a sphere", dg.Gaussian([1.0, 0, 0], 0.8), 0.8, dg.Sphere(1.3)),
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

    def test_central_differences_agree(self, case: ConnectionCase):
        assert isinstance(case.metric, Stein)
        other = replace(case.metric, score=CentralDifference(case.metric.score))
        exact = case.metric.acceleration(case.t, case.x, case.v)
        assert_close(other.acceleration(case.t, case.x, case.v), exact, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "metric",
    [
        ConformalMetric(dg.Gaussian([0.0, 0]), 0.7),
        ConformalMetric(dg.Gaussian([0.0, 0]), Power(1.0)),
        ConformalMetric(dg.Gaussian([0.0, 0]), Hinged(1.0, 0.0, 1.0), reference=-2.6),
        ConformalMetric(dg.Gaussian([0.0, 0]), LogLinear(0.3), reference=-2.6),
        Stein(dg.Gaussian([0.0, 0]), 2.0),
    ],
    ids=["conformal", "power", "hinged", "log-linear", "stein"],
)
def test_angular_momentum_is_conserved(metric: Metric):
    """Rotations about the mean are isometries, so g(v, Ωx)/|v|_g is constant along geodesics,
    whatever their parameter."""
    t = torch.zeros(1, dtype=torch.float64)

    def slope(_: float, state: list[float]) -> list[float]:
        x, v = torch.tensor(state[:2]).double()[None], torch.tensor(state[2:]).double()[None]
        return [*state[2:], *metric.acceleration(t, x, v)[0].tolist()]

    found = solve_ivp(
        slope, (0, 1.5), [1.3, 0.2, -0.6, 1.0], rtol=1e-9, atol=1e-10, t_eval=[0, 1.5]
    )
    x, v = (torch.from_numpy(part.T.copy()) for part in (found.y[:2], found.y[2:]))
    turn = torch.stack([-x[:, 1], x[:, 0]], -1)
    times = t.expand(len(x))
    momentum = metric.inner(times, x, v, turn) / metric.inner(times, x, v, v).sqrt()
    assert_close(momentum[1], momentum[0], rtol=1e-7, atol=0)
    assert (x[1] - x[0]).norm() > 0.5


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
    stein = Stein(dg.Gaussian([0.0, 0]), strength)
    solution = dg.solve_bvp(stein, dg.PreconditionedFlow(), dg.Line(start, end), tol=1e-4)
    exact = paraboloid_distance(strength, 1.5, angle)
    assert float(solution.length) == pytest.approx(exact, rel=2e-6)
    assert float(solution.length) == float(solution.distance)
    assert solution.score_evals < 800


def test_radial_length():
    """∫ sqrt(1 + λ r²) dr = (r sqrt(1 + λ r²) + asinh(√λ r)/√λ)/2."""
    profile = dg.measure(Stein(dg.Gaussian([0.0, 0]), 4.0), dg.Line(vector(0, 0), vector(0, 1.5)))
    exact = (1.5 * math.sqrt(10) + math.asinh(3) / 2) / 2
    assert float(profile.length) == pytest.approx(exact, rel=1e-10)


def test_a_batch_of_different_scores_is_a_loop():
    means = _points(2)[:3]
    line = dg.Line(vector(1.5, 0).expand(3, 2), vector(-0.4, 1.2).expand(3, 2))
    solver = dg.PreconditionedFlow()
    together = dg.solve_bvp(Stein(GaussianEach(means)), solver, line)
    for i in range(3):
        one = dg.solve_bvp(
            Stein(dg.Gaussian(means[i])), solver, dg.Line(vector(1.5, 0), vector(-0.4, 1.2))
        )
        assert_close(together.length[i], one.length, rtol=1e-6, atol=0)


class _Inference(dg.Score):
    """A network in inference mode."""

    @torch.inference_mode()
    def __call__(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        return _MIXTURE(t, x)


def test_a_score_without_gradient_is_refused_with_a_way_out():
    x, v, t = _points(3), _points(3, 1), torch.zeros(5, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"CentralDifference\(score\)"):
        Stein(_Inference()).acceleration(t, x, v)
    got = Stein(CentralDifference(_Inference())).acceleration(t, x, v)
    assert_close(got, Stein(_MIXTURE).acceleration(t, x, v), rtol=1e-6, atol=1e-7)


def test_a_constant_score_needs_central_differences():
    """Autograd sees no gradient in it; on the sphere its density bends all the same."""
    density, sphere = dg.VonMisesFisher([0.0, 1, 1], 2.0, 1.3), dg.Sphere(1.3)
    case = _case("vMF", density, 0.8, sphere)
    got = Stein(CentralDifference(density), 0.8, sphere).acceleration(case.t, case.x, case.v)
    for i in range(len(case.x)):
        expected = christoffel_acceleration(case.metric, case.t[i], case.x[i], case.v[i])
        assert_close(across(got[i], case.v[i]), across(expected, case.v[i]), rtol=1e-7, atol=1e-8)


def test_gradients_are_not_needed_around_it():
    x, v, t = _points(3), _points(3, 1), torch.zeros(5, dtype=torch.float64)
    with torch.no_grad():
        got = Stein(_MIXTURE).acceleration(t, x, v)
    assert not got.requires_grad
    assert_close(got, Stein(_MIXTURE).acceleration(t, x, v))


def test_central_difference_is_the_score_and_its_jacobian():
    x, v, t = _points(3), _points(3, 1), torch.zeros(5, dtype=torch.float64)
    counting = Counting(_MIXTURE)
    score = CentralDifference(counting)
    assert_close(score(t, x), _MIXTURE(t, x))
    assert (counting.calls, counting.rows) == (1, 5)
    value, product = jacobian_product(score, t, x, v)
    assert (counting.calls, counting.rows) == (3, 20)
    exact_value, exact = jacobian_product(_MIXTURE, t, x, v)
    assert_close(value, exact_value)
    assert_close(product, exact, rtol=1e-7, atol=1e-8)
    assert (gradient_evaluations(score), gradient_evaluations(_MIXTURE)) == (3, 2)
    assert score.precision == _MIXTURE.precision


def test_central_difference_is_second_order():
    x, v, t = _points(3), _points(3, 1), torch.zeros(5, dtype=torch.float64)
    exact = jacobian_product(_MIXTURE, t, x, v)[1]
    errors = [
        float((jacobian_product(CentralDifference(_MIXTURE, h), t, x, v)[1] - exact).norm())
        for h in (0.04, 0.02)
    ]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)


def test_central_difference_selects_its_score():
    index = torch.tensor([2, 0])
    chosen = Stein(CentralDifference(GaussianEach(_points(2)), 0.1)).select(index).score
    assert isinstance(chosen, CentralDifference)
    assert isinstance(chosen.score, GaussianEach)
    assert chosen.step == 0.1
    assert_close(chosen.score.means, _points(2)[index])


def test_the_solver_counts_derivatives():
    line = dg.Line(vector(1.5, 0), vector(-0.4, 1.2))
    counting = Counting(dg.Gaussian([0.0, 0]))
    solution = dg.solve_bvp(Stein(CentralDifference(counting)), dg.PreconditionedFlow(), line)
    assert solution.converged
    assert solution.score_evals == counting.rows


@pytest.mark.parametrize("strength", [-1.0, math.nan, math.inf])
def test_bad_strength(strength: float):
    with pytest.raises(ValueError, match="strength is"):
        Stein(_MIXTURE, strength)


@pytest.mark.parametrize("step", [0.0, -1.0, math.nan])
def test_bad_step(step: float):
    with pytest.raises(ValueError, match="step is"):
        CentralDifference(_MIXTURE, step)


def test_conformal_needs_no_derivative():
    assert Conformal(_Inference(), 0.5).evaluations == 1
