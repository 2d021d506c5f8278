"""Clips of the Gaussian model's own kind, and a metric on a sphere that can be written down."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusion_geodesics.density import Gaussian
from diffusion_geodesics.diffusion import sample
from diffusion_geodesics.latents.encode import NoiseLevel
from diffusion_geodesics.latents.geometry import Geometry
from diffusion_geodesics.manifold import Sphere
from tests.gaussian_model import gaussian_data, gaussian_model

SPHERE = Sphere(3.0)
SPREAD = 0.4
"""Of the data: so narrow that pixels, which end at 0 and 1, hold all of it."""
DATA, MODEL = gaussian_data(spread=SPREAD), gaussian_model(spread=SPREAD)
MODEL_DIM = len(DATA.mean)


def density(dim: int = 6) -> Gaussian:
    mean = torch.zeros(dim, dtype=torch.float64)
    mean[0] = 1.5
    return Gaussian(mean, 1.0)


def geometry(alpha: float = 0.3, dim: int = 6) -> Geometry:
    score = density(dim)
    return Geometry(score, score, score, alpha, NoiseLevel(0.0, 1.0, 1.0))


def ends(dim: int = 6) -> tuple[Tensor, Tensor]:
    x = torch.randn(2, dim, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    return SPHERE.project(x[0]), SPHERE.project(x[1])


def moving(count: int, seed: int = 1, turn: float = 1.5) -> Tensor:
    """Frames (count, 3, 16, 16) that the model draws from noise that turns from one to another."""
    generator = torch.Generator().manual_seed(seed)
    first, last = torch.randn(2, MODEL_DIM, generator=generator, dtype=torch.float64)
    angle = turn * torch.linspace(0, 1, count, dtype=torch.float64)[:, None]
    noise = angle.cos() * first + angle.sin() * last
    drawn = sample(MODEL.denoiser(16, 16), noise, MODEL.encode_prompt(""), steps=20, level=1.0)
    return MODEL.codec(16, 16).decode(drawn).float()
