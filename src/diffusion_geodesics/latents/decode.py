"""Latents at a noise level as images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import Condition, sample
from diffusion_geodesics.latents.choices import sampler_of
from diffusion_geodesics.latents.encode import ModelParts
from diffusion_geodesics.latents.mixture import Mixed
from diffusion_geodesics.latents.settings import Inversion
from diffusion_geodesics.runtime.run import Run


def decode(
    run: Run,
    parts: ModelParts,
    inversion: Inversion,
    latents: Float[Tensor, "frames dim"],
    condition: Condition,
    *,
    negative: Condition | None = None,
    guidance: float | Float[Tensor, " frames"] = 1.0,
    stage: str = "decode",
    mixed: Mixed | None = None,
    keep: Callable[[Callable[[], Tensor]], Tensor] | None = None,
) -> Float[Tensor, "frames 3 height width"]:
    """Denoise latents, with the sampler that inverted the images, and decode them, in one batch.

    ``guidance``, one weight for all frames or one each, needs ``negative`` where it is not 1.
    ``mixed`` are mixtures, of which the latents are denoised only where they are improbable.
    ``keep`` is given what denoises the latents and returns the clean ones: a cache, for instance.
    Cost: one evaluation a frame and sampling step; two where the guidance is neither 0 nor 1, none
    where a mixture needs no sample.
    """
    rows = torch.arange(len(latents)) if mixed is None else mixed.needed.nonzero()[:, 0]
    weights = guidance[rows] if isinstance(guidance, Tensor) else guidance
    with run.stage(stage, total=0) as progress:

        def denoise() -> Tensor:
            found = latents.clone()
            if len(rows) > 0:
                found[rows] = sample(
                    parts.denoiser,
                    latents[rows],
                    condition.expand(len(latents)).take(rows),
                    steps=inversion.steps,
                    level=inversion.level,
                    sampler=sampler_of(inversion),
                    negative=negative,
                    guidance=weights,
                    on_step=progress,
                )
            return found if mixed is None else mixed.settled(found)

        return parts.codec.decode(denoise() if keep is None else keep(denoise))
