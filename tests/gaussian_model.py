"""A model of Gaussian images, whose every answer is known, and images to give it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from diffusion_geodesics.diffusion import EpsilonPrediction
from diffusion_geodesics.models import FunctionModel, from_denoiser
from tests.conformance.denoiser import ExactOutput, Gaussian, scaled_linear

SHIFT = 0.1
"""What each letter of a prompt adds to the mean of every coordinate."""


def gaussian_data(height: int = 16, width: int = 16, spread: float = 1.0) -> Gaussian:
    """Pixels about 0, with means of their own and standard deviations of 0.3 to 0.7 spreads."""
    generator = torch.Generator().manual_seed(11)
    dim = 3 * height * width
    mean = 0.2 * torch.randn(dim, generator=generator, dtype=torch.float64)
    std = spread * (0.3 + 0.4 * torch.rand(dim, generator=generator, dtype=torch.float64))
    return Gaussian(mean, std)


def gaussian_model(height: int = 16, width: int = 16, spread: float = 1.0) -> FunctionModel:
    """The perfect denoiser of `gaussian_data` on Stable Diffusion's schedule; latents are pixels.

    A prompt moves the mean by `SHIFT` a letter; the empty one leaves it.
    """
    data = gaussian_data(height, width, spread)
    exact = ExactOutput(data, scaled_linear(), EpsilonPrediction())

    def noise(x: Tensor, timestep: float, shift: Tensor) -> Tensor:
        return exact(x.double(), timestep, shift.double()).to(x)

    def embed(text: str) -> Tensor:
        return torch.full((len(data.mean),), SHIFT * len(text), dtype=torch.float64)

    return from_denoiser(
        noise,
        (3, height, width),
        schedule=scaled_linear(),
        prediction=EpsilonPrediction(),
        embed=embed,
        flat=True,
        id="gaussian",
    )


def picture(seed: int, height: int = 16, width: int = 16) -> Tensor:
    """A smooth image (3, height, width) with values in [0, 1]."""
    noise = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return interpolate(noise, size=(height, width), mode="bicubic").clamp(0, 1)[0]
