"""The conformal connection is that of the metric; what it tells solvers is the linearisation."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import diffusion_geodesics as dg
from benchmarks.reference import Stereographic
from diffusion_geodesics.metric import Hinged, LogLinear, Power, Weight
from tests.conformance.connection import (
    ConnectionCase,
    ConnectionSuite,
    MetricSuite,
    connection_case,
)
from tests.exact import Counting, GaussianEach, MovingGaussian

_MIXTURE = dg.GaussianMixture([[-2.0, 0, 1], [2, 0, 0], [0, 1.8, -1]], [0.7, 0.9, 0.8])


def _points(dim: int, seed: int = 0) -> Tensor:
    return torch.randn(5, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


_CASE = tuple[str, dg.Density, float | Weight, dg.Manifold, Tensor, Tensor]


def _cases(*, score_only: bool) -> list[ConnectionCase]:
    x, v = _points(3), _points(3, 1)
    half = torch.cat([_points(2)[:, :1], _points(2)[:, 1:].abs() + 0.2], -1)
    densities: list[_CASE] = [
        ("gaussian", dg.Gaussian([0.5, 0, 0], [0.6, 1.0, 1.5]), 1.0, dg.Flat(), x, v),
        ("mixture", _MIXTURE, 0.3, dg.Flat(), x, v),
        ("half-plane", dg.HalfPlane(), 1.0, dg.Flat(), half, _points(2, 1)),
        ("stereographic", Stereographic(), 1.0, dg.Flat(), x, v),
        ("moving", MovingGaussian(x[0], x[1]), 0.7, dg.Flat(), x, v),
        ("alpha 0", _MIXTURE, 0.0, dg.Sphere(2.0), x, v),
        ("mixture on a sphere", _MIXTURE, 0.8, dg.Sphere(1.7), x, v),
        ("vMF", dg.VonMisesFisher([0.0, 1, 1], 2.0, 1.3), 0.5, dg.Sphere(1.3), x, v),
    ]
    weights: list[_CASE] = [
        ("power", _MIXTURE, Power(0.6), dg.Flat(), x, v),
        ("log-linear", _MIXTURE, LogLinear(0.05), dg.Flat(), x, v),
        ("log-linear on a sphere", _MIXTURE, LogLinear(0.05), dg.Sphere(1.7), x, v),
        ("hinged", _MIXTURE, Hinged(0.8, 0.5, 6.0), dg.Flat(), x, v),
        ("hinged on a sphere", _MIXTURE, Hinged(0.8, 0.5, 8.0), dg.Sphere(1.7), x, v),
        ("hinged, moving", MovingGaussian(x[0], x[1]), Hinged(1.0, 4.0, 9.0), dg.Flat(), x, v),
    ]
    return [connection_case(*case, score_only=score_only) for case in densities] + [
        connection_case(*case, score_only=score_only, reference=-4.0) for case in weights
    ]


class TestConformal(ConnectionSuite):
    @pytest.fixture(params=_cases(score_only=True), ids=lambda c: c.name)
    def case(self, request: pytest.FixtureRequest) -> ConnectionCase:
        return request.param


class TestConformalMetric(MetricSuite):
    @pytest.fixture(params=_cases(score_only=False), ids=lambda c: c.name)
    def case(self, request: pytest.FixtureRequest) -> ConnectionCase:
        return request.param

    def test_score_only_connection_agrees(self, case: ConnectionCase):
        assert isinstance(case.metric, dg.ConformalMetric)
        one = case.metric.field(case.t, case.x, case.v)
        other = case.metric.connection.field(case.t, case.x, case.v)
        for name in ("score", "acceleration", "shift", "advection"):
            assert_close(getattr(one, name), getattr(other, name))

    def test_alpha_zero_is_the_manifold(self, case: ConnectionCase):
        assert isinstance(case.metric, dg.ConformalMetric)
        plain = replace(case.metric, alpha=0.0)
        a = plain.acceleration(case.t, case.x, case.v)
        assert_close(a, case.metric.manifold.acceleration(case.x, case.v))
        assert_close(plain.inner(case.t, case.x, case.v, case.v), case.v.square().sum(-1))


def test_half_plane_inner_product_is_hyperbolic():
    x, u = torch.tensor([[3.0, 0.5]]).double(), torch.tensor([[1.0, 2.0]]).double()
    inner = dg.ConformalMetric(dg.HalfPlane()).inner(torch.zeros(1).double(), x, u, u)
    assert float(inner) == pytest.approx(5 / 0.25)


def test_shift_is_the_linearisation_across_the_curve():
    """Moving the curve sideways by z changes its acceleration by c z, for a Gaussian exactly."""
    density = dg.Gaussian([0.0, 0.0, 0.0], 0.8)
    connection, _ = dg.Conformal(density, 0.6).calibrated(torch.zeros(3), torch.zeros(3, 1, 3))
    x, v = _points(3)[:1], _points(3, 1)[:1]
    z = torch.linalg.cross(v, _points(3, 2)[:1])
    t = torch.zeros(1, dtype=torch.float64)
    change = connection.acceleration(t, x + z, v) - connection.acceleration(t, x, v)
    assert_close(change, connection.field(t, x, v).shift[:, None] * z)


def test_calibration_measures_a_gaussian():
    times = torch.linspace(0, 1, 9, dtype=torch.float64)
    path = dg.Line(_points(3), _points(3, 1))(times)
    counting = Counting(dg.FunctionScore(lambda x: -x / 0.49))
    calibrated, cost = dg.Conformal(counting).calibrated(times, path)
    assert isinstance(calibrated, dg.Conformal)
    assert calibrated.precision == pytest.approx(1 / 0.49, rel=1e-9)
    assert (counting.rows, counting.calls) == (cost, 1)


def test_calibration_without_information_is_zero():
    times = torch.linspace(0, 1, 5, dtype=torch.float64)
    path = dg.Line(_points(3), _points(3, 1))(times)
    for function in (lambda x: x, lambda x: x * math.nan):
        calibrated, _ = dg.Conformal(dg.FunctionScore(function)).calibrated(times, path)
        assert isinstance(calibrated, dg.Conformal)
        assert calibrated.precision == 0


def test_known_precision_costs_nothing():
    counting = Counting(dg.Gaussian([0.0, 0.0], 0.5))
    times = torch.linspace(0, 1, 5, dtype=torch.float64)
    calibrated, cost = dg.Conformal(counting).calibrated(times, torch.zeros(5, 1, 2))
    assert isinstance(calibrated, dg.Conformal)
    assert (calibrated.precision, cost, counting.calls) == (4.0, 0, 0)


def test_select_reaches_the_score():
    means = _points(3)
    index = torch.tensor([3, 1])
    for connection in (dg.Conformal(GaussianEach(means)), dg.ConformalMetric(GaussianEach(means))):
        chosen = connection.select(index).score
        assert isinstance(chosen, GaussianEach)
        assert_close(chosen.means, means[index])


@pytest.mark.parametrize("alpha", [-0.1, math.inf, math.nan])
def test_bad_alpha(alpha: float):
    for kind in (dg.Conformal, dg.ConformalMetric):
        with pytest.raises(ValueError, match="expected a finite number"):
            kind(dg.Gaussian([0.0]), alpha)


@pytest.mark.parametrize("kind", [dg.Conformal, dg.ConformalMetric])
def test_bad_reference(kind: type[dg.Conformal] | type[dg.ConformalMetric]):
    with pytest.raises(ValueError, match="reference is nan"):
        kind(dg.Gaussian([0.0]), Hinged(), reference=math.nan)
