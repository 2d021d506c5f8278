"""Distilled scores against exact Gaussians: what each is a score of, and what it costs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.diffusion import (
    NFSD,
    SDS,
    DistilledScore,
    EpsilonPrediction,
    FixedWindow,
    PathConditions,
    Published,
    RandomWindow,
    SamplePrediction,
)
from diffusion_geodesics.diffusion.window import carried
from tests.conformance.denoiser import exact_denoiser, shifts

LEVEL = 581


def points(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def at(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.float64)


def level_only() -> FixedWindow:
    return FixedWindow(LEVEL, (LEVEL,))


def test_at_the_level_alone_sds_is_the_score() -> None:
    denoiser, data, network = exact_denoiser(SamplePrediction())
    a, s = denoiser.schedule.coefficients(LEVEL)
    score = DistilledScore(denoiser, level_only(), SDS(), shifts(1.0))
    x = points(2, 3, 5)
    assert_close(score(at(2, 3), x), data.score(x, a, s, 1.0), rtol=1e-10, atol=1e-10)
    assert network.seen == [6]


def test_the_published_estimate_is_the_ratio_times_half_sigma() -> None:
    """Of two Gaussians with one covariance the ratio has a constant score."""
    denoiser, data, network = exact_denoiser(EpsilonPrediction())
    a, s = denoiser.schedule.coefficients(LEVEL)
    score = DistilledScore(denoiser, level_only(), Published(), shifts(1.0), negative=shifts(-0.5))
    ratio = (a * 1.5 / data.variance(a, s)).expand(4, 5)
    assert_close(score(at(4), points(4, 5)), 0.5 * s * ratio, rtol=1e-10, atol=1e-10)
    assert network.seen[0] == 8, "both prompts in one call"
    assert 0.5 * s == pytest.approx(0.453, abs=5e-3), "at the published level"


@pytest.mark.parametrize("clean", [0.0, 100.0])
def test_nfsd_is_the_score_of_its_product_of_powers(clean: float) -> None:
    denoiser, data, _ = exact_denoiser(EpsilonPrediction())
    a, s = denoiser.schedule.coefficients(LEVEL)
    rule = NFSD(weight=3.0, clean=clean)
    score = DistilledScore(
        denoiser, level_only(), rule, shifts(1.0), null=shifts(0.0), negative=shifts(-1.0)
    )
    x = points(4, 5)
    given, null, negative = (data.score(x, a, s, v) for v in (1.0, 0.0, -1.0))
    expected = null + 3.0 * (given - null) - (negative if clean == 0 else 0.0)
    assert_close(score(at(4), x), expected, rtol=1e-10, atol=1e-10)


def test_over_a_window_it_is_the_gradient_of_the_mean_log_density() -> None:
    denoiser, data, network = exact_denoiser(EpsilonPrediction())
    window = FixedWindow.around(denoiser.schedule, 50, 0.6, 0.1, 5, seed=7)
    assert window.timesteps == pytest.approx((481, 531, 581, 631, 681))
    score = DistilledScore(denoiser, window, SDS(), shifts(1.0))
    x = points(3, 5).requires_grad_()

    def potential(x: Tensor) -> Tensor:
        total = torch.zeros(())
        for node in window.nodes(x):
            a, s = denoiser.schedule.coefficients(node.timestep)
            moved, _, _ = carried(denoiser.schedule, x, window.level, node)
            gap = moved - a * (data.mean + 1.0)
            total = total - 0.5 * (gap.square() / data.variance(a, s)).sum(-1)
        return total / 5

    (gradient,) = torch.autograd.grad(potential(x).sum(), x)
    value = score(at(3), x.detach())
    added = torch.zeros_like(value)
    for node in window.nodes(x):  # what SDS subtracts: a constant, nothing on average
        _, s = denoiser.schedule.coefficients(node.timestep)
        _, ratio, kappa = carried(denoiser.schedule, x.detach(), window.level, node)
        added = added + ratio / s * kappa / s * node.noise / 5
    assert_close(value - added, gradient, rtol=1e-10, atol=1e-10)
    assert network.seen == [3] * 5


def test_a_fixed_window_is_a_function_and_a_random_one_is_seeded() -> None:
    denoiser, _, _ = exact_denoiser(EpsilonPrediction())
    x = points(4, 5)
    fixed = DistilledScore(
        denoiser,
        FixedWindow.around(denoiser.schedule, 50, 0.6, 0.1, 3),
        Published(),
        shifts(1.0),
        negative=shifts(0.0),
    )
    assert torch.equal(fixed(at(4), x), fixed(at(4), x))
    assert torch.equal(fixed(at(1), x[2:3]), fixed(at(4), x)[2:3]), "row by row"

    def drawn(seed: int) -> list[Tensor]:
        window = RandomWindow(LEVEL, 481, 681, torch.Generator().manual_seed(seed))
        score = DistilledScore(denoiser, window, SDS(), shifts(1.0))
        return [score(at(4), x) for _ in range(2)]

    first, again, other = drawn(0), drawn(0), drawn(1)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], other[0])


def test_a_rule_refuses_to_go_without_the_prompt_that_it_compares_with() -> None:
    denoiser, _, _ = exact_denoiser(EpsilonPrediction())
    x = points(1, 5)
    with pytest.raises(ValueError, match="negative prompt"):
        DistilledScore(denoiser, level_only(), Published(), shifts(1.0))(at(1), x)
    without_null = DistilledScore(denoiser, level_only(), NFSD(), shifts(1.0), negative=shifts(0.0))
    with pytest.raises(ValueError, match="null prompt"):
        without_null(at(1), x)


def test_paths_of_a_batch_have_prompts_of_their_own() -> None:
    denoiser, _, _ = exact_denoiser(EpsilonPrediction())
    window = FixedWindow.around(denoiser.schedule, 50, 0.6, 0.1, 3)
    curves = (shifts(1.0), shifts(-2.0))
    both = DistilledScore(denoiser, window, SDS(), PathConditions(curves))
    x = points(4, 2, 5)
    value = both(at(4, 1), x)
    for k, curve in enumerate(curves):
        alone = DistilledScore(denoiser, window, SDS(), curve)(at(4), x[:, k])
        assert_close(value[:, k], alone, rtol=1e-12, atol=1e-12)
    second = both.select(torch.tensor([1]))(at(4, 1), x[:, 1:])
    assert_close(second, value[:, 1:], rtol=1e-12, atol=1e-12)
