"""Inversion and sampling against the exact probability flow of Gaussian data."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.diffusion import (
    Denoiser,
    DiscreteSchedule,
    EDMPrediction,
    EpsilonPrediction,
    FlowPrediction,
    Prediction,
    Spacing,
    VelocityPrediction,
    guidance_bump,
    invert,
    sample,
)
from diffusion_geodesics.runtime.cost import Counts, Meter
from tests.conformance.denoiser import (
    PREDICTIONS,
    ExactNetwork,
    ExactOutput,
    exact_denoiser,
    shifts,
)

every_prediction = pytest.mark.parametrize("prediction", PREDICTIONS, ids=str)
OTHERS = (FlowPrediction(), EDMPrediction(sigma_data=0.7))
"""One prediction for each schedule that is no table of betas."""


def points(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(
    ("prediction", "alpha_to_one"),
    [(EpsilonPrediction(), True), (VelocityPrediction(), False), *((p, True) for p in OTHERS)],
    ids=str,
)
def test_inversion_converges_to_the_exact_flow_at_first_order(
    prediction: Prediction, alpha_to_one: bool
) -> None:
    denoiser, data, _ = exact_denoiser(prediction, final_alpha_is_one=alpha_to_one)
    x0, schedule = points(4, 5), denoiser.schedule
    errors = []
    for steps in (100, 200):
        x = invert(denoiser, x0, shifts(0.5), steps=steps, level=0.6, refinements=0)
        end = schedule.coefficients(schedule.timestep(steps, 0.6))
        errors.append(float((x - data.flow(x0, schedule.clean, end, 0.5)).abs().max()))
    assert errors[-1] < 0.05
    assert 0.8 < math.log2(errors[0] / errors[1]) < 1.3


@every_prediction
def test_every_ddim_step_is_the_affine_map_of_the_exact_denoiser(prediction: Prediction) -> None:
    """One step from (a, s) to (a', s') takes x to a' E[x0|x] + s' E[ε|x], both known."""
    denoiser, data, _ = exact_denoiser(prediction)
    schedule, x = denoiser.schedule, points(4, 5)
    ladder = schedule.ladder(10, 0.5)
    expected = x
    for k, timestep in enumerate(ladder):
        a, s = schedule.coefficients(timestep)
        end = schedule.clean if k + 1 == len(ladder) else schedule.coefficients(ladder[k + 1])
        clean = data.clean(expected, a, s, 0.5)
        expected = end[0] * clean + end[1] * (expected - a * clean) / s
    found = sample(denoiser, x, shifts(0.5), steps=10, level=0.5)
    assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("prediction", [EpsilonPrediction(), *OTHERS], ids=str)
@pytest.mark.parametrize("refinements", [0, 1, 2])
def test_sampling_undoes_inversion_at_the_stated_order(
    prediction: Prediction, refinements: int
) -> None:
    denoiser, _, _ = exact_denoiser(prediction)
    x0, c = points(4, 5), shifts(0.5)
    errors = []
    for steps in (30, 60):
        x = invert(denoiser, x0, c, steps=steps, level=0.6, refinements=refinements, tolerance=0.0)
        back = sample(denoiser, x, c, steps=steps, level=0.6)
        errors.append(float((back - x0).abs().max()))
    assert errors[0] < (0.05, 0.02, 0.005)[refinements]
    assert math.log2(errors[0] / errors[1]) > 1.5 + refinements


def test_refined_to_the_end_the_round_trip_is_exact() -> None:
    meter = Meter()
    denoiser = exact_denoiser(EpsilonPrediction())[0].metered(meter)
    x0, c = points(4, 5), shifts(0.5)
    x = invert(denoiser, x0, c, steps=10, level=0.6, refinements=30, tolerance=1e-14)
    spent = meter.read().nfe
    assert (sample(denoiser, x, c, steps=10, level=0.6) - x0).abs().max() < 1e-12
    assert 4 * 6 * 5 < spent < 4 * 6 * 31


def test_only_latents_that_still_move_are_refined_and_rows_do_not_mix() -> None:
    denoiser, _, network = exact_denoiser(EpsilonPrediction())
    meter = Meter()
    denoiser = denoiser.metered(meter)
    x0, c = points(4, 5) * torch.tensor([[0.1], [1.0], [2.0], [5.0]]), shifts(0.5)
    plain = invert(denoiser, x0, c, steps=50, level=0.4, refinements=0)
    assert meter.read() == Counts(nfe=4 * 20, batches=20)
    network.seen.clear()
    refined = invert(denoiser, x0, c, steps=50, level=0.4)
    spent = meter.read() - Counts(nfe=4 * 20, batches=20)
    assert spent == Counts(nfe=sum(network.seen), batches=len(network.seen))
    assert 4 * 20 < spent.nfe < 2 * 4 * 20
    errors = [
        float((sample(denoiser, x, c, steps=50, level=0.4) - x0).abs().max())
        for x in (plain, refined)
    ]
    assert errors[1] < 0.3 * errors[0]
    for k in range(4):
        alone = invert(denoiser, x0[k : k + 1], c, steps=50, level=0.4)
        assert torch.equal(alone, refined[k : k + 1])


@every_prediction
def test_guidance_moves_the_mean_of_a_gaussian_and_nothing_else(prediction: Prediction) -> None:
    """Every step is affine in the mean, so that weight w between means m and n is the mean
    n + w (m - n)."""
    denoiser, _, network = exact_denoiser(prediction)
    x, weight = points(5, 5), torch.tensor([1.0, 0.0, 3.0, 1.0, -1.0], dtype=torch.float64)
    means = [0.0, 1.0, 2.0, 3.0, 4.0]
    meter = Meter()
    guided = sample(
        denoiser.metered(meter),
        x,
        shifts(*means),
        steps=10,
        level=0.5,
        negative=shifts(-1.0),
        guidance=weight,
    )
    assert network.seen == [7] * 5, "weights 0 and 1 take one evaluation, the others two"
    assert meter.read() == Counts(nfe=35, batches=5)
    moved = [-1.0 + w * (m + 1.0) for m, w in zip(means, weight.tolist(), strict=True)]
    expected = sample(denoiser, x, shifts(*moved), steps=10, level=0.5)
    assert_close(guided, expected, rtol=1e-10, atol=1e-10)


def test_unguided_rows_need_no_negative_condition() -> None:
    denoiser, _, network = exact_denoiser(EpsilonPrediction())
    sample(denoiser, points(3, 5), shifts(0.0), steps=10, level=0.3)
    assert network.seen == [3, 3, 3]
    with pytest.raises(ValueError, match="negative condition"):
        sample(denoiser, points(3, 5), shifts(0.0), steps=10, level=0.3, guidance=2.0)
    with pytest.raises(ValueError, match="not finite"):
        sample(denoiser, points(3, 5), shifts(0.0), steps=10, level=0.3, guidance=math.nan)


@given(st.floats(0, 1), st.floats(-10, 10))
def test_the_guidance_bump_follows_its_formula_and_is_one_at_both_ends(t: float, g: float) -> None:
    inner, first, last = guidance_bump(torch.tensor([t, 0.0, 1.0], dtype=torch.float64), g)
    assert first == last == 1.0
    assert float(inner) == pytest.approx(1 + (g - 1) * math.sin(math.pi * t), abs=1e-12)


def test_progress_is_reported_step_by_step() -> None:
    denoiser, _, _ = exact_denoiser(EpsilonPrediction())
    seen: list[tuple[int, int]] = []
    x = invert(
        denoiser, points(1, 5), shifts(0.0), steps=10, level=0.3, on_step=lambda *a: seen.append(a)
    )
    sample(denoiser, x, shifts(0.0), steps=10, level=0.3, on_step=lambda *a: seen.append(a))
    assert seen == [(1, 3), (2, 3), (3, 3)] * 2


def test_from_pure_noise_sampling_converges_to_the_exact_flow() -> None:
    """A schedule whose last step has no signal at all: noise z becomes mean + std z."""
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    alphas = torch.cumprod(1 - betas, 0).tolist()
    schedule = DiscreteSchedule((*alphas[:-1], 0.0), 1.0, Spacing.TRAILING)
    data = exact_denoiser(VelocityPrediction())[1]
    network = ExactNetwork(ExactOutput(data, schedule, VelocityPrediction()), [])
    denoiser, z = Denoiser(network, schedule, VelocityPrediction()), points(4, 5)
    exact = data.mean + 0.5 + data.std * z
    errors = []
    for steps in (50, 100):
        x = sample(denoiser, z, shifts(0.5), steps=steps, level=1.0)
        errors.append(float((x - exact).abs().max()))
    assert errors[1] < 0.05
    assert 0.8 < math.log2(errors[0] / errors[1]) < 1.3
