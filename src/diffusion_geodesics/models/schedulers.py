r"""What a diffusers scheduler's configuration says about noise and prediction.

Only the configuration is read, never what a scheduler has been set to or stepped through since.
Options that merely place a sampler's steps elsewhere (Karras, exponential or beta sigmas of a
solver) are not followed.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch

from diffusion_geodesics.diffusion import (
    DiscreteSchedule,
    EDMPrediction,
    EDMSchedule,
    EpsilonPrediction,
    FlowPrediction,
    FlowSchedule,
    NoiseSchedule,
    Prediction,
    SamplePrediction,
    SigmaSpacing,
    Spacing,
    VelocityPrediction,
    dynamic_mu,
)
from diffusion_geodesics.models.errors import ModelError

PREDICTIONS: dict[str, Prediction] = {
    "epsilon": EpsilonPrediction(),
    "v_prediction": VelocityPrediction(),
    "sample": SamplePrediction(),
}


def read_scheduler(scheduler: Any, tokens: int | None = None) -> tuple[NoiseSchedule, Prediction]:
    """The noise schedule and what the network predicts, by a scheduler's configuration.

    ``tokens`` is how many tokens the network sees of an image; needed where a flow's shift depends
    on the resolution. `ModelError` for a configuration that says nothing about noise or about the
    prediction, and for noise prediction on a schedule that ends in pure noise (zero terminal SNR):
    at :math:`a = 0` the point is the noise, and what the network predicts says nothing.
    """
    schedule, prediction = read_schedule(scheduler, tokens), read_prediction(scheduler)
    ends_in_noise = isinstance(schedule, DiscreteSchedule) and schedule.alphas_cumprod[-1] <= 0
    if ends_in_noise and isinstance(prediction, EpsilonPrediction):
        raise ModelError(
            "got a schedule that ends in pure noise (zero terminal SNR) for a network that "
            "predicts noise (epsilon): at the last time step that prediction says nothing about "
            "the image; correct prediction_type (v_prediction or sample) or "
            "rescale_betas_zero_snr in the scheduler's configuration"
        )
    return schedule, prediction


def read_schedule(scheduler: Any, tokens: int | None = None) -> NoiseSchedule:
    """The noise schedule alone; arguments and errors as `read_scheduler`."""
    config = scheduler.config
    if _is_flow(scheduler):
        return _flow(config, tokens)
    if _is_edm(scheduler):
        low = config["sigma_min"]
        return EDMSchedule(
            sigma_min=low,
            sigma_max=config["sigma_max"],
            rho=config.get("rho", 7.0),
            spacing=SigmaSpacing(config.get("sigma_schedule", "karras")),
            final_sigma=low if config.get("final_sigmas_type") == "sigma_min" else 0.0,
        )
    if "beta_start" not in config and "trained_betas" not in config:
        raise ModelError(
            f"got a {type(scheduler).__name__}; expected a scheduler with a table of betas (for "
            "example DDIMScheduler), one of flow matching, or one of EDM"
        )
    return discrete_schedule(config, _alphas_cumprod(scheduler))


def read_prediction(scheduler: Any) -> Prediction:
    """What the network predicts, alone; arguments and errors as `read_scheduler`."""
    if _is_flow(scheduler):
        return FlowPrediction()
    name = _prediction_type(scheduler)
    if _is_edm(scheduler) and name in ("epsilon", "v_prediction"):
        return EDMPrediction(scheduler.config["sigma_data"], 1 if name == "epsilon" else -1)
    if name not in PREDICTIONS or _is_edm(scheduler):
        raise ModelError(
            f"got prediction_type={name!r} in the scheduler's configuration; expected one of "
            f"{', '.join(PREDICTIONS)}"
        )
    return PREDICTIONS[name]


def discrete_schedule(config: Mapping[str, Any], alphas_cumprod: torch.Tensor) -> DiscreteSchedule:
    """The schedule of a table, with the spacing and the clean end of a configuration; `ModelError`
    for a spacing of time steps that is not known, or a table outside [0, 1]."""
    spacing = config.get("timestep_spacing", "leading")
    if spacing not in {kind.value for kind in Spacing}:
        raise ModelError(
            f"got timestep_spacing={spacing!r} in the scheduler's configuration; expected "
            "leading, trailing or linspace"
        )
    alphas = tuple(float(alpha) for alpha in alphas_cumprod.double())
    final = 1.0 if config.get("set_alpha_to_one", True) else alphas[0]
    try:
        return DiscreteSchedule(alphas, final, Spacing(spacing), int(config.get("steps_offset", 0)))
    except ValueError as error:
        raise ModelError(f"the scheduler's betas cannot be used: {error}") from error


def scaled_linear_alphas(config: Mapping[str, Any]) -> torch.Tensor:
    r"""Stable Diffusion's table :math:`\bar\alpha_t = \prod_{s \le t} (1 - \beta_s)`, in float32,
    where the square roots of the betas rise linearly."""
    low, high = config["beta_start"] ** 0.5, config["beta_end"] ** 0.5
    roots = torch.linspace(low, high, config["num_train_timesteps"], dtype=torch.float32)
    return torch.cumprod(1.0 - roots**2, dim=0)


def _is_flow(scheduler: Any) -> bool:
    """Whether the scheduler is one of flow matching."""
    named = type(scheduler).__name__.startswith("FlowMatch")
    flow = bool(scheduler.config.get("use_flow_sigmas"))
    return named or flow or _prediction_type(scheduler) == "flow_prediction"


def _is_edm(scheduler: Any) -> bool:
    """Whether the scheduler is one of EDM, and not of consistency models, which have no score."""
    return "sigma_data" in scheduler.config and "sigma_schedule" in scheduler.config


def _prediction_type(scheduler: Any) -> str:
    return scheduler.config.get("prediction_type", "epsilon")


def _flow(config: Any, tokens: int | None) -> FlowSchedule:
    if config.get("invert_sigmas"):
        raise ModelError("got a flow scheduler with invert_sigmas, which is not supported")
    train = config["num_train_timesteps"]
    terminal = config.get("shift_terminal") or None
    if config.get("use_dynamic_shifting"):
        if tokens is None:
            raise ModelError(
                "got a scheduler whose shift depends on the resolution, for a network without "
                "tokens; set use_dynamic_shifting=False"
            )
        mu = dynamic_mu(
            tokens,
            base_tokens=config.get("base_image_seq_len", 256),
            max_tokens=config.get("max_image_seq_len", 4096),
            base_shift=config.get("base_shift", 0.5),
            max_shift=config.get("max_shift", 1.15),
        )
        shift = mu if config.get("time_shift_type") == "linear" else math.exp(mu)
        return FlowSchedule(shift, 1.0 / train, terminal, train)
    if "flow_shift" in config:  # a solver made for betas that follows a flow
        return FlowSchedule(config["flow_shift"], None, terminal, train)
    shift = config.get("shift", 1.0)
    return FlowSchedule(shift, shift / (train + shift - 1.0), terminal, train)


def _alphas_cumprod(scheduler: Any) -> torch.Tensor:
    """The table of a fresh scheduler of the same configuration, so that nothing set since enters.

    DDIM's, whose last entry is exactly zero where the terminal SNR is (Euler's is not); for
    betas that DDIM does not know (sigmoid, Laplace), that of the scheduler's own class.
    """
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    config = scheduler.config
    given = {key: config[key] for key in _BETA_KEYS if key in config}
    try:
        return DDIMScheduler(**given).alphas_cumprod
    except NotImplementedError:
        pass
    try:
        return type(scheduler)(**given).alphas_cumprod
    except (AttributeError, NotImplementedError) as error:
        raise ModelError(
            f"got beta_schedule={config.get('beta_schedule')!r} in the configuration of a "
            f"{type(scheduler).__name__}, which has no table for it; expected linear, "
            "scaled_linear, squaredcos_cap_v2 or one that the scheduler's class knows"
        ) from error


_BETA_KEYS = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "rescale_betas_zero_snr",
)
