"""The Fisher-Rao metric: the conformance suite, moments, closed forms, geodesics."""

import math

import pytest
import torch
from scipy.integrate import quad
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.bvp import (
    BoundaryProblem,
    EnergyMinimiser,
    solve_bvp,
)
from diffusion_geodesics.density import GaussianMixture
from diffusion_geodesics.experimental import (
    DenoiserMoments,
    FisherRao,
    MixtureMoments,
    Moments,
    spacetime_point,
)
from diffusion_geodesics.path import Line
from tests.conformance.energy import EnergyCase, EnergySuite
from tests.exact import vector

_MIXTURE = GaussianMixture([[-2.0, 0], [2, 0], [0, 1.8]], [0.7, 0.9, 0.8])


_WIDE = GaussianMixture([[-0.5, 0], [0.5, 0.3]], [1.5, 2.0], [0.3, 0.7])


_TIMES = torch.linspace(0, 1, 9, dtype=torch.float64)


def _points(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def mixture_denoiser(prior: GaussianMixture):
    """D = x + σ² s of the noised mixture, the exact denoiser, as a network would be called."""

    def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
        mean, _ = MixtureMoments(prior)(x, sigma)
        return mean

    return denoiser


def _cases() -> list[EnergyCase]:
    curve = torch.cumsum(torch.cat([_points(1, 3, 2), 0.2 * _points(5, 3, 2, seed=1)]), 0)
    noisy = torch.cat([curve, 0.3 * curve[..., :1]], -1)
    return [
        EnergyCase("mixture", FisherRao(MixtureMoments(_MIXTURE)), noisy),
        EnergyCase(
            "denoiser", FisherRao(DenoiserMoments(mixture_denoiser(_MIXTURE), 2, None)), noisy
        ),
        EnergyCase("probed", FisherRao(DenoiserMoments(mixture_denoiser(_WIDE), 2, 2)), noisy),
    ]


class TestFisherRao(EnergySuite):
    @pytest.fixture(params=_cases(), ids=lambda c: c.name)
    def case(self, request: pytest.FixtureRequest) -> EnergyCase:
        return request.param


def test_moments_that_autograd_cannot_differentiate_are_refused():
    class FrozenMoments(Moments):
        @torch.no_grad()
        def __call__(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
            return 2 * x, x.square().sum(-1)

        def evaluations(self, *, gradient: bool) -> int:
            return 1

    nodes, t = _points(4, 1, 3).requires_grad_(), torch.linspace(0, 1, 4).double()
    with pytest.raises(ValueError, match="without gradient"):
        FisherRao(FrozenMoments()).segments(t, nodes)
    assert FisherRao(FrozenMoments()).segments(t, nodes.detach()).shape == (3, 1)


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
    prior = GaussianMixture([[-1.0], [2.0]], [0.5, 0.8], [0.3, 0.7])
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
    noised = GaussianMixture(_MIXTURE.means, (_MIXTURE.stds**2 + 0.25).sqrt(), _MIXTURE.weights)
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
    prior = GaussianMixture([[0.0, 0, 0]], 2.0)
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


def _normal(point: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """The posterior's mean and standard deviation under the prior N(0, τ²)."""
    noise = (2 * point[..., -1]).exp()
    mean = tau**2 * point[..., :-1] / (tau**2 + noise[..., None])
    return mean, (tau**2 * noise / (tau**2 + noise)).sqrt()


@pytest.mark.parametrize("network", [False, True])
def test_fisher_rao_of_a_gaussian_prior(network: bool):
    """A hyperbolic half space: the distance is known, and the noise level rises on the way."""
    prior = GaussianMixture([[0.0, 0, 0]], 2.0)
    moments = MixtureMoments(prior)
    if network:
        moments = DenoiserMoments(mixture_denoiser(prior), 3, 1)
    a = spacetime_point(vector(1.0, 0, 0), 0.3)
    b = spacetime_point(vector(-0.2, 0.8, 0), 0.5)
    solution = solve_bvp(
        BoundaryProblem(FisherRao(moments), Line(a, b)), EnergyMinimiser(48), tol=1e-4
    )
    assert solution.converged
    exact = float(normal_distance(*_normal(a, 2.0), *_normal(b, 2.0)))
    assert float(solution.length) == pytest.approx(exact, rel=2e-5)
    middle = solution.path(vector(0.5))[0]
    assert float(middle[-1]) > 0.5 * math.log(0.3 * 0.5) + 0.2


def test_fisher_rao_of_a_mixture_goes_through_noise():
    """Between modes the shortest way is to add noise, and take it away again."""
    a, b = spacetime_point(vector(-2, 0), 0.3), spacetime_point(vector(2, 0), 0.3)
    solution = solve_bvp(
        BoundaryProblem(FisherRao(MixtureMoments(_MIXTURE)), Line(a, b)), EnergyMinimiser()
    )
    assert solution.converged
    assert float(solution.path(_TIMES)[4, -1].exp()) > 1.0
