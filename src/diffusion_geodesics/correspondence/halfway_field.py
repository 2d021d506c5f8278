r"""The displacement field on the half-way domain, followed downhill from coarse to fine grids.

Point :math:`p` of a domain half-way between images :math:`A` and :math:`B` is seen at
:math:`p - v(p)` in :math:`A` and at :math:`p + v(p)` in :math:`B`. On every grid the field
:math:`v` lowers the mean over :math:`p` of

.. math::
    w_f\, r_f(p) + w\, r_p(p)
    + \sum_k \Big( \lambda\, |\partial_k v|_\rho + \mu\, |\partial_k v|^2 \Big)

with the residuals :math:`r_f` of features and :math:`r_p` of pixels
(:mod:`~diffusion_geodesics.correspondence.residuals`). Features decide what corresponds, and hold
still what moves by less than their cells: the last grids are followed by pixels alone. Pixels,
less their local mean (and so insensitive to slow changes of the light), localise it. The
Charbonnier penalty of the derivatives allows discontinuities; their square, without features,
keeps the field smooth where pixels are uniform. Exchanging the images changes the sign of
:math:`v` and nothing else.

References:
    Liao, Lima, Nehab, Hoppe, Sander and Yu. Automating Image Morphing using Structural Similarity
    on a Halfway Domain. ACM Transactions on Graphics 33(5), 2014: the half-way domain, and the
    energy with structural similarity in the place of features.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from diffusion_geodesics.correspondence.grid import grid_shape
from diffusion_geodesics.correspondence.residuals import (
    Features,
    Field,
    Pixels,
    charbonnier,
    feature_residual,
    high_pass,
    pixel_residual,
    resize,
)


@final
@dataclass(frozen=True)
class Grid:
    r"""A grid of the field, and the energy on it.

    Args:
        cells: along the shorter edge; the grid is never finer than the pixels.
        features: :math:`w_f`, weight of the feature residual; 0 for pixels alone.
        pixels: :math:`w`, weight of the pixel residual.
        smoothness: :math:`\lambda`, weight of the derivatives.
        stiffness: :math:`\mu`, weight of their squares.
    """

    cells: int
    features: float = 1.0
    pixels: float = 1.0
    smoothness: float = 0.1
    stiffness: float = 0.0


GRIDS = (
    Grid(16, pixels=0.1),
    Grid(32, pixels=0.3),
    Grid(64, pixels=0.6),
    Grid(64, features=0.0, smoothness=0.01, stiffness=0.1),
    Grid(128, features=0.0, smoothness=0.01, stiffness=0.1),
)
"""Chosen on rendered portraits."""


@final
@dataclass(frozen=True)
class FieldDescent:
    r"""Gradient descent (Adam) on the energy of the half-way field, grid by grid.

    Args:
        grids: in the order in which they are followed.
        pixel_corner: :math:`\rho` of a difference of pixels in [0, 1].
        slope_corner: :math:`\rho` of a derivative of :math:`v`, without unit.
        slow: edge of the box whose mean is subtracted from the pixels, in shorter edges.
        steps: of gradient descent on each grid.
        rate: length of a step in cells of the grid; it falls to a tenth along a cosine.
    """

    grids: tuple[Grid, ...] = GRIDS
    pixel_corner: float = 0.02
    slope_corner: float = 0.05
    slow: float = 1 / 8
    steps: int = 40
    rate: float = 0.15

    def __post_init__(self) -> None:
        if not self.grids:
            raise ValueError("got no grids; expected at least one")

    def plan(self, height: int, width: int) -> list[tuple[Grid, tuple[int, int]]]:
        """The grids over an image, with their rows and columns; of grids that the pixels make equal
        the last is kept."""
        every = [(grid, grid_shape(height, width, grid.cells)) for grid in self.grids]
        kept = [
            (grid, shape)
            for (grid, shape), (following, same) in pairwise(every)
            if shape != same or (grid.features > 0) != (following.features > 0)
        ]
        return [*kept, every[-1]]

    def refine(
        self,
        field: Float[Tensor, "pairs 2 _ _"],
        features: Features,
        images: Float[Tensor, "pairs 2 3 height width"],
    ) -> Float[Tensor, "pairs 2 _ _"]:
        """The field on the last grid, after ``steps`` gradients of the energy on every grid."""
        for grid, shape in self.plan(*images.shape[-2:]):
            field = interpolate(field, size=shape, mode="bilinear", align_corners=False)
            pixels = high_pass(resize(images, shape), self.slow)
            field = self._descend(field, features, pixels, grid)
        return field

    def energy(
        self, field: Field, features: Features, pixels: Pixels, grid: Grid
    ) -> Float[Tensor, " pairs"]:
        """The energy of every pair: the mean over all nodes."""
        energy = grid.pixels * pixel_residual(field, pixels, self.pixel_corner).mean((1, 2))
        if grid.features:
            energy = energy + grid.features * feature_residual(field, features).mean((1, 2))
        cell = 2 / min(field.shape[-2:])
        for axis in (2, 3):
            square = (field.diff(dim=axis) / cell).square().sum(1)
            slope = grid.smoothness * charbonnier(square, self.slope_corner)
            energy = energy + (slope + grid.stiffness * square).mean((1, 2))
        return energy

    def _descend(self, field: Field, features: Features, pixels: Pixels, grid: Grid) -> Field:
        """The field after all steps on one grid."""
        cell = 2 / min(pixels.shape[-2:])
        field = field.detach().clone().requires_grad_(True)
        adam = torch.optim.Adam([field], lr=self.rate * cell)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            adam, self.steps, eta_min=0.1 * self.rate * cell
        )
        for _ in range(self.steps):
            energy = self.energy(field, features, pixels, grid).sum()
            adam.zero_grad()
            energy.backward()
            adam.step()
            schedule.step()
        return field.detach()
