"""Distances of all pairs of images that need no density."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, final, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import Images
from diffusion_geodesics.distances import Metamorphosis, MetamorphosisMatrix
from diffusion_geodesics.image_sets.settings import DistanceChoice
from diffusion_geodesics.latents.reduced import reduced

HELD = 2**19
"""Numbers of the images of one batch of pairs."""


@runtime_checkable
class Matrix(Protocol):
    """Distances of all pairs; symmetric, zero on the diagonal."""

    @property
    def values(self) -> Float[Tensor, "images images"]:
        """The distances."""
        ...

    @property
    def errors(self) -> Float[Tensor, "images images"]:
        """Their error bars."""
        ...


@final
@dataclass(frozen=True, eq=False)
class ExactMatrix:
    """Distances that are known to rounding."""

    values: Float[Tensor, "images images"]

    @property
    def errors(self) -> Float[Tensor, "images images"]:
        """Zero."""
        return torch.zeros_like(self.values)


def euclidean_distances(images: Images) -> ExactMatrix:
    r""":math:`d^2 = \frac{1}{|p|} \sum_p |A(p) - B(p)|^2`, the sum over colours too; at most √3."""
    return ExactMatrix(_norms(images.flatten(2)) / images[0, 0].numel() ** 0.5)


def latent_distances(clean: Float[Tensor, "images dim"]) -> ExactMatrix:
    """Norms of the differences of clean latents."""
    return ExactMatrix(_norms(clean))


def _norms(points: Float[Tensor, "points *dims"]) -> Float[Tensor, "points points"]:
    rows = [(points - x).flatten(1).square().sum(1, dtype=torch.float64) for x in points]
    return torch.stack(rows).sqrt().cpu()


def metamorphosis_distances(
    images: Images,
    settings: DistanceChoice,
    *,
    resume: Path | None = None,
    callback: Callable[[int, int], None] | None = None,
) -> MetamorphosisMatrix:
    """Distances of reduced images whose parts may move, at most the Euclidean ones; errors are the
    difference to paths of two segments.

    Cost: no network. Some 5 ms a pair on one core at an edge of 32, and four times that for the
    errors.
    """
    small = reduced(images, settings.edge)
    batch = max(1, HELD // small[0].numel())
    metric = Metamorphosis(motion_weight=settings.motion_weight)
    found = metric.matrix(small, errors=True, batch=batch, resume=resume, callback=callback)
    parts = (found.values, found.motion, found.appearance, found.errors)
    return MetamorphosisMatrix(*(part.double().cpu() for part in parts))
