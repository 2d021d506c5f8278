"""Frames between two images that are made of them alone: warped, and mixed."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.correspondence.fronts import Fronts, Order
from diffusion_geodesics.correspondence.grid import cell_centres
from diffusion_geodesics.correspondence.light import cross_fade
from diffusion_geodesics.correspondence.warp import Matches, displacements, warp, warp_by

DEFAULT = Fronts()
FRAMES = 4
"""Frames that are mixed at a time, which bounds the memory."""


def morph(
    images: Float[Tensor, "2 channels height width"],
    matches: Matches,
    t: Float[Tensor, " frames"],
    fronts: Fronts = DEFAULT,
) -> Float[Tensor, "frames channels height width"]:
    """Both images warped along their correspondences, and mixed: what grows is swept by a front,
    what is lit otherwise is averaged in linear light, and all else fades.

    Args:
        images: with values in [0, 1].
        matches: of both.
        t: curve parameters, in [0, 1].
        fronts: how the order is found in which pixels change.

    Raises:
        ValueError: t outside [0, 1].
    """
    half_way = warp(images, matches, torch.tensor([0.5]).to(t))[:, 0]
    order = fronts.order(half_way[0], half_way[1])
    return torch.cat([_mixed(images, matches, order, part) for part in t.split(FRAMES)])


def _mixed(
    images: Float[Tensor, "2 channels height width"],
    matches: Matches,
    order: Order,
    t: Float[Tensor, " frames"],
) -> Float[Tensor, "frames channels height width"]:
    v = displacements(matches, images, t)
    first, last = warp_by(images, v, t)
    points = cell_centres(*images.shape[-2:]).to(v) - (2 * t.to(v) - 1)[:, None, None, None] * v
    return cross_fade(first, last, order.share(points, t))
