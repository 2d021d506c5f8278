r"""What is left between two images that are displaced to the half-way domain.

For a field :math:`v`, features :math:`f_A, f_B` and pixels :math:`A', B'`, the residuals at point
:math:`p` are

.. math::
    r_f(p) = 1 - \cos\big(f_A(p - v), f_B(p + v)\big), \qquad
    r_p(p) = \big|A'(p - v) - B'(p + v)\big|_\rho,

with the Charbonnier penalty :math:`|u|_\rho = \sqrt{|u|^2 + \rho^2} - \rho`, which is quadratic
below :math:`\rho` and linear above. Squares of pixels are means over the colour channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, normalize

from diffusion_geodesics.correspondence.grid import cell_centres, grid_shape, sample

Field = Float[Tensor, "pairs 2 height width"]
"""Displacements (x, y) in half edges, one field a pair."""
Features = Float[Tensor, "pairs 2 channels rows columns"]
"""Features of both images of every pair, on one grid."""
Pixels = Float[Tensor, "pairs 2 colours height width"]
"""Both images of every pair, on the grid of a field."""
Residual = Float[Tensor, "pairs height width"]


def feature_residual(field: Field, features: Features) -> Residual:
    r""":math:`r_f` at every node of the field."""
    return 1 - torch.cosine_similarity(*_seen(features, field), dim=1)


def pixel_residual(field: Field, pixels: Pixels, corner: float) -> Residual:
    r""":math:`r_p` at every node of the field, with the corner :math:`\rho`."""
    first, second = _seen(pixels, field)
    return charbonnier((first - second).square().mean(1), corner)


def _seen(images: Float[Tensor, "pairs 2 _ _ _"], field: Field) -> tuple[Tensor, Tensor]:
    """What every node of the field sees in the first and in the second image."""
    nodes, way = cell_centres(*field.shape[-2:]), field.permute(0, 2, 3, 1)
    points = torch.stack([nodes - way, nodes + way], 1).flatten(0, 1)
    first, second = sample(images.flatten(0, 1), points).unflatten(0, (-1, 2)).unbind(1)
    return first, second


def charbonnier(square: Tensor, corner: float) -> Tensor:
    r""":math:`|u|_\rho = \sqrt{|u|^2 + \rho^2} - \rho` of the square :math:`|u|^2`."""
    return (square + corner**2).sqrt() - corner


def resize(
    images: Float[Tensor, "pairs 2 colours _ _"], shape: tuple[int, int]
) -> Float[Tensor, "pairs 2 colours _ _"]:
    """Images on a coarser grid, each cell the mean of the pixels in it."""
    return interpolate(images.flatten(0, 1), size=shape, mode="area").unflatten(0, (-1, 2))


def high_pass(
    pixels: Float[Tensor, "pairs 2 colours _ _"], fraction: float
) -> Float[Tensor, "pairs 2 colours _ _"]:
    """Images less their local mean, which removes slow changes such as those of the light."""
    return pixels - box_mean(pixels.flatten(0, 1), fraction).unflatten(0, (-1, 2))


def box_mean(
    values: Float[Tensor, "images channels height width"], fraction: float
) -> Float[Tensor, "images channels height width"]:
    """Mean over a square box about every pixel; cells outside the image are not counted."""
    wide = 2 * round(min(values.shape[-2:]) * fraction / 2) + 1
    return avg_pool2d(values, wide, 1, wide // 2, count_include_pad=False)


def join_features(
    grids: Sequence[Float[Tensor, "2 _ _ _"]],
    *,
    channels: int,
    cells: int,
    coarse_weight: float = 1.0,
) -> Float[Tensor, "2 kept height width"]:
    """All grids of features of one pair on the finest grid, in their leading directions."""
    height, width = size = grids[-1].shape[-2:]
    upsampled = [interpolate(g, size=size, mode="bilinear", align_corners=False) for g in grids]
    powers = range(len(grids))[::-1]
    scaled = [coarse_weight**k * normalize(g) for k, g in zip(powers, upsampled, strict=True)]
    every = torch.cat(scaled, 1)
    few = interpolate(every, size=grid_shape(height, width, cells), mode="area")
    directions = torch.linalg.svd(few.transpose(0, 1).flatten(1), full_matrices=False).U
    return torch.einsum("ncyx,ck->nkyx", every, directions[:, :channels])
