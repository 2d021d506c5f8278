r"""Images carried along correspondences.

At t every pixel of the first image has gone t of its way, every one of the last has yet to go
1 - t of its own, and where several arrive, those with distinct matches win (softmax splatting):

.. math:: I_t = \frac{(1-t) \sum_i e^{k w_i}\, b(x - x_i - t d_i)\, A_i
          + t \sum_j e^{k v_j}\, b(x - x_j - (1-t) e_j)\, B_j + r\,[(1-t) A + t B]}{\text{the same
          of ones}},

with the bilinear kernel b of one pixel. A cross-fade of weight r fills what nothing arrives at.
The result is a mosaic with seams; it is meant to be noised and denoised.

References
----------
Niklaus and Liu, Softmax Splatting for Video Frame Interpolation, CVPR 2020, arXiv 2003.05534.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from diffusion_geodesics.correspondence.matching import Field, Matches, places

SHARPNESS = 12.0
"""k: how much more a distinct match weighs."""
REST = 0.3
"""r: weight of the cross-fade underneath."""


def carry(
    images: Float[Tensor, "2 channels height width"],
    matches: Matches,
    t: Float[Tensor, " frames"],
) -> Float[Tensor, "frames channels height width"]:
    """Mosaics between two images, at curve parameters in [0, 1]; the images themselves at 0 and
    1. Costs no row."""
    if bool(((t < 0) | (t > 1)).any()):
        raise ValueError(f"got t from {float(t.min()):g} to {float(t.max()):g}; expected [0, 1]")
    first, last = images
    ways = [_upright(f, images) for f in (matches.forward, matches.backward)]
    frames = []
    for at in t.tolist():
        if at in (0.0, 1.0):
            frames.append(first if at == 0 else last)
            continue
        arrived = REST * _with_ones(torch.lerp(first, last, at))
        for image, (way, weight), done, share in (
            (first, ways[0], at, 1 - at),
            (last, ways[1], 1 - at, at),
        ):
            arrived = arrived + share * _splat(_with_ones(image) * weight, done * way)
        frames.append(arrived[:-1] / arrived[-1:])
    return torch.stack(frames)


def _upright(field: Field, images: Tensor) -> tuple[Tensor, Tensor]:
    """Displacement of every pixel, in pixels, and its weight, which varies smoothly."""
    height, width = images.shape[-2:]
    way = interpolate(field.displacement.permute(2, 0, 1)[None], size=(height, width))[0]
    trust = interpolate(
        field.weight[None, None], size=(height, width), mode="bilinear", align_corners=False
    )[0]
    return (way * min(height, width) / 2).to(images), (SHARPNESS * trust).exp().to(images)


def _with_ones(image: Tensor) -> Tensor:
    return torch.cat([image, torch.ones_like(image[:1])])


def _splat(
    image: Float[Tensor, "channels height width"], way: Float[Tensor, "2 height width"]
) -> Float[Tensor, "channels height width"]:
    """The sum of all pixels where they arrive, each shared between the four around it."""
    channels, height, width = image.shape
    start = (places(height, width).to(way) * min(height, width) / 2).mT.reshape(2, height, width)
    x = start[0] + way[0] + (width - 1) / 2
    y = start[1] + way[1] + (height - 1) / 2
    total = torch.zeros(channels, height * width, dtype=image.dtype, device=image.device)
    for dx in (0, 1):
        for dy in (0, 1):
            column, row = x.floor() + dx, y.floor() + dy
            share = (1 - (x - column).abs()) * (1 - (y - row).abs())
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            cell = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).long()
            total.index_add_(1, cell.flatten(), (image * (share * inside)).flatten(1))
    return total.unflatten(1, (height, width))
