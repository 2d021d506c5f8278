"""Coordinates on images of any resolution.

The shorter edge of an image has length 2 and its centre is (0, 0). One unit is a half edge: half
the length of the shorter edge.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample


def grid_shape(height: int, width: int, cells: int) -> tuple[int, int]:
    """Rows and columns of a grid over an image."""
    share = min(cells / min(height, width), 1.0)
    return round(height * share), round(width * share)


def cell_centres(height: int, width: int) -> Float[Tensor, "height width 2"]:
    """Centres :math:`(x, y)` of the cells of a grid, in half edges."""
    short = min(height, width)
    y = (torch.arange(height) + 0.5) * 2 / short - height / short
    x = (torch.arange(width) + 0.5) * 2 / short - width / short
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)


def sample(
    images: Float[Tensor, "#batch channels rows columns"],
    points: Float[Tensor, "batch height width 2"],
) -> Float[Tensor, "batch channels height width"]:
    """Values of images at points, by bilinear interpolation."""
    height, width = images.shape[-2:]
    short = min(height, width)
    scale = torch.tensor([short / width, short / height]).to(points)
    every = images.expand(len(points), -1, -1, -1)
    return grid_sample(
        every, points * scale, mode="bilinear", padding_mode="border", align_corners=False
    )
