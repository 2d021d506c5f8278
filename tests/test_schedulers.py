"""Noise schedules and predictions, against diffusers' own schedulers."""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

import math
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    FlowMatchEulerDiscreteScheduler,
)

from diffusion_geodesics.diffusion import (
    EDMPrediction,
    EDMSchedule,
    FlowPrediction,
    FlowSchedule,
    NoiseSchedule,
    SigmaSpacing,
    dynamic_mu,
)
from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.schedulers import read_prediction, read_schedule
from tests.conformance.denoiser import scaled_linear

SCHEDULES: tuple[NoiseSchedule, ...] = (
    scaled_linear(),
    FlowSchedule(),
    FlowSchedule(shift=3.0, lowest=0.003),
    FlowSchedule(shift=0.5, terminal=0.1),
    EDMSchedule(),
    EDMSchedule(spacing=SigmaSpacing.EXPONENTIAL, sigma_min=0.02, final_sigma=0.02),
)
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)


@every_schedule
@pytest.mark.parametrize("steps", [1, 2, 50])
def test_a_grid_falls_from_noise_to_clean(schedule: NoiseSchedule, steps: int) -> None:
    grid = schedule.timesteps(steps)
    pairs = [*map(schedule.coefficients, grid), schedule.clean]
    ratios = [s / a if a else math.inf for a, s in pairs]
    assert len(grid) == steps
    assert ratios[:-1] == sorted(set(ratios[:-1]), reverse=True)
    assert ratios[-1] <= ratios[-2]
    assert all(a >= 0 and s >= 0 for a, s in pairs)


@every_schedule
def test_time_steps_and_ratios_are_inverse_and_continuous(schedule: NoiseSchedule) -> None:
    for ratio in np.geomspace(0.05, 12.0, 7):
        a, s = schedule.coefficients(schedule.timestep_at(float(ratio)))
        assert s / a == pytest.approx(ratio, rel=1e-10)
        near = schedule.coefficients(schedule.timestep_at(float(ratio * (1 + 1e-7))))
        assert near == pytest.approx((a, s), rel=1e-6)


def test_the_two_ends_of_a_flow_are_pure_noise_and_clean() -> None:
    schedule = FlowSchedule()
    assert schedule.coefficients(1000) == (0.0, 1.0)
    assert schedule.coefficients(0) == schedule.clean == (1.0, 0.0)
    assert schedule.timestep_at(math.inf) == 1000
    assert schedule.timestep(10, 1.0) == 1000


@pytest.mark.parametrize("steps", [1, 2, 7, 28, 50])
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"shift": 3.0},
        {"shift": 0.5, "shift_terminal": 0.02},
        {"use_dynamic_shifting": True},
        {"use_dynamic_shifting": True, "time_shift_type": "linear", "max_shift": 2.0},
        {"use_dynamic_shifting": True, "shift": 3.0, "shift_terminal": 0.1, "base_shift": 0.7},
    ],
    ids=str,
)
def test_flow_sigmas_are_those_of_diffusers(config: dict[str, Any], steps: int) -> None:
    if steps == 1 and "shift_terminal" in config:
        pytest.skip("diffusers divides by zero")
    scheduler = FlowMatchEulerDiscreteScheduler(**config)
    tokens, read = 1024, scheduler.config
    mu = dynamic_mu(tokens, base_shift=read["base_shift"], max_shift=read["max_shift"])
    scheduler.set_timesteps(steps, mu=mu)
    schedule = read_schedule(scheduler, tokens)
    assert scheduler.sigmas is not None
    times = list(map(float, scheduler.timesteps))
    assert schedule.timesteps(steps) == pytest.approx(times, rel=2e-6)
    sigmas = [schedule.coefficients(t)[1] for t in schedule.timesteps(steps)]
    assert sigmas == pytest.approx(list(map(float, scheduler.sigmas[:-1])), rel=2e-6)
    assert isinstance(read_prediction(scheduler), FlowPrediction)


def test_without_a_lowest_sigma_the_grid_ends_at_one_over_the_steps() -> None:
    """As the pipelines of Flux ask for it."""
    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / 9, 9).tolist(), mu=0.8)
    assert scheduler.timesteps is not None
    ours = FlowSchedule(shift=math.exp(0.8)).timesteps(9)
    assert ours == pytest.approx(list(map(float, scheduler.timesteps)), rel=2e-6)


def test_mu_is_that_of_the_pipelines() -> None:
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    for tokens in (64, 256, 1024, 4096, 9000):
        assert dynamic_mu(tokens) == pytest.approx(calculate_shift(tokens), rel=1e-12)


def test_a_shift_that_depends_on_the_resolution_needs_the_tokens() -> None:
    with pytest.raises(ModelError, match="depends on the resolution"):
        read_schedule(FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True))
    with pytest.raises(ModelError, match="invert_sigmas"):
        read_schedule(FlowMatchEulerDiscreteScheduler(invert_sigmas=True))


def test_a_solver_that_follows_a_flow_gives_a_flow() -> None:
    scheduler = DPMSolverMultistepScheduler(
        use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0
    )
    assert read_schedule(scheduler) == FlowSchedule(shift=3.0)
    assert isinstance(read_prediction(scheduler), FlowPrediction)


@pytest.mark.parametrize("steps", [1, 5, 40])
@pytest.mark.parametrize("spacing", ["karras", "exponential"])
@pytest.mark.parametrize("kind", [EDMEulerScheduler, EDMDPMSolverMultistepScheduler])
def test_edm_sigmas_are_those_of_diffusers(kind: Any, spacing: str, steps: int) -> None:
    if steps == 1 and spacing == "exponential":
        pytest.skip("diffusers takes the smallest sigma; a sampler starts at the largest")
    scheduler = kind(sigma_schedule=spacing, sigma_max=20.0)
    scheduler.set_timesteps(steps)
    ours = read_schedule(scheduler).timesteps(steps)
    assert ours == pytest.approx(list(map(float, scheduler.sigmas[:-1])), rel=2e-6)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_edm_predictions_are_those_of_diffusers(kind: str) -> None:
    scheduler = EDMEulerScheduler(prediction_type=kind, sigma_data=0.7)
    prediction = read_prediction(scheduler)
    assert isinstance(prediction, EDMPrediction)
    x, output = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)).double()
    for sigma in (0.002, 0.5, 80.0):
        clean = prediction.clean(output, x, 1.0, sigma)
        theirs = scheduler.precondition_outputs(x, output, sigma)
        torch.testing.assert_close(clean, theirs, rtol=1e-12, atol=1e-12)
        epsilon = prediction.epsilon(output, x, 1.0, sigma)
        torch.testing.assert_close(clean + sigma * epsilon, x, rtol=1e-12, atol=1e-12)


def test_the_last_sigma_is_the_configurations() -> None:
    kept = EDMEulerScheduler(final_sigmas_type="sigma_min")
    assert read_schedule(kept).clean == (1.0, 0.002)
    assert read_schedule(EDMEulerScheduler()).clean == (1.0, 0.0)


def test_predictions_nobody_knows_are_refused() -> None:
    with pytest.raises(ModelError, match="prediction_type='x'"):
        read_prediction(DDIMScheduler(prediction_type="x"))
    with pytest.raises(ModelError, match="prediction_type='sample'"):
        read_prediction(EDMDPMSolverMultistepScheduler(prediction_type="sample"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FlowSchedule(shift=0.0), "shift of 0.0"),
        (lambda: FlowSchedule(lowest=1.5), "lowest sigma"),
        (lambda: FlowSchedule(terminal=-0.1), "terminal sigma"),
        (lambda: FlowSchedule(train_steps=0), "training time steps"),
        (lambda: FlowSchedule().coefficients(1001), "0 to 1000"),
        (lambda: FlowSchedule().coefficients(math.nan), "0 to 1000"),
        (lambda: FlowSchedule().timestep_at(0.0), "above 0"),
        (lambda: FlowSchedule().timesteps(0), "1 or more"),
        (lambda: EDMSchedule(sigma_min=2.0, sigma_max=1.0), "sigma_min < sigma_max"),
        (lambda: EDMSchedule(rho=0.0), "rho"),
        (lambda: EDMSchedule(final_sigma=1.0), "final sigma"),
        (lambda: EDMSchedule().coefficients(81.0), "0.002 to 80"),
        (lambda: EDMSchedule().timestep_at(0.001), "0.002 to 80"),
        (lambda: EDMSchedule().timesteps(0), "1 or more"),
        (lambda: EDMPrediction(sigma_data=0.0), "sigma_data"),
    ],
)
def test_schedules_refuse_what_they_do_not_have(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
