"""What a diffusers scheduler's configuration says of noise and prediction.

Only the configuration is read, never what a scheduler has been set to or stepped through since.
Options that merely place a sampler's steps elsewhere (Karras, exponential or beta sigmas of a
solver) are not followed.
"""

import math
from typing import Any

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

__all__ = ["is_edm", "is_flow", "read_prediction", "read_schedule"]

PREDICTIONS: dict[str, Prediction] = {
    "epsilon": EpsilonPrediction(),
    "v_prediction": VelocityPrediction(),
    "sample": SamplePrediction(),
}


def is_flow(scheduler: Any) -> bool:
    """Whether the scheduler is one of flow matching."""
    config = scheduler.config
    named = type(scheduler).__name__.startswith("FlowMatch")
    return named or bool(config.get("use_flow_sigmas")) or _kind(scheduler) == "flow_prediction"


def is_edm(scheduler: Any) -> bool:
    """Whether the scheduler is one of EDM, and not of consistency models, which have no score."""
    return "sigma_data" in scheduler.config and "sigma_schedule" in scheduler.config


def read_schedule(scheduler: Any, tokens: int | None = None) -> NoiseSchedule:
    """The noise schedule that a diffusers scheduler was configured with.

    - `tokens`: how many tokens the network sees of an image; needed where a flow's shift depends
      on the resolution.

    Raises `ModelError` for a configuration that says nothing of noise.
    """
    if is_flow(scheduler):
        return _flow(scheduler.config, tokens)
    if is_edm(scheduler):
        return _edm(scheduler.config)
    return _discrete(scheduler)


def read_prediction(scheduler: Any) -> Prediction:
    """What the network predicts, by the scheduler's configuration."""
    if is_flow(scheduler):
        return FlowPrediction()
    name = _kind(scheduler)
    if is_edm(scheduler) and name in ("epsilon", "v_prediction"):
        return EDMPrediction(scheduler.config["sigma_data"], 1 if name == "epsilon" else -1)
    if name not in PREDICTIONS or is_edm(scheduler):
        raise ModelError(
            f"got prediction_type={name!r} in the scheduler's configuration; expected one of "
            f"{', '.join(PREDICTIONS)}"
        )
    return PREDICTIONS[name]


def _kind(scheduler: Any) -> str:
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
    if "flow_shift" in config:  # a solver made for betas, told to follow a flow
        return FlowSchedule(config["flow_shift"], None, terminal, train)
    shift = config.get("shift", 1.0)
    return FlowSchedule(shift, shift / (train + shift - 1.0), terminal, train)


def _edm(config: Any) -> EDMSchedule:
    low = config["sigma_min"]
    return EDMSchedule(
        sigma_min=low,
        sigma_max=config["sigma_max"],
        rho=config.get("rho", 7.0),
        spacing=SigmaSpacing(config.get("sigma_schedule", "karras")),
        final_sigma=low if config.get("final_sigmas_type") == "sigma_min" else 0.0,
    )


def _discrete(scheduler: Any) -> DiscreteSchedule:
    """A fresh scheduler is built from the configuration, so that nothing set since enters."""
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    config = scheduler.config
    if "beta_start" not in config and "trained_betas" not in config:
        raise ModelError(
            f"got a {type(scheduler).__name__}; expected a scheduler with a table of betas (for "
            "example DDIMScheduler), one of flow matching, or one of EDM"
        )
    table = DDIMScheduler(**{key: config[key] for key in _BETA_KEYS if key in config})
    spacing = config.get("timestep_spacing", "leading")
    if spacing not in {kind.value for kind in Spacing}:
        raise ModelError(
            f"got timestep_spacing={spacing!r} in the scheduler's configuration; expected "
            "leading, trailing or linspace"
        )
    alphas = tuple(float(alpha) for alpha in table.alphas_cumprod.double())
    final = 1.0 if config.get("set_alpha_to_one", True) else alphas[0]
    return DiscreteSchedule(alphas, final, Spacing(spacing), int(config.get("steps_offset", 0)))


_BETA_KEYS = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "rescale_betas_zero_snr",
)
