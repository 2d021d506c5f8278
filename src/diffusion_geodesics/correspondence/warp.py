r"""Images warped along a half-way field.

At curve parameter :math:`t`, point :math:`p` of the half-way domain lies at
:math:`x = p + (2t - 1)\, v(p)` and shows what it shows in either image:

.. math:: A_t(x) = A\big(x - 2t\, v(p)\big), \qquad B_t(x) = B\big(x + 2(1-t)\, v(p)\big).

:math:`p` is found by fixed-point iteration, :math:`p \leftarrow x - (2t - 1)\, v(p)`. Whatever it
converges to, :math:`A_0 = A` and :math:`B_1 = B`. Where one image has no value, because the point
lies outside it, the other image's value is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.correspondence.grid import cell_centres, sample


@final
@dataclass(frozen=True, eq=False)
class Matches:
    r"""Correspondences of two images, as a displacement field on the half-way domain.

    Args:
        displacement: :math:`v` in half edges, components :math:`(x, y)`: point :math:`p` of the
            half-way domain is seen at :math:`p - v(p)` in the first image and at :math:`p + v(p)`
            in the second.
    """

    displacement: Float[Tensor, "height width 2"]

    @property
    def moved(self) -> float:
        """Mean distance between corresponding points of the two images, in edges."""
        return float(self.displacement.norm(dim=-1).mean())


def warp(
    images: Float[Tensor, "2 channels height width"],
    matches: Matches,
    t: Float[Tensor, " frames"],
    *,
    iterations: int = 20,
) -> Float[Tensor, "2 frames channels height width"]:
    """Frames of both images at intermediate positions, so that corresponding points coincide. The
    first is itself at t = 0, the second at 1.

    Raises:
        ValueError: t outside [0, 1].
    """
    return warp_by(images, displacements(matches, images, t, iterations=iterations), t)


def displacements(
    matches: Matches,
    images: Float[Tensor, "2 channels height width"],
    t: Float[Tensor, " frames"],
    *,
    iterations: int = 20,
) -> Float[Tensor, "frames height width 2"]:
    """v(p) of the points p of the half-way domain that lie at the pixels of images at t.

    Raises:
        ValueError: t outside [0, 1].
    """
    if bool(((t < 0) | (t > 1)).any()):
        raise ValueError(f"got t from {float(t.min()):g} to {float(t.max()):g}; expected [0, 1]")
    field = matches.displacement.permute(2, 0, 1)[None].to(images)
    centres = cell_centres(*images.shape[-2:]).to(images)[None]
    found = [_displacement_at(field, centres, 2 * at - 1, iterations) for at in t.tolist()]
    return torch.cat(found)


def warp_by(
    images: Float[Tensor, "2 channels height width"],
    displacement: Float[Tensor, "frames height width 2"],
    t: Float[Tensor, " frames"],
) -> Float[Tensor, "2 frames channels height width"]:
    """:func:`warp`, by known :func:`displacements`."""
    centres = cell_centres(*images.shape[-2:]).to(images)[None]
    frames = []
    for at, v in zip(t.tolist(), displacement, strict=True):
        points = torch.cat([centres - 2 * at * v, centres + 2 * (1 - at) * v])
        both, inside = sample(images, points), _inside(points)[:, None]
        share = inside / (inside + (1 - inside) * inside.flip(0))
        frames.append(torch.lerp(both.flip(0), both, share))
    warped = torch.stack(frames, 1)
    warped[0, t == 0], warped[1, t == 1] = images[0], images[1]
    return warped


def _displacement_at(
    field: Float[Tensor, "1 2 _ _"],
    x: Float[Tensor, "1 height width 2"],
    factor: float,
    iterations: int,
) -> Float[Tensor, "1 height width 2"]:
    """v(p) of the point with p + factor v(p) = x."""
    v = sample(field, x).permute(0, 2, 3, 1)
    for _ in range(iterations):
        v = sample(field, x - factor * v).permute(0, 2, 3, 1)
    return v


def _inside(points: Float[Tensor, "2 height width 2"]) -> Float[Tensor, "2 height width"]:
    """1 inside the image, falling to almost 0 over one pixel outside."""
    height, width = points.shape[1:3]
    short = min(height, width)
    last = torch.tensor([(width - 1) / short, (height - 1) / short]).to(points)
    outside = (points.abs() - last).clamp_min(0).amax(-1) * short / 2
    return (1 - outside).clamp_min(1e-6)
