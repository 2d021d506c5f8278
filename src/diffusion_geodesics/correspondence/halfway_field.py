r"""The displacement field on the half-way domain, followed downhill from coarse to fine grids.

Point :math:`p` of a domain half-way between images :math:`A` and :math:`B` is seen at
:math:`p - v(p)` in :math:`A` and at :math:`p + v(p)` in :math:`B`. The field :math:`v` lowers the
mean over :math:`p` of

.. math::
    r_f(p) + w\, r_p(p) + \lambda \big( |\partial_x v|_\rho + |\partial_y v|_\rho \big)

with the residuals :math:`r_f` of features and :math:`r_p` of pixels
(:mod:`~diffusion_geodesics.correspondence.residuals`). Features decide what corresponds. Pixels,
less their local mean (and so insensitive to slow changes of the light), localise it. The
Charbonnier penalty of the derivatives allows discontinuities. Exchanging the images changes the
sign of :math:`v` and nothing else.

References:
    Liao, Lima, Nehab, Hoppe, Sander and Yu. Automating Image Morphing using Structural Similarity
    on a Halfway Domain. ACM Transactions on Graphics 33(5), 2014: the half-way domain, and the
    energy with structural similarity in the place of features.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    high_pass,
    residuals,
    resize,
)


@final
@dataclass(frozen=True)
class FieldDescent:
    r"""Gradient descent (Adam) on the energy of the half-way field, grid by grid. The weights were
    chosen on rendered portraits.

    Args:
        cells: along the shorter edge of each grid, coarse to fine. Grids are never finer than the
            pixels.
        pixel_weights: :math:`w` on each grid, relative to the feature residual. Images with fewer
            pixels, which have fewer grids, take the last ones.
        smoothness: :math:`\lambda`, relative to the feature residual.
        pixel_corner: :math:`\rho` of a difference of pixels in [0, 1].
        slope_corner: :math:`\rho` of a derivative of :math:`v`, without unit.
        slow: edge of the box whose mean is subtracted from the pixels, in shorter edges.
        steps: of gradient descent on each grid.
        rate: length of a step in cells of the grid; it falls to a tenth along a cosine.
    """

    cells: tuple[int, ...] = (16, 32, 64, 128)
    pixel_weights: tuple[float, ...] = (0.1, 0.3, 0.6, 1.0)
    smoothness: float = 0.1
    pixel_corner: float = 0.02
    slope_corner: float = 0.05
    slow: float = 1 / 8
    steps: int = 40
    rate: float = 0.15

    def __post_init__(self) -> None:
        if not self.cells or len(self.cells) != len(self.pixel_weights):
            raise ValueError(
                f"got {len(self.cells)} grids and {len(self.pixel_weights)} weights of pixels; "
                "expected at least one grid and as many weights as grids"
            )

    def shapes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Rows and columns of all grids over an image, coarse to fine."""
        return list(dict.fromkeys(grid_shape(height, width, cells) for cells in self.cells))

    def refine(
        self,
        field: Float[Tensor, "pairs 2 _ _"],
        features: Features,
        images: Float[Tensor, "pairs 2 3 height width"],
    ) -> Float[Tensor, "pairs 2 _ _"]:
        """The field on the finest grid, after ``steps`` gradients of the energy on every grid."""
        shapes = self.shapes(*images.shape[-2:])
        for shape, weight in zip(shapes, self.pixel_weights[-len(shapes) :], strict=True):
            field = interpolate(field, size=shape, mode="bilinear", align_corners=False)
            pixels = high_pass(resize(images, shape), self.slow)
            field = self._descend(field, features, pixels, weight)
        return field

    def energy(
        self, field: Field, features: Features, pixels: Pixels, weight: float
    ) -> Float[Tensor, " pairs"]:
        """The energy of every pair: the mean over all nodes."""
        of_features, of_pixels = residuals(field, features, pixels, self.pixel_corner)
        energy = of_features.mean((1, 2)) + weight * of_pixels.mean((1, 2))
        cell = 2 / min(field.shape[-2:])
        for axis in (2, 3):
            square = (field.diff(dim=axis) / cell).square().sum(1)
            energy = energy + self.smoothness * charbonnier(square, self.slope_corner).mean((1, 2))
        return energy

    def _descend(self, field: Field, features: Features, pixels: Pixels, weight: float) -> Field:
        """The field after all steps on one grid."""
        cell = 2 / min(pixels.shape[-2:])
        field = field.detach().clone().requires_grad_(True)
        adam = torch.optim.Adam([field], lr=self.rate * cell)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            adam, self.steps, eta_min=0.1 * self.rate * cell
        )
        for _ in range(self.steps):
            energy = self.energy(field, features, pixels, weight).sum()
            adam.zero_grad()
            energy.backward()
            adam.step()
            schedule.step()
        return field.detach()
