"""Energies: the conformance suite, the score-Jacobian metric, Fisher-Rao in closed form."""

import math

import pytest
import torch
from scipy.integrate import quad
from torch import Tensor
from torch.testing import assert_close

import diffusion_geodesics as dg
from diffusion_geodesics.metric import (
    CentralDifference,
    ConformalMetric,
    DenoiserMoments,
    Energy,
    FisherRao,
    LogLinear,
    MetricEnergy,
    MixtureMoments,
    Moments,
    ScoreJacobian,
    Stein,
    spacetime_point,
)
from tests.conformance.energy import EnergyCase, EnergySuite
from tests.exact import Counting, MovingGaussian, vector

_MIXTURE = dg.GaussianMixture([[-2.0, 0], [2, 0], [0, 1.8]], [0.7, 0.9, 0.8])
_WIDE = dg.GaussianMixture([[-0.5, 0], [0.5, 0.3]], [1.5, 2.0], [0.3, 0.7])


def _points(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def mixture_denoiser(prior: dg.GaussianMixture):
    """D = x + σ² s of the noised mixture, the exact denoiser, as a network would be called."""

    def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
        mean, _ = MixtureMoments(prior)(x, sigma)
        return mean

    return denoiser


def _cases() -> list[EnergyCase]:
    curve = torch.cumsum(torch.cat([_points(1, 3, 2), 0.2 * _points(5, 3, 2, seed=1)]), 0)
    noisy = torch.cat([curve, 0.3 * curve[..., :1]], -1)
    sphere = dg.Sphere(1.5)
    round_ = sphere.project(torch.cat([curve, 1 + curve[..., :1].abs()], -1))
    flat = ConformalMetric(_MIXTURE, LogLinear(0.05), reference=-3.0)
    moving = MovingGaussian(vector(0, 0), vector(1, 1))
    vmf = ConformalMetric(dg.VonMisesFisher([0.0, 1, 1], 2.0, 1.5), 0.5, sphere)
    energies: list[tuple[str, Energy, Tensor]] = [
        ("euclidean", MetricEnergy(ConformalMetric(_MIXTURE, 0.0)), curve),
        ("conformal", MetricEnergy(flat), curve),
        ("conformal on a sphere", MetricEnergy(vmf), round_),
        ("stein", MetricEnergy(Stein(_MIXTURE, 0.5)), curve),
        ("stein, differences", MetricEnergy(Stein(CentralDifference(_MIXTURE), 0.5)), curve),
        ("score-Jacobian", ScoreJacobian(_WIDE), curve),
        ("score-Jacobian, differences", ScoreJacobian(CentralDifference(_WIDE)), curve),
        ("score-Jacobian, moving", ScoreJacobian(moving), curve),
        ("Fisher-Rao", FisherRao(MixtureMoments(_MIXTURE)), noisy),
        ("denoiser", FisherRao(DenoiserMoments(mixture_denoiser(_MIXTURE), 2, None)), noisy),
        ("denoiser, probed", FisherRao(DenoiserMoments(mixture_denoiser(_WIDE), 2, 2)), noisy),
    ]
    return [EnergyCase(*case) for case in energies]


class TestEnergies(EnergySuite):
    @pytest.fixture(params=_cases(), ids=lambda c: c.name)
    def case(self, request: pytest.FixtureRequest) -> EnergyCase:
        return request.param


def test_midpoint_rule_is_second_order():
    metric = Stein(_MIXTURE, 0.7)
    path = dg.Line(vector(-2, 0), vector(2, 0.3))
    exact = float(dg.measure(metric, path, intervals=64).length)

    def length(n: int) -> float:
        t = torch.linspace(0, 1, n + 1, dtype=torch.float64)
        return float(MetricEnergy(metric).segments(t, path(t)[:, None]).sqrt().sum())

    errors = [abs(length(n) - exact) for n in (64, 128)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


def test_score_jacobian_inner_is_that_of_its_segments():
    x, u = _points(4, 2), 1e-4 * _points(4, 2, seed=1)
    t = torch.zeros(4, dtype=torch.float64)
    energy = ScoreJacobian(_MIXTURE)
    square = energy.segments(torch.zeros(2).double(), torch.stack([x - u / 2, x + u / 2]))[0]
    assert_close(energy.inner(t, x, u, u), square, rtol=1e-6, atol=0)
    both = energy.inner(t, x, u, x)
    assert_close(both, energy.inner(t, x, x, u))
    jacobian = torch.func.vmap(torch.func.jacrev(lambda y: _MIXTURE(t[0], y)))(x)
    product = torch.einsum("nij,nik,nj,nk->n", jacobian, jacobian, u, x)
    assert_close(both, product)


def test_score_jacobian_of_a_gaussian_is_flat():
    """G = I/σ⁴, so ℓ = |Δ|/σ²."""
    nodes = _points(6, 3, 4)
    energy = ScoreJacobian(dg.Gaussian([0.3] * 4, 0.5))
    square = energy.segments(torch.linspace(0, 1, 6).double(), nodes)
    assert_close(square, (nodes[1:] - nodes[:-1]).square().sum(-1) / 0.5**4)


def test_costs_are_what_the_score_sees():
    counting = Counting(_MIXTURE)
    nodes, t = _points(9, 3, 2), torch.linspace(0, 1, 9, dtype=torch.float64)
    for energy in (
        ScoreJacobian(CentralDifference(counting)),
        MetricEnergy(Stein(CentralDifference(counting))),
    ):
        counting.rows = counting.calls = 0
        energy.segments(t, nodes)
        assert (counting.rows, counting.calls) == (3 * energy.evaluations(9, gradient=False), 1)
        counting.rows = counting.calls = 0
        energy.segments(t, nodes.clone().requires_grad_()).sum().backward()
        assert (counting.rows, counting.calls) == (3 * energy.evaluations(9, gradient=True), 2)


@pytest.mark.parametrize("probes", [None, 1, 3])
def test_denoiser_costs(probes: int | None):
    rows: list[int] = []

    def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
        rows.append(len(x))
        return x / (1 + sigma[:, None] ** 2)

    moments = DenoiserMoments(denoiser, 4, probes)
    FisherRao(moments).segments(torch.linspace(0, 1, 7).double(), _points(7, 2, 5))
    assert rows == [2 * FisherRao(moments).evaluations(7, gradient=False)]


def test_moments_of_a_mixture_by_quadrature():
    prior = dg.GaussianMixture([[-1.0], [2.0]], [0.5, 0.8], [0.3, 0.7])
    x, sigma = 0.7, 0.9

    def weight(y: float, power: int) -> float:
        log = prior.log_prob(torch.zeros(1).double(), vector(y)[None])
        return y**power * math.exp(float(log) - 0.5 * ((x - y) / sigma) ** 2)

    total, first, second = (quad(weight, -9, 9, args=(k,), epsabs=1e-12)[0] for k in range(3))
    mean, square = MixtureMoments(prior)(vector(x)[None], vector(sigma))
    assert float(mean) == pytest.approx(first / total, rel=1e-9)
    assert float(square) == pytest.approx(second / total, rel=1e-9)


def test_moments_of_a_denoiser_are_those_of_its_density():
    """Tweedie: D = x + σ² s, and E|x₀|² = |D|² + σ² div D."""
    x, sigma = _points(3, 4, 2), 0.3 + _points(3, 4, seed=1).abs()
    mean, second = MixtureMoments(_MIXTURE)(x, sigma)
    got_mean, got_second = DenoiserMoments(mixture_denoiser(_MIXTURE), 2, None)(x, sigma)
    assert_close(got_mean, mean)
    assert_close(got_second, second, rtol=1e-5, atol=1e-6)
    noised = dg.GaussianMixture(_MIXTURE.means, (_MIXTURE.stds**2 + 0.25).sqrt(), _MIXTURE.weights)
    tweedie = x + 0.25 * noised(sigma, x)
    assert_close(MixtureMoments(_MIXTURE)(x, torch.full_like(sigma, 0.5))[0], tweedie)


def test_hutchinson_is_unbiased():
    x, sigma = _points(1, 2), vector(0.8)
    exact = MixtureMoments(_MIXTURE)(x, sigma)[1]
    denoiser = mixture_denoiser(_MIXTURE)
    found = torch.stack(
        [DenoiserMoments(denoiser, 2, 4, seed=seed)(x, sigma)[1] for seed in range(64)]
    )
    error = found.std() / 8
    assert abs(float(found.mean() - exact)) < 4 * float(error) + 1e-6
    assert float(error) > 1e-4


def normal_distance(m0: Tensor, s0: Tensor, m1: Tensor, s1: Tensor) -> Tensor:
    """Fisher-Rao distance of N(m, s² I) in d dimensions: √(2d) times the hyperbolic one."""
    double = 2 * m0.shape[-1]
    gap = (m1 - m0).square().sum(-1) / double + (s1 - s0).square()
    return double**0.5 * torch.acosh(1 + gap / (2 * s0 * s1))


def test_fisher_rao_of_a_gaussian_prior_is_that_of_normal_distributions():
    """The posterior is N(τ²x/(τ²+σ²), τ²σ²/(τ²+σ²)): short segments have the known length."""
    prior = dg.GaussianMixture([[0.0, 0, 0]], 2.0)
    nodes = torch.cumsum(1e-3 * _points(6, 2, 4), 0) + _points(1, 2, 4, seed=2)
    square = FisherRao(MixtureMoments(prior)).segments(torch.linspace(0, 1, 6).double(), nodes)
    noise = (2 * nodes[..., -1]).exp()
    mean = 4 * nodes[..., :-1] / (4 + noise[..., None])
    std = (4 * noise / (4 + noise)).sqrt()
    exact = normal_distance(mean[:-1], std[:-1], mean[1:], std[1:])
    assert_close(square.sqrt(), exact, rtol=1e-5, atol=0)


def test_noise_of_any_form_is_one_family():
    """x = a x₀ + s ε is the point (x/a, log s/a)."""
    x = vector(1.0, -2.0)
    assert_close(spacetime_point(x, 0.3, 0.5), vector(2.0, -4.0, math.log(0.6)))
    assert_close(spacetime_point(x, 1.0), vector(1.0, -2.0, 0.0))


def test_energies_that_autograd_cannot_follow_are_refused():
    class Frozen(dg.Score):
        @torch.no_grad()
        def __call__(self, t: Tensor, x: Tensor) -> Tensor:
            return -x

    class FrozenMoments(Moments):
        @torch.no_grad()
        def __call__(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
            return 2 * x, x.square().sum(-1)

        def evaluations(self, *, gradient: bool) -> int:
            return 1

    nodes, t = _points(4, 1, 3).requires_grad_(), torch.linspace(0, 1, 4).double()
    for energy in (ScoreJacobian(Frozen()), FisherRao(FrozenMoments())):
        with pytest.raises(ValueError, match="without gradient"):
            energy.segments(t, nodes)
        assert energy.segments(t, nodes.detach()).shape == (3, 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DenoiserMoments(lambda x, _: x, 0), "dim is 0"),
        (lambda: DenoiserMoments(lambda x, _: x, 2, 0), "probes 0"),
        (lambda: DenoiserMoments(lambda x, _: x, 2, step=0.0), "step is 0.0"),
        (lambda: DenoiserMoments(lambda x, _: x, 3)(_points(4, 2), _points(4)), "dim = 3"),
        (
            lambda: DenoiserMoments(lambda x, _: x[:1], 2)(_points(4, 2), _points(4)),
            "expected the same shape",
        ),
        (lambda: spacetime_point(vector(1, 2), 0.0), "sigma is 0.0"),
    ],
)
def test_bad_input(make, message: str):
    with pytest.raises(ValueError, match=message):
        make()
