"""Samplers against the exact flow of a Gaussian, against diffusers, against their own undoing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_heun_discrete import HeunDiscreteScheduler
from diffusers.schedulers.scheduling_lms_discrete import LMSDiscreteScheduler
from torch import Tensor

from diffusion_geodesics.diffusion import (
    DDIM,
    LMS,
    Denoiser,
    DiscreteSchedule,
    DPMSolver,
    EpsilonPrediction,
    Heun,
    Sampler,
    Spacing,
    VelocityPrediction,
    invert,
    sample,
)
from diffusion_geodesics.diffusion.transport import rungs_of, sampling_nfe
from diffusion_geodesics.runtime.cost import Counts, Meter
from tests.conformance.denoiser import ExactNetwork, ExactOutput, exact_denoiser, shifts

SAMPLERS = (DDIM(), Heun(), LMS(), DPMSolver())
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: type(s).__name__)


def points(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(
    ("sampler", "steps", "order"),
    [(DDIM(), 50, 1.0), (Heun(), 25, 2.0), (LMS(), 50, 2.0), (DPMSolver(), 200, 2.1)],
    ids=lambda x: str(x),
)
def test_order_of_convergence(sampler: Sampler, steps: int, order: float) -> None:
    denoiser, data, _ = exact_denoiser(VelocityPrediction(), final_alpha_is_one=False)
    x, c = points(3, 5), shifts(0.5)
    errors = []
    for count in (steps, 2 * steps):
        start = denoiser.schedule.coefficients(denoiser.schedule.timestep(count, 0.6))
        exact = data.flow(x, start, denoiser.schedule.clean, 0.5)
        got = sample(denoiser, x, c, steps=count, level=0.6, sampler=sampler)
        errors.append(float((got - exact).abs().max()))
    assert abs(math.log2(errors[0] / errors[1]) - order) < 0.3, errors


@pytest.mark.parametrize(
    ("sampler", "alpha_to_one", "error"),
    [
        (DDIM(), True, 1e-7),
        (DDIM(), False, 1e-7),
        (Heun(), True, 1e-7),
        (Heun(), False, 1e-7),
        (LMS(6), True, 5e-4),
    ],
    ids=str,
)
def test_sampling_undoes_inversion(sampler: Sampler, alpha_to_one: bool, error: float) -> None:
    denoiser, _, _ = exact_denoiser(EpsilonPrediction(), final_alpha_is_one=alpha_to_one)
    x0, c, meter = points(4, 5), shifts(0.5), Meter()
    x = invert(
        denoiser, x0, c, steps=12, level=0.5, sampler=sampler, refinements=12, tolerance=1e-9
    )
    back = sample(denoiser.metered(meter), x, c, steps=12, level=0.5, sampler=sampler)
    assert float((back - x0).abs().max()) < error
    assert meter.read().nfe == sampling_nfe(sampler, 6, torch.ones(4))


def test_every_walk_of_a_multistep_inversion_comes_closer() -> None:
    denoiser, _, network = exact_denoiser(EpsilonPrediction())
    x0, c = points(4, 5), shifts(0.5)
    errors, spent = [], []
    for walks in (1, 2, 3):
        network.seen.clear()
        x = invert(denoiser, x0, c, steps=20, level=0.5, sampler=LMS(walks))
        spent.append(sum(network.seen))
        back = sample(denoiser, x, c, steps=20, level=0.5, sampler=LMS(walks))
        errors.append(float((back - x0).abs().max()))
    assert errors[2] < 0.6 * errors[1] < 0.3 * errors[0]
    assert spent[0] < spent[1] < spent[2]
    with pytest.raises(ValueError, match="walks"):
        LMS(0)


def test_half_the_steps_at_second_order_follow_the_flow_better() -> None:
    denoiser, data, _ = exact_denoiser(EpsilonPrediction(), final_alpha_is_one=False)
    x0, c = points(4, 5), shifts(0.5)
    errors = {}
    for steps, sampler in ((50, DDIM()), (24, Heun()), (24, LMS())):
        x = invert(denoiser, x0, c, steps=steps, level=0.5, sampler=sampler)
        end = denoiser.schedule.coefficients(denoiser.schedule.timestep(steps, 0.5))
        exact = data.flow(x0, denoiser.schedule.clean, end, 0.5)
        errors[type(sampler).__name__] = float((x - exact).abs().max())
    assert errors["Heun"] < 0.5 * errors["DDIM"]
    assert errors["LMS"] < 0.5 * errors["DDIM"]


@pytest.mark.parametrize(
    ("sampler", "steps", "error"),
    [(DDIM(), 100, 0.05), (Heun(), 50, 0.02), (LMS(), 100, 0.02), (DPMSolver(), 100, 0.02)],
    ids=lambda x: str(x),
)
def test_from_pure_noise_every_sampler_finds_the_exact_flow(
    sampler: Sampler, steps: int, error: float
) -> None:
    """Where the schedule has no signal left, noise z becomes mean + std z."""
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    alphas = torch.cumprod(1 - betas, 0).tolist()
    schedule = DiscreteSchedule((*alphas[:-1], 0.0), 1.0, Spacing.TRAILING)
    assert rungs_of(schedule, steps, 1.0)[0].a == 0.0
    data = exact_denoiser(VelocityPrediction())[1]
    network = ExactNetwork(ExactOutput(data, schedule, VelocityPrediction()), [])
    denoiser, z = Denoiser(network, schedule, VelocityPrediction()), points(3, 5)
    found = sample(denoiser, z, shifts(0.0), steps=steps, level=1.0, sampler=sampler)
    assert float((found - data.mean - data.std * z).abs().max()) < error


@every_sampler
def test_guidance_by_row_costs_what_is_predicted(sampler: Sampler) -> None:
    meter = Meter()
    denoiser = exact_denoiser(EpsilonPrediction())[0].metered(meter)
    weights = torch.tensor([1.0, 0.0, 2.5, 1.0], dtype=torch.float64)
    sample(
        denoiser,
        points(4, 5),
        shifts(1.0),
        steps=10,
        level=0.5,
        sampler=sampler,
        negative=shifts(0.0),
        guidance=weights,
    )
    batches = sum(sampler.evaluations(last=k == 4) for k in range(5))
    assert meter.read() == Counts(nfe=5 * batches, batches=batches)
    assert meter.read().nfe == sampling_nfe(sampler, 5, weights)


LIBRARY: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "timestep_spacing": "leading",
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (DDIM(), lambda: DDIMScheduler(**LIBRARY, set_alpha_to_one=False, clip_sample=False)),
        (
            DPMSolver(),
            lambda: DPMSolverMultistepScheduler(
                **{**LIBRARY, "timestep_spacing": "trailing"},
                final_sigmas_type="sigma_min",
                lower_order_final=False,
            ),
        ),
        (Heun(), lambda: HeunDiscreteScheduler(**LIBRARY)),
        (LMS(), lambda: LMSDiscreteScheduler(**LIBRARY)),
    ],
    ids=["ddim", "dpm++", "heun", "lms"],
)
def test_steps_equal_those_of_diffusers(ours: Sampler, theirs: Callable[[], Any]) -> None:
    """The same network and grid; the library computes its coefficients in float32."""
    scheduler = theirs()
    in_ratio = isinstance(ours, Heun | LMS)  # x/a is their coordinate, and the end is noise-free
    denoiser, _, _ = exact_denoiser(EpsilonPrediction(), final_alpha_is_one=in_ratio)
    if isinstance(ours, DPMSolver):  # its leading grid is one step finer than the others'
        schedule = replace(cast(DiscreteSchedule, denoiser.schedule), spacing=Spacing.TRAILING)
        denoiser = replace(denoiser, schedule=schedule)
    scheduler.set_timesteps(20)
    x = points(3, 5).float()
    got = sample(denoiser, x, shifts(0.5), steps=20, level=1.0, sampler=ours)
    if in_ratio:
        x = x / rungs_of(denoiser.schedule, 20, 1.0)[0].a
    for timestep in scheduler.timesteps:
        scaled = scheduler.scale_model_input(x, timestep)
        noise = denoiser.epsilon(scaled, float(timestep), shifts(0.5))
        order = {"order": 2} if isinstance(ours, LMS) else {}
        x = scheduler.step(noise, timestep, x, **order).prev_sample
    torch.testing.assert_close(got, x, rtol=2e-3, atol=2e-3)
