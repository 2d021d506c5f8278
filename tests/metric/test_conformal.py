"""The conformal connection is that of the metric; what it tells solvers is the linearisation."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.density import (
    Density,
    FunctionScore,
    Gaussian,
    GaussianMixture,
    HalfPlane,
    Score,
    VonMisesFisher,
)
from diffusion_geodesics.manifold import Flat, Manifold, Sphere
from diffusion_geodesics.metric import Conformal, ConformalMetric, Hinged, LogLinear, Power, Weight
from diffusion_geodesics.path import Line
from tests.conformance.connection import (
    ConnectionCase,
    ConnectionSuite,
    MetricSuite,
    assert_angular_momentum_is_conserved,
    connection_case,
)
from tests.exact import Counting, GaussianEach, MovingGaussian
from tests.problems.reference import Stereographic

_MIXTURE = GaussianMixture([[-2.0, 0, 1], [2, 0, 0], [0, 1.8, -1]], [0.7, 0.9, 0.8])


def _points(dim: int, seed: int = 0) -> Tensor:
    return torch.randn(5, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


_CASE = tuple[str, Density, float | Weight, Manifold, Tensor, Tensor]


def _cases(*, score_only: bool) -> list[ConnectionCase]:
    x, v = _points(3), _points(3, 1)
    half = torch.cat([_points(2)[:, :1], _points(2)[:, 1:].abs() + 0.2], -1)
    densities: list[_CASE] = [
        ("gaussian", Gaussian([0.5, 0, 0], [0.6, 1.0, 1.5]), 1.0, Flat(), x, v),
        ("mixture", _MIXTURE, 0.3, Flat(), x, v),
        ("half-plane", HalfPlane(), 1.0, Flat(), half, _points(2, 1)),
        ("stereographic", Stereographic(), 1.0, Flat(), x, v),
        ("moving", MovingGaussian(x[0], x[1]), 0.7, Flat(), x, v),
        ("alpha 0", _MIXTURE, 0.0, Sphere(2.0), x, v),
        ("mixture on a sphere", _MIXTURE, 0.8, Sphere(1.7), x, v),
        ("vMF", VonMisesFisher([0.0, 1, 1], 2.0, 1.3), 0.5, Sphere(1.3), x, v),
    ]
    weights: list[_CASE] = [
        ("power", _MIXTURE, Power(0.6), Flat(), x, v),
        ("log-linear", _MIXTURE, LogLinear(0.05), Flat(), x, v),
        ("log-linear on a sphere", _MIXTURE, LogLinear(0.05), Sphere(1.7), x, v),
        ("hinged", _MIXTURE, Hinged(0.8, 0.5, 6.0), Flat(), x, v),
        ("hinged on a sphere", _MIXTURE, Hinged(0.8, 0.5, 8.0), Sphere(1.7), x, v),
        ("hinged, moving", MovingGaussian(x[0], x[1]), Hinged(1.0, 4.0, 9.0), Flat(), x, v),
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
        assert isinstance(case.metric, ConformalMetric)
        one = case.metric.field(case.t, case.x, case.v)
        other = case.metric.connection.field(case.t, case.x, case.v)
        for name in ("score", "acceleration", "shift", "advection"):
            assert_close(getattr(one, name), getattr(other, name))

    def test_alpha_zero_is_the_manifold(self, case: ConnectionCase):
        assert isinstance(case.metric, ConformalMetric)
        plain = replace(case.metric, alpha=0.0)
        a = plain.acceleration(case.t, case.x, case.v)
        assert_close(a, case.metric.manifold.acceleration(case.x, case.v))
        assert_close(plain.inner(case.t, case.x, case.v, case.v), case.v.square().sum(-1))


def test_half_plane_inner_product_is_hyperbolic():
    x, u = torch.tensor([[3.0, 0.5]]).double(), torch.tensor([[1.0, 2.0]]).double()
    inner = ConformalMetric(HalfPlane()).inner(torch.zeros(1).double(), x, u, u)
    assert float(inner) == pytest.approx(5 / 0.25)


def test_shift_is_the_linearisation_across_the_curve():
    """Moving the curve sideways by z changes its acceleration by c z, for a Gaussian exactly."""
    density = Gaussian([0.0, 0.0, 0.0], 0.8)
    connection, _ = Conformal(density, 0.6).calibrated(torch.zeros(3), torch.zeros(3, 1, 3))
    x, v = _points(3)[:1], _points(3, 1)[:1]
    z = torch.linalg.cross(v, _points(3, 2)[:1])
    t = torch.zeros(1, dtype=torch.float64)
    change = connection.acceleration(t, x + z, v) - connection.acceleration(t, x, v)
    assert_close(change, connection.field(t, x, v).shift[:, None] * z)


def test_calibration_measures_a_gaussian():
    times = torch.linspace(0, 1, 9, dtype=torch.float64)
    path = Line(_points(3), _points(3, 1))(times)
    counting = Counting(FunctionScore(lambda x: -x / 0.49))
    calibrated, cost = Conformal(counting).calibrated(times, path)
    assert isinstance(calibrated, Conformal)
    assert calibrated.precision == pytest.approx(1 / 0.49, rel=1e-9)
    assert (counting.nfe, counting.batches) == (cost, 1)


def test_calibration_without_information_is_zero():
    times = torch.linspace(0, 1, 5, dtype=torch.float64)
    path = Line(_points(3), _points(3, 1))(times)
    for function in (lambda x: x, lambda x: x * math.nan):
        calibrated, _ = Conformal(FunctionScore(function)).calibrated(times, path)
        assert isinstance(calibrated, Conformal)
        assert calibrated.precision == 0


def test_known_precision_costs_nothing():
    counting = Counting(Gaussian([0.0, 0.0], 0.5))
    times = torch.linspace(0, 1, 5, dtype=torch.float64)
    calibrated, cost = Conformal(counting).calibrated(times, torch.zeros(5, 1, 2))
    assert isinstance(calibrated, Conformal)
    assert (calibrated.precision, cost, counting.batches) == (4.0, 0, 0)


def test_select_reaches_the_score():
    means = _points(3)
    index = torch.tensor([3, 1])
    for connection in (Conformal(GaussianEach(means)), ConformalMetric(GaussianEach(means))):
        chosen = connection.select(index).score
        assert isinstance(chosen, GaussianEach)
        assert_close(chosen.means, means[index])


@pytest.mark.parametrize("alpha", [-0.1, math.inf, math.nan])
def test_bad_alpha(alpha: float):
    for kind in (Conformal, ConformalMetric):
        with pytest.raises(ValueError, match="expected a finite number"):
            kind(Gaussian([0.0]), alpha)


@pytest.mark.parametrize("kind", [Conformal, ConformalMetric])
def test_bad_reference(kind: type[Conformal] | type[ConformalMetric]):
    with pytest.raises(ValueError, match="reference is nan"):
        kind(Gaussian([0.0]), Hinged(), reference=math.nan)


@pytest.mark.parametrize(
    "metric",
    [
        ConformalMetric(Gaussian([0.0, 0]), 0.7),
        ConformalMetric(Gaussian([0.0, 0]), Power(1.0)),
        ConformalMetric(Gaussian([0.0, 0]), Hinged(1.0, 0.0, 1.0), reference=-2.6),
        ConformalMetric(Gaussian([0.0, 0]), LogLinear(0.3), reference=-2.6),
    ],
    ids=["number", "power", "hinged", "log-linear"],
)
def test_angular_momentum_is_conserved(metric: ConformalMetric):
    assert_angular_momentum_is_conserved(metric)


def test_no_derivative_is_needed():
    class Inference(Score):
        """A network in inference mode."""

        @torch.inference_mode()
        def __call__(self, t: Tensor, x: Tensor) -> Tensor:
            return _MIXTURE(t, x)

    connection = Conformal(Inference(), 0.5)
    assert connection.evaluations == 1
    x, v, t = _points(3), _points(3, 1), torch.zeros(5, dtype=torch.float64)
    expected = Conformal(_MIXTURE, 0.5).acceleration(t, x, v)
    assert_close(connection.acceleration(t, x, v), expected)
