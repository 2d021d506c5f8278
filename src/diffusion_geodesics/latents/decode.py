"""Latents at a noise level as images."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import Condition, sample
from diffusion_geodesics.latents.choices import sampler_of
from diffusion_geodesics.latents.encode import ModelParts
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
    keep: Callable[[Callable[[], Tensor]], Tensor] | None = None,
) -> Float[Tensor, "frames 3 height width"]:
    """Denoise latents, with the sampler that inverted the images, and decode them, in one batch.

    ``guidance``, one weight for all frames or one each, needs ``negative`` where it is not 1.
    ``keep`` is given what denoises the latents and returns the clean ones: a cache, for instance.
    Cost: one evaluation a frame and sampling step; two where the guidance is neither 0 nor 1.
    """
    with run.stage(stage, total=0) as progress:

        def denoise() -> Tensor:
            return sample(
                parts.denoiser,
                latents,
                condition,
                steps=inversion.steps,
                level=inversion.level,
                sampler=sampler_of(inversion),
                negative=negative,
                guidance=guidance,
                on_step=progress,
            )

        return parts.codec.decode(denoise() if keep is None else keep(denoise))
