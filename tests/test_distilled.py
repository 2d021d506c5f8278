"""Distilled scores against exact Gaussians: what each is a score of, and what it costs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.diffusion import (
    NFSD,
    SDS,
    Condition,
    DistilledScore,
    EpsilonPrediction,
    FixedWindow,
    Published,
    RandomWindow,
    RatioScore,
    SamplePrediction,
)
from diffusion_geodesics.diffusion.window import carried, window_timestep
from tests.conformance.denoiser import exact_denoiser, scaled_linear, shifts

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
    assert (score.rows_per_point, score.calls_per_batch, score.deterministic) == (1, 1, True)


def test_the_published_estimate_is_the_ratio_times_half_sigma() -> None:
    denoiser, _, network = exact_denoiser(EpsilonPrediction())
    _, s = denoiser.schedule.coefficients(LEVEL)
    score = DistilledScore(denoiser, level_only(), Published(), shifts(1.0), negative=shifts(-0.5))
    ratio = RatioScore(denoiser, LEVEL, shifts(1.0), shifts(-0.5))
    x = points(4, 5)
    assert_close(score(at(4), x), 0.5 * s * ratio(at(4), x), rtol=1e-10, atol=1e-10)
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
    assert score.rows_per_point == 5


def test_noisier_nodes_are_the_forward_process() -> None:
    schedule = scaled_linear()
    window = FixedWindow(LEVEL, (LEVEL, 700, 400))
    x = points(2, 5)
    same, up, down = window.nodes(x)
    assert_close(carried(schedule, x, LEVEL, same)[0], x)
    a0, s0 = schedule.coefficients(LEVEL)
    a, s = schedule.coefficients(700)
    moved, ratio, kappa = carried(schedule, x, LEVEL, up)
    assert ratio == pytest.approx(a / a0)
    assert (ratio * s0) ** 2 + kappa**2 == pytest.approx(s**2)
    assert_close(moved, ratio * x + kappa * up.noise)
    assert carried(schedule, x, LEVEL, down)[2] == 0.0


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
        assert not score.deterministic
        return [score(at(4), x) for _ in range(2)]

    first, again, other = drawn(0), drawn(0), drawn(1)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], other[0])


def test_windows_are_cut_off_at_the_ends_of_the_grid() -> None:
    schedule = scaled_linear()
    assert window_timestep(schedule, 50, 0.6) == schedule.timestep(50, 0.6)
    window = FixedWindow.around(schedule, 50, 0.95, 0.1, 3)
    assert window.timesteps[-1] == schedule.timesteps(50)[0]
    assert FixedWindow.around(schedule, 50, 0.6, 0.1, 1).timesteps == (581,)


def test_bad_input() -> None:
    denoiser, _, _ = exact_denoiser(EpsilonPrediction())
    score = DistilledScore(denoiser, level_only(), Published(), shifts(1.0))
    with pytest.raises(ValueError, match="negative prompt"):
        score(at(1), points(1, 5))
    with pytest.raises(ValueError, match="no time steps"):
        FixedWindow(LEVEL, ())
    with pytest.raises(ValueError, match="at least one node"):
        FixedWindow.around(denoiser.schedule, 50, 0.6, 0.1, 0)
    with pytest.raises(ValueError, match="same rows"):
        Condition((torch.zeros(1, 2), torch.zeros(2, 2)))
