r"""The field that meets two images half-way.

Point p of a domain half-way between images A and B is seen at p - v(p) in A and at p + v(p) in B.
The field v lowers the mean over p of

.. math:: 1 - \cos\big(f_A(p-v), f_B(p+v)\big) + w\, \big|A'(p-v) - B'(p+v)\big|_\rho
          + \lambda \big( |\partial_x v|_\rho + |\partial_y v|_\rho \big),
          \qquad |u|_\rho = \sqrt{|u|^2 + \rho^2} - \rho,

with features f, which know what is shown where, images A' without what changes slowly across them,
such as light, which place it, and a smoothness that may tear. It favours neither image. A coarse
field is found among all displacements at once (`belief`), then followed downhill on finer and finer
grids.

What appears, or is lit from elsewhere, has no counterpart, and the energy finds one all the same.
So the field stays only where it explains what differs: where, about p, it takes away a share of the
difference of the pixels, light included, or brings the features closer (`EXPLAINED`, `AGREED`).

References
----------
Liao et al., Automating Image Morphing using Structural Similarity on a Halfway Domain, ACM
Transactions on Graphics 33(5), 2014: the half-way domain, and the energy with structural similarity
in the place of features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, normalize

from diffusion_geodesics.correspondence.belief import believe
from diffusion_geodesics.correspondence.places import grid_size, places, seen_at

GRIDS = (16, 32, 64, 128)
"""Cells along the shorter edge, coarse to fine; no finer than the pixels are."""
PIXELS = (0.1, 0.3, 0.6, 1.0)
"""w on each grid: the finer, the more. An image of fewer pixels has the last ones."""
SMOOTH = 0.1
"""λ"""
PIXEL_CORNER = 0.02
"""ρ of a difference of pixels, of 1."""
SLOPE_CORNER = 0.05
"""ρ of a derivative of v."""
CHANNELS = 48
"""Leading directions of the features that are kept."""
FIRST = 1.4
"""How much more a coarser grid of features weighs than the next finer one where the search begins:
fine features take one eye for the other."""
SLOW = 8
"""What changes over an eighth of the edge is slow."""
EXPLAINED = 0.25
"""Share of the difference of pixels that a displacement must take away to stay."""
AGREED = 0.08
"""Cosine of features that it may gain instead."""
SURE = 8.0
"""How sharply what falls short of both is stopped."""
DIFFERENT = 0.004
"""Difference of pixels, of 1, that needs no explanation."""
AROUND = 0.08
"""Width in edges of the box, applied twice, that all of this is averaged over."""
STEPS = 40
"""Gradient steps on each grid."""
RATE = 0.15
"""Their size, in cells; it falls to a tenth."""


@final
@dataclass(frozen=True, eq=False)
class Matches:
    """Correspondences of two images.

    Args:
        displacement: v on a grid over the half-way domain, (x, y) in half edges: what lies there is
            at p - v in the first image and at p + v in the last.
    """

    displacement: Float[Tensor, "height width 2"]

    @property
    def moved(self) -> float:
        """Mean distance between where things are in the two images, in edges."""
        return float(self.displacement.norm(dim=-1).mean())


def match(
    images: Float[Tensor, "2 3 height width"],
    grids: Sequence[Float[Tensor, "2 _ _ _"]],
) -> Matches:
    """Correspondences of two images by their features and pixels, on the CPU.

    Args:
        images: both, values in [0, 1].
        grids: of features of both, coarse to fine, at least one; see :func:`look`.

    Raises:
        ValueError: no grids.

    Cost: no row; some seconds of a core, 2 to 4 for images of 128 pixels.
    """
    if not grids:
        raise ValueError("got no grids of features; expected at least one, see look")
    with torch.inference_mode(mode=False), torch.enable_grad():
        pictures = images.detach().to("cpu", torch.float32, copy=True)
        every = [g.detach().to("cpu", torch.float32, copy=True) for g in grids]
        features = joint(every)
        height, width = pictures.shape[-2:]
        sizes = list(dict.fromkeys(grid_size(height, width, cells) for cells in GRIDS))
        field = believe(joint(every, FIRST), *sizes[0])
        for size, weight in zip(sizes, PIXELS[-len(sizes) :], strict=True):
            field = interpolate(field, size=size, mode="bilinear", align_corners=False)
            pixels = _quick(interpolate(pictures, size=size, mode="area"))
            field = _downhill(field, features, pixels, weight)
        field = _explaining(field, features, interpolate(pictures, size=sizes[-1], mode="area"))
        return Matches(field[0].permute(1, 2, 0).contiguous())


def joint(
    grids: Sequence[Float[Tensor, "2 _ _ _"]], coarser: float = 1.0
) -> Float[Tensor, "2 channels height width"]:
    """All grids on the finest, in their leading directions; each cell of the finest has length 1,
    those of every coarser one ``coarser`` times that of the next."""
    height, width = size = grids[-1].shape[-2:]
    fine = [interpolate(g, size=size, mode="bilinear", align_corners=False) for g in grids]
    every = torch.cat(
        [coarser**k * normalize(g) for k, g in zip(range(len(fine))[::-1], fine, strict=True)], 1
    )
    few = interpolate(every, size=grid_size(height, width, GRIDS[0]), mode="area")
    directions = torch.linalg.svd(few.transpose(0, 1).flatten(1), full_matrices=False).U
    return torch.einsum("ncyx,ck->nkyx", every, directions[:, :CHANNELS])


def _quick(pixels: Float[Tensor, "2 3 _ _"]) -> Float[Tensor, "2 3 _ _"]:
    """Pixels without what changes slowly."""
    wide = 2 * round(min(pixels.shape[-2:]) / SLOW / 2) + 1
    slow = avg_pool2d(pixels, wide, 1, wide // 2, count_include_pad=False)
    return pixels - slow


def _downhill(field: Tensor, features: Tensor, pixels: Tensor, weight: float) -> Tensor:
    """The field after gradient steps (Adam) on the energy of the module."""
    cell = 2 / min(pixels.shape[-2:])
    field = field.detach().clone().requires_grad_(True)
    adam = torch.optim.Adam([field], lr=RATE * cell)
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(adam, STEPS, eta_min=0.1 * RATE * cell)
    for _ in range(STEPS):
        unlike, gap = _differences(field, features, pixels)
        rough = [_soft((field.diff(dim=k) / cell).square().sum(1), SLOPE_CORNER) for k in (2, 3)]
        energy = unlike.mean() + weight * gap.mean()
        energy = energy + SMOOTH * torch.stack([r.mean() for r in rough]).sum()
        adam.zero_grad()
        energy.backward()
        adam.step()
        plan.step()
    return field.detach()


def _explaining(field: Tensor, features: Tensor, pixels: Tensor) -> Tensor:
    """The field where it explains what differs, brought to nought elsewhere."""
    wide = 2 * round(AROUND * min(pixels.shape[-2:]) / 2) + 1

    def about(values: Tensor) -> Tensor:
        for _ in range(2):
            values = avg_pool2d(values, wide, 1, wide // 2, count_include_pad=False)
        return values

    unlike, gap = map(about, _differences(field, features, pixels))
    still_unlike, still_gap = map(about, _differences(torch.zeros_like(field), features, pixels))
    explained = (still_gap - gap) / (still_gap + DIFFERENT)
    enough = torch.maximum(explained / EXPLAINED, (still_unlike - unlike) / AGREED)
    return field * torch.sigmoid(SURE * (enough - 1))


def _differences(
    field: Tensor, features: Tensor, pixels: Tensor
) -> tuple[Float[Tensor, "1 height width"], Float[Tensor, "1 height width"]]:
    """Of features and of pixels at p - v(p) and p + v(p)."""
    nodes, way = places(*pixels.shape[-2:])[None], field.permute(0, 2, 3, 1)
    where = torch.cat([nodes - way, nodes + way])
    unlike = 1 - torch.cosine_similarity(*seen_at(features, where), dim=0)
    gap = torch.sub(*seen_at(pixels, where)).square().mean(0)
    return unlike[None], _soft(gap, PIXEL_CORNER)[None]


def _soft(square: Tensor, corner: float) -> Tensor:
    return (square + corner**2).sqrt() - corner
