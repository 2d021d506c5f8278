r"""Displacements where one surface takes the place of another: those of what is around.

There is nothing there to be matched, and what the field has found moves what is beside it. So in
the regions :math:`\Omega` that fronts sweep (:mod:`~diffusion_geodesics.correspondence.fronts`),
and a margin around them, the field is continued from outside,

.. math:: \Delta v = 0 \text{ in } \Omega, \qquad \partial_n v = 0 \text{ at the image's border}.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import zoom
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import spsolve
from torch import Tensor

from diffusion_geodesics.correspondence.fronts import Fronts
from diffusion_geodesics.correspondence.regions import Mask, within
from diffusion_geodesics.correspondence.warp import Matches, warp

HALF = torch.tensor([0.5], dtype=torch.float64)


@final
@dataclass(frozen=True)
class Release:
    """Releases the field where fronts sweep.

    Args:
        fronts: how the regions are found.
        margin: of the regions, in shorter edges of the image.
    """

    fronts: Fronts = field(default_factory=Fronts)
    margin: float = 0.05

    def apply(self, matches: Matches, images: Float[Tensor, "2 channels height width"]) -> Matches:
        """The correspondences of two images with values in [0, 1], continued into the regions."""
        half_way = warp(images, matches, HALF.to(images))[:, 0]
        swept = self.fronts.order(half_way[0], half_way[1]).swept
        if not swept.any():
            return matches
        v = matches.displacement
        if swept.shape != v.shape[:2]:
            ratio = [n / m for n, m in zip(v.shape[:2], swept.shape, strict=True)]
            swept = np.asarray(zoom(swept, ratio, order=0, grid_mode=True, mode="nearest"))
        free = within(swept, self.margin * min(swept.shape))
        filled = continued(v.detach().cpu().double().numpy(), free)
        return Matches(torch.from_numpy(filled).to(v))


def continued(
    values: Float[np.ndarray, "rows columns components"], free: Mask
) -> Float[np.ndarray, "rows columns components"]:
    """Values with harmonic ones where they are free; 0 everywhere if all are."""
    if free.all():
        return np.zeros_like(values)
    count = int(free.sum())
    number = np.full(free.shape, -1)
    number[free] = np.arange(count)
    degree = np.zeros(count)
    known = np.zeros((count, values.shape[-1]))
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    for axis in (0, 1):
        below = (slice(None),) * axis + (slice(None, -1),)
        above = (slice(None),) * axis + (slice(1, None),)
        for here, there in ((below, above), (above, below)):
            ours = free[here]
            own, other, beside = number[here][ours], number[there][ours], values[there][ours]
            degree[own] += 1
            inside = other >= 0
            known[own[~inside]] += beside[~inside]
            pairs.append((own[inside], other[inside]))
    rows, columns = (np.concatenate(part) for part in zip(*pairs, strict=True))
    links = coo_array((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    found = spsolve((diags_array(degree) - links).tocsc(), known)
    filled = values.copy()
    filled[free] = found.reshape(known.shape)
    return filled
