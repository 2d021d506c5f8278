"""Log densities by line integral and by the probability flow, against exact ones."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.density import GaussianMixture
from diffusion_geodesics.likelihood import (
    CentralDifferences,
    Derivative,
    ExactTrace,
    FlowResult,
    ForwardMode,
    Hutchinson,
    ReverseMode,
    ScoreNoise,
    ShiftedHutchPlusPlus,
    Trace,
    log_density,
)

SIGMA, SIGMA_MAX = 0.5, 20.0
ZERO = torch.zeros((), dtype=torch.float64)


def mixture(dim: int, sigma: float) -> GaussianMixture:
    generator = torch.Generator().manual_seed(0)
    means = 0.6 * torch.randn(4, dim, generator=generator, dtype=torch.float64)
    return GaussianMixture(means, math.hypot(0.3, sigma))


def noise(dim: int) -> ScoreNoise:
    return ScoreNoise(lambda x, sigma: mixture(dim, sigma)(ZERO, x), SIGMA_MAX)


def points(dim: int, count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    eps = torch.randn(count, dim, generator=generator, dtype=torch.float64)
    return mixture(dim, 0).means[:count] + math.hypot(0.3, SIGMA) * eps


def test_exact_trace_in_64_dimensions():
    """The issue's measure: within 1e-3 nats."""
    x = points(64, 2)
    found = log_density(noise(64), x, SIGMA, trace=ExactTrace(), terminal=mixture(64, SIGMA_MAX))
    exact = mixture(64, SIGMA).log_prob(ZERO, x)
    assert found.result is FlowResult.converged
    assert_close(found.log_prob, exact, rtol=0, atol=1e-3)
    assert torch.equal(found.standard_error, torch.zeros(2).double())
    assert bool((found.solver_error < 3e-3).all())
    assert_close(found.bits_per_dim, -exact / 64 / math.log(2), rtol=1e-4, atol=0)


@pytest.mark.parametrize("trace", [ShiftedHutchPlusPlus(24), Hutchinson(16)])
def test_estimated_traces_in_64_dimensions(trace: Trace):
    """Within 3 standard errors; Hutch++ with far smaller ones."""
    x = points(64, 2)
    found = log_density(noise(64), x, SIGMA, trace=trace, terminal=mixture(64, SIGMA_MAX))
    exact = mixture(64, SIGMA).log_prob(ZERO, x)
    assert bool(((found.log_prob - exact).abs() <= 3 * found.standard_error + 1e-3).all())
    limit = 0.15 if isinstance(trace, ShiftedHutchPlusPlus) else 0.6
    assert bool((found.standard_error < limit).all())
    assert torch.equal(trace.draw(x), trace.draw(x))


@pytest.mark.parametrize("derivative", [ForwardMode(), ReverseMode(), CentralDifferences(1e-4)])
def test_every_derivative_gives_the_same_density(derivative: Derivative):
    x = points(4)
    found = log_density(
        noise(4),
        x,
        SIGMA,
        trace=ExactTrace(),
        terminal=mixture(4, SIGMA_MAX),
        derivative=derivative,
    )
    assert_close(found.log_prob, mixture(4, SIGMA).log_prob(ZERO, x), rtol=0, atol=1e-3)
    assert found.nfe == found.batches * 3 * 4 * derivative.evaluations


def test_solver_order_and_cost():
    """A tolerance 1000 times smaller: far smaller errors for not many more steps (order 5)."""
    x, end = points(3), mixture(3, SIGMA_MAX)
    exact = mixture(3, SIGMA).log_prob(ZERO, x)
    errors, steps = [], []
    for rtol in (1e-3, 1e-6):
        found = log_density(
            noise(3),
            x,
            SIGMA,
            trace=ExactTrace(),
            terminal=end,
            rtol=rtol,
            derivative=ReverseMode(),
        )
        errors.append(float((found.log_prob - exact).abs().max()))
        steps.append(found.steps[0])
        assert errors[-1] <= 3 * float(found.solver_error.max())
    assert errors[0] > 20 * errors[1]
    assert steps[1] < 2 * 1000 ** (1 / 5) * steps[0]


def test_default_terminal_density_is_off_by_the_mean_over_sigma():
    x = points(4)
    exact = mixture(4, SIGMA).log_prob(ZERO, x)
    found = log_density(noise(4), x, SIGMA, trace=ExactTrace(), sigma_max=10.0)
    found_far = log_density(noise(4), x, SIGMA, trace=ExactTrace(), sigma_max=1000.0)
    gap, gap_far = ((f.log_prob - exact).abs().max() for f in (found, found_far))
    assert gap < 0.3
    assert gap_far < 5e-3


def test_single_precision():
    x, trace = points(4, 1), ExactTrace()
    wide = log_density(noise(4), x, SIGMA, trace=trace, rtol=1e-4)
    found = log_density(noise(4), x.float(), SIGMA, trace=trace, rtol=1e-4)
    assert found.log_prob.dtype == torch.float32
    assert_close(found.log_prob.double(), wide.log_prob, rtol=0, atol=2e-2)


def test_bits_of_quantised_pixels():
    found = log_density(
        noise(4), points(4, 1), SIGMA, trace=ExactTrace(), rtol=1e-3, bin_width=2 / 255
    )
    plain = -found.log_prob / (4 * math.log(2))
    assert_close(found.bits_per_dim, plain + math.log2(255 / 2), rtol=1e-12, atol=0)


def test_a_single_sample_has_no_standard_error():
    found = log_density(noise(4), points(4, 1), SIGMA, trace=Hutchinson(1), rtol=1e-3)
    assert bool(found.standard_error.isnan().all())
    exact = mixture(4, SIGMA).log_prob(ZERO, points(4, 1))
    assert_close(found.log_prob, exact, rtol=0, atol=1.0)  # one probe: about half a nat


def test_what_fails_says_so():
    few = log_density(noise(4), points(4), SIGMA, trace=ExactTrace(), max_steps=2)
    assert few.result is FlowResult.max_steps
    assert bool(few.log_prob.isnan().all())

    def wall(x: Tensor, sigma: float) -> Tensor:
        return -x if sigma < 2 else x * math.nan

    broken = log_density(ScoreNoise(wall, 20.0), points(4), SIGMA, trace=ExactTrace())
    assert broken.result is FlowResult.non_finite
    assert bool(broken.log_prob.isnan().all())


def test_bad_input():
    x = points(4)
    for sigma in (0.0, -1.0, 30.0):
        with pytest.raises(ValueError, match="sigma is"):
            log_density(noise(4), x, sigma)
    with pytest.raises(ValueError, match="at least one"):
        log_density(noise(4), x[:0], SIGMA)
    with pytest.raises(ValueError, match="finite"):
        log_density(noise(4), x * math.inf, SIGMA)
    with pytest.raises(ValueError, match="rtol"):
        log_density(noise(4), x, SIGMA, rtol=0.0)
    with pytest.raises(ValueError, match="returned"):
        log_density(ScoreNoise(lambda x, sigma: x.sum(1)), x, SIGMA)
    with pytest.raises(ValueError, match="multiple of 3"):
        ShiftedHutchPlusPlus(8)
    with pytest.raises(ValueError, match="at least 1"):
        Hutchinson(0)
    with pytest.raises(ValueError, match="highest"):
        ScoreNoise(lambda x, sigma: -x, 0.0)
    with pytest.raises(ValueError, match="step is"):
        CentralDifferences(0.0)
