"""Interpolations by a network that the test makes itself: no file, and no model library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from diffusion_geodesics.batch.job import Device, OpenJob
from diffusion_geodesics.batch.jobs.model_job import PairJob
from diffusion_geodesics.batch.manifest import BatchPair
from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.models.function import from_denoiser
from diffusion_geodesics.models.model import DiffusionModel

SIZE = 32
SETTINGS = InterpolationSettings.of(path="slerp", frames=3, steps=3, refinements=0, film_only=True)


def denoise(x: Tensor, sigma: float) -> Tensor:
    """The mean of the data given a noised image, for data that are nearly gray."""
    smooth = torch.nn.functional.avg_pool2d(x, 3, 1, 1)
    return smooth / (1 + sigma**2)


@final
@dataclass(frozen=True)
class TinyJob(PairJob):
    """Interpolations with that network."""

    name: ClassVar[str] = "interpolate"

    def open(self, device: Device) -> OpenJob:
        torch.set_num_threads(1)
        return self.opened(from_denoiser(denoise, (3, SIZE, SIZE)))

    def result(self, model: DiffusionModel, pair: BatchPair) -> object:
        settings = InterpolationSettings.of(**self.settings.explicit())
        return interpolate(model, (pair.a, pair.b), settings)
