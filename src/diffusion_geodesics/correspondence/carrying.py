r"""Images carried along the field that meets them half-way.

At t, point p of the half-way domain is at :math:`x = p + (2t - 1)\, v(p)`, where it shows what it
shows in either image:

.. math:: A_t(x) = A\big(x - 2t\, v(p)\big), \qquad B_t(x) = B\big(x + 2(1-t)\, v(p)\big).

p is found by fixed-point iteration, :math:`p \leftarrow x - (2t - 1)\, v(p)`. Whatever it finds,
:math:`A_0 = A` and :math:`B_1 = B`. What would come from outside one image is taken from the other.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.correspondence.halfway import Matches
from diffusion_geodesics.correspondence.places import places, seen_at

ROUNDS = 20
"""Fixed-point iterations."""


def carry(
    images: Float[Tensor, "2 channels height width"],
    matches: Matches,
    t: Float[Tensor, " frames"],
) -> Float[Tensor, "2 frames channels height width"]:
    """Both images where they are in between, at curve parameters in [0, 1]: things that match are
    in the same places of both. The first is itself at 0, the last at 1. Costs no row.

    Raises:
        ValueError: t outside [0, 1].
    """
    if bool(((t < 0) | (t > 1)).any()):
        raise ValueError(f"got t from {float(t.min()):g} to {float(t.max()):g}; expected [0, 1]")
    field = matches.displacement.permute(2, 0, 1)[None].to(images)
    here = places(*images.shape[-2:]).to(images)[None]
    carried = []
    for at in t.tolist():
        way = _way(field, here, 2 * at - 1)
        where = torch.cat([here - 2 * at * way, here + 2 * (1 - at) * way])
        both, within = seen_at(images, where), _within(where)[:, None]
        share = within / (within + (1 - within) * within.flip(0))
        carried.append(torch.lerp(both.flip(0), both, share))
    found = torch.stack(carried, 1)
    found[0, t == 0], found[1, t == 1] = images[0], images[1]
    return found


def _way(field: Tensor, here: Tensor, ahead: float) -> Float[Tensor, "1 height width 2"]:
    """v of the point that is here when all have gone ``ahead`` times their v."""
    way = seen_at(field, here).permute(0, 2, 3, 1)
    for _ in range(ROUNDS):
        way = seen_at(field, here - ahead * way).permute(0, 2, 3, 1)
    return way


def _within(where: Float[Tensor, "2 height width 2"]) -> Float[Tensor, "2 height width"]:
    """1 within the image, and almost 0 from a pixel outside on."""
    height, width = where.shape[1:3]
    short = min(height, width)
    last = torch.tensor([(width - 1) / short, (height - 1) / short]).to(where)
    outside = (where.abs() - last).clamp_min(0).amax(-1) * short / 2
    return (1 - outside).clamp_min(1e-6)
