"""Metrics of densities that can be written down, in 24 dimensions."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusion_geodesics.density import Density, Gaussian, GaussianMixture
from diffusion_geodesics.latents.encode import NoiseLevel
from diffusion_geodesics.latents.geometry import Geometry

DIM = 24


def geometry_of(density: Density, alpha: float, sigma: float = 1.0) -> Geometry:
    """The metric of a density that stands for one noised to σ."""
    return Geometry(density, density, density, alpha, NoiseLevel(0.0, 1.0, sigma))


def gaussian(alpha: float, sigma: float = 1.0) -> Geometry:
    return geometry_of(Gaussian(torch.zeros(DIM, dtype=torch.float64), sigma), alpha, sigma)


def mixture(alpha: float) -> Geometry:
    """Two bumps, with a shared width of 1."""
    generator = torch.Generator().manual_seed(3)
    means = torch.randn(2, DIM, generator=generator, dtype=torch.float64)
    weights = torch.tensor([0.5, 0.5], dtype=torch.float64)
    return geometry_of(GaussianMixture(means, torch.ones(2).double(), weights), alpha)


def two_points(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, DIM, generator=generator, dtype=torch.float64)
    return a, 1.1 * b
