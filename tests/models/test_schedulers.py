"""What is read of schedulers' configurations, against diffusers' own schedulers."""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    CMStochasticIterativeScheduler,
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    PNDMScheduler,
)

from diffusion_geodesics.diffusion import (
    DiscreteSchedule,
    EDMPrediction,
    FlowPrediction,
    FlowSchedule,
    SamplePrediction,
    Spacing,
    VelocityPrediction,
    dynamic_mu,
)
from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.schedulers import (
    read_prediction,
    read_schedule,
    read_scheduler,
    scaled_linear_alphas,
)
from tests.tiny_pipelines import tiny_pipeline


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


def discrete(scheduler: Any) -> DiscreteSchedule:
    """The schedule of a scheduler with a table of betas."""
    schedule = read_schedule(scheduler)
    assert isinstance(schedule, DiscreteSchedule)
    return schedule


def test_a_schedule_is_the_configurations_not_the_state(tmp_path: Path) -> None:
    pipe = tiny_pipeline(tmp_path)
    before = discrete(pipe.scheduler)
    pipe.scheduler.set_timesteps(7)
    pipe.scheduler.alphas_cumprod = pipe.scheduler.alphas_cumprod * 0.5
    assert discrete(pipe.scheduler) == before
    assert before.final_alpha == before.alphas_cumprod[0]
    assert before.offset == 1


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("steps", [1, 4, 7, 50])
def test_time_steps_are_those_of_diffusers(spacing: str, steps: int) -> None:
    scheduler = DDIMScheduler(timestep_spacing=spacing, steps_offset=1)
    schedule = discrete(scheduler)
    scheduler.set_timesteps(steps)
    assert list(schedule.timesteps(steps)) == scheduler.timesteps.tolist()
    assert schedule.spacing == Spacing(spacing)


@pytest.mark.parametrize(
    "scheduler", [PNDMScheduler, EulerDiscreteScheduler, DPMSolverMultistepScheduler]
)
def test_other_schedulers_of_the_family_give_the_same_schedule(scheduler: type) -> None:
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    theirs = discrete(scheduler(**betas, prediction_type="v_prediction"))
    assert theirs.alphas_cumprod == discrete(DDIMScheduler(**betas)).alphas_cumprod
    assert isinstance(
        read_prediction(scheduler(**betas, prediction_type="v_prediction")), VelocityPrediction
    )


def test_schedulers_without_betas_are_refused() -> None:
    with pytest.raises(ModelError, match="table of betas"):
        read_schedule(CMStochasticIterativeScheduler())


def test_prediction_types_are_read_from_the_configuration() -> None:
    assert isinstance(read_prediction(DDIMScheduler(prediction_type="sample")), SamplePrediction)


# Betas

DDPM_BETAS = ("linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid", "laplace")


@pytest.mark.parametrize("name", DDPM_BETAS)
@pytest.mark.parametrize("steps", [1000, 100])
def test_every_beta_schedule_of_ddpm_is_its_own(name: str, steps: int) -> None:
    scheduler = DDPMScheduler(beta_schedule=name, num_train_timesteps=steps)
    schedule = discrete(scheduler)
    assert schedule.alphas_cumprod == tuple(scheduler.alphas_cumprod.double().tolist())
    ratios = [s / a for a, s in map(schedule.coefficients, range(steps))]
    assert ratios == sorted(set(ratios)), "noise rises at every step"
    assert schedule.coefficients(schedule.timestep_at(1.0))[0] == pytest.approx(0.5**0.5)


@pytest.mark.parametrize("name", ["sigmoid", "laplace"])
def test_such_a_schedule_is_the_configurations_not_the_state_either(name: str) -> None:
    scheduler = DDPMScheduler(beta_schedule=name)
    before = discrete(scheduler)
    scheduler.alphas_cumprod = scheduler.alphas_cumprod * 0.5
    assert discrete(scheduler) == before


def test_betas_that_no_class_knows_are_refused() -> None:
    scheduler = DDIMScheduler()
    scheduler.register_to_config(beta_schedule="sigmoid")
    with pytest.raises(ModelError, match="beta_schedule='sigmoid'.*DDIMScheduler.*no table"):
        read_schedule(scheduler)


def test_betas_beyond_one_are_refused() -> None:
    with pytest.raises(ModelError, match="betas cannot be used"):
        read_schedule(DDIMScheduler(trained_betas=[0.1, 1.5]))


def test_scaled_linear_betas_are_diffusers_to_the_bit() -> None:
    for low, high, steps in ((0.00085, 0.012, 1000), (0.0001, 0.02, 50)):
        scheduler = DDIMScheduler(
            beta_start=low, beta_end=high, num_train_timesteps=steps, beta_schedule="scaled_linear"
        )
        assert torch.equal(scaled_linear_alphas(scheduler.config), scheduler.alphas_cumprod)


ZERO_SNR = (
    DDIMScheduler(rescale_betas_zero_snr=True),
    DDPMScheduler(rescale_betas_zero_snr=True, beta_schedule="sigmoid"),
    EulerDiscreteScheduler(rescale_betas_zero_snr=True),
    DDIMScheduler(trained_betas=[0.1, 0.2, 1.0]),
)


@pytest.mark.parametrize("scheduler", ZERO_SNR, ids=lambda s: type(s).__name__)
def test_noise_prediction_up_to_pure_noise_is_refused_with_the_cause(scheduler: Any) -> None:
    assert discrete(scheduler).alphas_cumprod[-1] == 0
    with pytest.raises(ModelError, match=r"ends in pure noise .*epsilon.*v_prediction or sample"):
        read_scheduler(scheduler)
    for name, kind in (("v_prediction", VelocityPrediction), ("sample", SamplePrediction)):
        other = type(scheduler).from_config(scheduler.config, prediction_type=name)
        schedule, prediction = read_scheduler(other)
        assert isinstance(prediction, kind)
        assert isinstance(schedule, DiscreteSchedule)
        assert schedule.coefficients(len(schedule.alphas_cumprod) - 1) == (0.0, 1.0)
