"""What every method of a comparison works from: the same inversion, decoder and conditions."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.apps.chart import FlatChart, shell
from diffusion_geodesics.apps.job import ImageSource, Job, prepare
from diffusion_geodesics.apps.settings import Settings
from diffusion_geodesics.apps.survey import Geometry
from diffusion_geodesics.diffusion import Condition, Cost, guidance_bump, invert, sample
from diffusion_geodesics.models import DiffusionModel


@dataclass(frozen=True, eq=False)
class Stage:
    """Two images, encoded and inverted to a noise level.

    Args:
        model: that did it.
        job: images, parts of the model, conditions and settings.
        clean: latents of both images, (2, dim).
        ends: the same at the noise level, (2, dim).
        cost: of the inversion.
    """

    model: DiffusionModel
    job: Job
    clean: Float[Tensor, "2 dim"]
    ends: Float[Tensor, "2 dim"]
    cost: Cost

    @property
    def settings(self) -> Settings:
        """Every choice that was made."""
        return self.job.settings

    @property
    def images(self) -> Float[Tensor, "2 3 height width"]:
        """Both images at the working size."""
        return self.job.images

    def moved(self, **changes: Any) -> Stage:
        """The same images under other settings, inverted anew. Costs an inversion."""
        return set_stage(
            self.model, self.images[0], self.images[1], replace(self.settings, **changes)
        )

    def with_path(self, **changes: Any) -> Stage:
        """Other settings of the path alone: what was inverted stays. Costs nothing.

        Raises:
            ValueError: a change of what the inversion depends on.
        """
        inverted = {"level", "steps", "sampler", "refinements", "size", "prompt_a", "prompt_b"}
        if wrong := inverted & set(changes):
            raise ValueError(f"{', '.join(sorted(wrong))} would need another inversion; use moved")
        settings = replace(self.settings, **changes)
        negative = self.model.encode_prompt(settings.negative)
        return replace(self, job=replace(self.job, settings=settings, negative=negative))

    def geometry(self) -> Geometry:
        """The metric of the settings between both ends."""
        chart = FlatChart() if self.settings.flat else shell(*self.ends)
        return self.job.geometry(chart, self.ends.shape[1])

    def develop(
        self,
        latents: Float[Tensor, "frames dim"],
        t: Float[Tensor, " frames"],
        guidance: float = 1.0,
    ) -> tuple[Float[Tensor, "frames 3 height width"], Cost]:
        """Latents at the noise level, denoised and decoded.

        Args:
            latents: one a frame.
            t: curve parameter of each, for the prompts and the bump.
            guidance: weight in the middle of the path, 1 + (g - 1) sin(πt).

        Cost: a row a frame and step; two where the guidance is not 1.
        """
        started, settings = time.perf_counter(), self.settings
        at = t.to(latents)
        clean, cost = sample(
            self.job.denoiser,
            latents,
            self.job.curve.at(at),
            steps=settings.steps,
            level=settings.level,
            sampler=settings.sampler.sampler,
            negative=self.job.negative,
            guidance=guidance_bump(at, guidance),
        )
        frames = self.job.codec.decode(clean)
        return frames, replace(cost, seconds=time.perf_counter() - started)


def set_stage(model: DiffusionModel, a: ImageSource, b: ImageSource, settings: Settings) -> Stage:
    """Load, frame, encode and invert two images.

    Raises:
        ImageError: an image that cannot be used.
        ValueError: identical images, or a size that the model does not take.

    Cost: two rows a step up to the level, and those refined.
    """
    job = prepare(model, a, b, settings)
    clean = job.codec.encode(job.images)
    clean = clean.to(torch.float32 if clean.device.type == "mps" else torch.float64)
    ends, cost = invert(
        job.denoiser,
        clean,
        Condition.stack(job.conditions),
        steps=settings.steps,
        level=settings.level,
        sampler=settings.sampler.sampler,
        refinements=settings.refinements,
    )
    return Stage(model, job, clean, ends, cost)
