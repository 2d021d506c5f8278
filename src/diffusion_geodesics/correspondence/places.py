"""Places in images, whatever their size: the shorter edge is 2, the middle is (0, 0)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample


def grid_size(height: int, width: int, cells: int) -> tuple[int, int]:
    """A grid of the shape of an image with ``cells`` along its shorter edge, or its pixels where
    these are fewer."""
    share = min(cells / min(height, width), 1.0)
    return round(height * share), round(width * share)


def places(height: int, width: int) -> Float[Tensor, "height width 2"]:
    """Centres (x, y) of the cells of a grid."""
    short = min(height, width)
    y = (torch.arange(height) + 0.5) * 2 / short - height / short
    x = (torch.arange(width) + 0.5) * 2 / short - width / short
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)


def seen_at(
    pictures: Float[Tensor, "#images channels rows columns"],
    where: Float[Tensor, "images height width 2"],
) -> Float[Tensor, "images channels height width"]:
    """Pictures at places, between pixels linearly; what lies outside is that of the edge."""
    height, width = pictures.shape[-2:]
    short = min(height, width)
    scale = torch.tensor([short / width, short / height]).to(where)
    every = pictures.expand(len(where), -1, -1, -1)
    return grid_sample(
        every, where * scale, mode="bilinear", padding_mode="border", align_corners=False
    )
