"""The metrics that `benchmarks.distances` compares, each a function of pairs of images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.evidence.digit_data import DATA
from benchmarks.record import Data
from diffusion_geodesics import geodesic, load_model
from diffusion_geodesics.distances import Metamorphosis
from diffusion_geodesics.image_sets.settings import DistanceSettings
from diffusion_geodesics.latents.choices import solver_of
from diffusion_geodesics.latents.encode import encode, invert
from diffusion_geodesics.latents.geometry import shared_geometry
from diffusion_geodesics.latents.pictures import load_pictures
from diffusion_geodesics.manifold import Sphere
from diffusion_geodesics.measures.shift_tolerant import shift_tolerant_lpips
from diffusion_geodesics.runtime.run import Run

Between = Callable[[Tensor, Tensor], Tensor]
"""The distances of pairs of images."""


def euclid(a: Tensor, b: Tensor) -> Tensor:
    """Root mean square over pixels."""
    return (a - b).square().flatten(2).sum(1).mean(1).sqrt()


def moving(weight: float) -> Between:
    """Metamorphosis distances at a price of motion."""
    metric = Metamorphosis(motion_weight=weight)
    return lambda a, b: torch.cat(
        [metric.between(*p).value for p in zip(a.split(400), b.split(400), strict=True)]
    )


def learned(edge: int) -> Between:
    """ST-LPIPS of images brought to an edge."""
    network = shift_tolerant_lpips(DATA / "weights")

    def between(a: Tensor, b: Tensor) -> Tensor:
        a, b = (interpolate(x.expand(-1, 3, -1, -1), [edge, edge], mode="bilinear") for x in (a, b))
        return network(a, b)

    return between


def square(images: Tensor, between: Between) -> Tensor:
    """All distances."""
    i, j = torch.combinations(torch.arange(len(images))).T
    full = torch.zeros(len(images), len(images))
    full[i, j] = full[j, i] = between(images[i], images[j]).float()
    return full


def geodesics(a: Tensor, b: Tensor) -> Tensor:
    """Distances of the embedded model's density, relative to that at the first of each pair."""
    model, settings, run = load_model("embedded"), DistanceSettings(), Run()
    pictures = load_pictures(model, list(torch.cat([a, b])), settings.framing, distinct=False)
    encoded = encode(run, model, pictures, settings.prompts.prompts)
    noised, solve = invert(run, encoded, settings.inversion), settings.solve
    geometry = shared_geometry(noised, settings.metric, solve.seed)
    space = Sphere(float(noised.latents.norm(dim=1).mean()))
    ends = zip(*(space.project(noised.latents).chunk(2)[k].split(16) for k in (0, 1)), strict=True)
    how: Data = {"alpha": geometry.alpha, "manifold": space, "solver": solver_of(solve)}
    limits: Data = {"tol": solve.tol, "max_steps": solve.max_steps, "starts": 1}
    found = [geodesic(geometry.score, *pair, **how, **limits) for pair in ends]
    level = [-0.5 * geometry.alpha * x.log_density[-1] for x in found]
    return torch.cat([x.distance * unit.exp() for x, unit in zip(found, level, strict=True)])
