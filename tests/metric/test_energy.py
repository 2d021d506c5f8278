"""Energies of metrics: the conformance suite, the order of the midpoint rule, costs."""

from dataclasses import dataclass, field

import pytest
import torch
from jaxtyping import Float
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.density import Density, GaussianMixture, VonMisesFisher
from diffusion_geodesics.length import measure
from diffusion_geodesics.manifold import Sphere
from diffusion_geodesics.metric import ConformalMetric, Energy, LogLinear, MetricEnergy
from diffusion_geodesics.path import Line
from tests.conformance.energy import EnergyCase, EnergySuite
from tests.exact import MovingGaussian, vector

_MIXTURE = GaussianMixture([[-2.0, 0], [2, 0], [0, 1.8]], [0.7, 0.9, 0.8])


def _points(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _cases() -> list[EnergyCase]:
    curve = torch.cumsum(torch.cat([_points(1, 3, 2), 0.2 * _points(5, 3, 2, seed=1)]), 0)
    sphere = Sphere(1.5)
    round_ = sphere.project(torch.cat([curve, 1 + curve[..., :1].abs()], -1))
    moving = MovingGaussian(vector(0, 0), vector(1, 1))
    vmf = ConformalMetric(VonMisesFisher([0.0, 1, 1], 2.0, 1.5), 0.5, sphere)
    energies: list[tuple[str, Energy, Tensor]] = [
        ("euclidean", MetricEnergy(ConformalMetric(_MIXTURE, 0.0)), curve),
        ("power", MetricEnergy(ConformalMetric(_MIXTURE, 0.4, reference=-3.0)), curve),
        (
            "log-linear",
            MetricEnergy(ConformalMetric(_MIXTURE, LogLinear(0.05), reference=-3.0)),
            curve,
        ),
        ("moving", MetricEnergy(ConformalMetric(moving, 0.3)), curve),
        ("on a sphere", MetricEnergy(vmf), round_),
    ]
    return [EnergyCase(*case) for case in energies]


class TestEnergies(EnergySuite):
    @pytest.fixture(params=_cases(), ids=lambda c: c.name)
    def case(self, request: pytest.FixtureRequest) -> EnergyCase:
        return request.param


def test_midpoint_rule_is_second_order():
    path = Line(vector(-2, 0), vector(2, 0.3))
    zero = torch.zeros(1, dtype=torch.float64)
    at_start = float(_MIXTURE.log_prob(zero, path(vector(0.0))))
    metric = ConformalMetric(_MIXTURE, 0.7, reference=at_start)
    exact = float(measure(metric, path, intervals=64).length)

    def length(n: int) -> float:
        t = torch.linspace(0, 1, n + 1, dtype=torch.float64)
        return float(MetricEnergy(metric).segments(t, path(t)[:, None]).sqrt().sum())

    errors = [abs(length(n) - exact) for n in (64, 128)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


@dataclass
class CountingDensity(Density):
    """Counts the points at which the log density is asked for."""

    density: Density
    points: list[int] = field(default_factory=list)

    def __call__(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        return self.density(t, x)

    def log_prob(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch"]:
        self.points.append(x[..., 0].numel())
        return self.density.log_prob(t, x)


def test_cost_is_what_the_density_sees():
    counting = CountingDensity(_MIXTURE)
    energy = MetricEnergy(ConformalMetric(counting, 0.5))
    energy.segments(torch.linspace(0, 1, 9).double(), _points(9, 3, 2))
    assert counting.points == [3 * energy.evaluations(9, gradient=False)]
    assert energy.evaluations(9, gradient=True) == 2 * 8


def test_gradients_pass_through_the_density():
    energy = MetricEnergy(ConformalMetric(_MIXTURE, 0.5))
    nodes = _points(4, 1, 2).requires_grad_()
    (gradient,) = torch.autograd.grad(
        energy.segments(torch.linspace(0, 1, 4).double(), nodes).sum(), nodes
    )
    flat = MetricEnergy(ConformalMetric(_MIXTURE, 0.0))
    (euclidean,) = torch.autograd.grad(
        flat.segments(torch.linspace(0, 1, 4).double(), nodes).sum(), nodes
    )
    with pytest.raises(AssertionError):
        assert_close(gradient, euclidean)
