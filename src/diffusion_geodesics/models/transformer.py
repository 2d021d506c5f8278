"""What the adapters over transformers and their like share: sizes, memory, channels."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from diffusion_geodesics.diffusion import ChunkedBatches, FlowSchedule
from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.schedulers import read_schedule
from diffusion_geodesics.models.vae import vae_factor

__all__ = [
    "demand_channels",
    "demand_text",
    "demand_variance",
    "divided",
    "flow_schedule",
    "token_batches",
    "told",
]


def divided(pipe: Any, height: int, width: int) -> tuple[int, int, int]:
    """(channels, height, width) of the latents of images of a size that can be divided."""
    factor = vae_factor(pipe.vae)
    return (pipe.vae.config["latent_channels"], height // factor, width // factor)


def told(value: float, x: Tensor, device: torch.device) -> Tensor:
    """A number that a network is told (a time, a weight), one a row of `x`, in float32."""
    return torch.full((x.shape[0],), value, dtype=torch.float32, device=device)


def token_batches(transformer: Any, tokens: int, device: torch.device) -> ChunkedBatches:
    """Pieces by a rough count: some fifty activations of the inner width alive a token."""
    config = transformer.config
    width = config["num_attention_heads"] * config["attention_head_dim"]
    size = torch.finfo(transformer.dtype).bits // 8
    return ChunkedBatches(48 * tokens * width * size, device)


def demand_channels(pipe: Any, channels: int) -> None:
    """That transformer and autoencoder agree about the latents; `ModelError` otherwise."""
    latent = pipe.vae.config["latent_channels"]
    if channels != latent:
        raise ModelError(
            f"got a transformer for latents of {channels} channels and an autoencoder of {latent}: "
            "an inpainting, control or editing model; load one that generates whole images"
        )


def flow_schedule(pipe: Any, tokens: int) -> FlowSchedule:
    """The schedule of a pipeline of flow matching, for images of so many tokens.

    Raises `ModelError` for a scheduler of another kind.
    """
    schedule = read_schedule(pipe.scheduler, tokens)
    if not isinstance(schedule, FlowSchedule):
        raise ModelError(
            f"got a {type(pipe.scheduler).__name__}; a {type(pipe).__name__} needs a scheduler of "
            "flow matching, for example FlowMatchEulerDiscreteScheduler"
        )
    return schedule


def demand_variance(network: Any) -> None:
    """That a network gives a prediction, or that and a variance; `ModelError` otherwise."""
    taken = network.config["in_channels"]
    given = network.config["out_channels"] or taken
    if given not in (taken, 2 * taken):
        raise ModelError(
            f"got a network of {taken} channels in and {given} out; expected as many out, or "
            "twice as many with a learned variance"
        )


def demand_text(pipe: Any, names: Sequence[str]) -> None:
    """That the parts that read prompts are there; `ModelError` otherwise."""
    missing = [name for name in names if getattr(pipe, name, None) is None]
    if missing:
        raise ModelError(
            f"got a prompt for a pipeline without {', '.join(missing)}; load it with them, or "
            "make a Condition from embeddings that were kept"
        )
