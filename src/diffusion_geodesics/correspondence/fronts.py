r"""The order in which pixels change, where one surface takes the place of another.

Hair that grows has no counterpart to be warped from, and a cross-fade makes it transparent. In a
region :math:`R` where another surface is seen (:mod:`~diffusion_geodesics.correspondence.regions`)
one image shows the figure, the other the ground. At a point of the boundary of :math:`R` what an
image :math:`I` shows inside goes on outside in the measure
:math:`c_I = e^{-(\Delta I / \sigma)^2}`, with the difference :math:`\Delta I` of its values across
the boundary. The ground is the image that goes on along more of the boundary, as :math:`c_G` and
:math:`c_F` summed up say. Where it alone goes on is the outline of the figure. All else is where
the figure can come from: it goes on there, or another surface is there that may hide it. So
:math:`x` changes in the order of the distance

.. math::
    d(x) = \min_{y \in \partial R} \; |x - y|_R + \kappa\, c_G(y)\, (1 - c_F(y)),

with the length :math:`|x - y|_R` of the shortest way inside of :math:`R`, at
:math:`\tau = d / \max d` if the last image shows the figure, and :math:`1 - \tau` if the first one
does. A figure that can come from nowhere appears in its midst: the ground retreats, in the order of
its own distance. All other pixels fade.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from diffusion_geodesics.correspondence.grid import grid_shape, sample
from diffusion_geodesics.correspondence.regions import RIM, Mask, Plane, Regions, depth, within

NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Steps to half of the neighbours of a cell; the others are their reverse."""
FIRST, MOST = 0.02, 0.98
"""Quantiles of the distances in a region that stand for their minimum and maximum."""


@final
@dataclass(frozen=True, eq=False)
class Order:
    r"""When pixels of the half-way domain change.

    Args:
        planes: :math:`\tau`, and 1 where fronts sweep and 0 where pixels fade, on a grid over the
            image.
        lasting: :math:`w`, duration of the change of a pixel that a front sweeps: its share of the
            last image is :math:`s\big((t\,(1 + w) - \tau) / w\big)` with
            :math:`s(u) = 3u^2 - 2u^3`, cut off at 0 and 1.
    """

    planes: Float[Tensor, "2 rows columns"]
    lasting: float

    @property
    def swept(self) -> Mask:
        """Where fronts sweep."""
        return self.planes[1].numpy() > 0

    def share(
        self, points: Float[Tensor, "frames height width 2"], t: Float[Tensor, " frames"]
    ) -> Float[Tensor, "frames 1 height width"]:
        """The share of the last image at points of the half-way domain, at curve parameters."""
        t = t.to(points)[:, None, None]
        if not self.swept.any():
            return t.expand(points.shape[:3])[:, None]
        tau, swept = sample(self.planes[None].to(points), points).unbind(1)
        passed = ((t * (1 + self.lasting) - tau) / self.lasting).clamp(0, 1)
        front = passed**2 * (3 - 2 * passed)
        return torch.lerp(t.expand_as(front), front, swept)[:, None]


@final
@dataclass(frozen=True)
class Fronts:
    r"""Finds the order. Settings were chosen on rendered portraits; lengths are in shorter edges.

    Args:
        regions: how regions of another surface are found.
        continues: :math:`\sigma`, of values in [0, 1].
        outline: :math:`\kappa`, a length.
        band: on either side of a boundary, not looked at, since pixels there are of both surfaces.
        reach: distance across the boundary over which images are compared, at most.
        entry: :math:`\kappa c_G (1 - c_F)` where the figure can come from, at most.
        rim: how far the order is continued outside of the region, where images hardly differ.
        lasting: see :class:`Order`.
        cells: of the grid along the shorter edge, at most.
    """

    regions: Regions = field(default_factory=Regions)
    continues: float = 0.1
    outline: float = 0.47
    band: float = 0.016
    reach: float = 0.064
    entry: float = 0.1
    rim: float = 0.024
    lasting: float = 0.14
    cells: int = 128

    def order(
        self,
        first: Float[Tensor, "channels height width"],
        last: Float[Tensor, "channels height width"],
    ) -> Order:
        """The order in which pixels of the first image become those of the last; images of other
        than three channels fade everywhere. On the CPU in float32."""
        both = torch.stack([first, last]).detach().to("cpu", torch.float32).clamp(0, 1)
        height, width = both.shape[-2:]
        shape = grid_shape(height, width, self.cells)
        if shape != (height, width):
            both = adaptive_avg_pool2d(both, shape)
        tau, swept = np.full(shape, 0.5), np.zeros(shape, dtype=bool)
        alike = ~self.regions.differing(both)
        for region in self.regions.find(both):
            found = self._sweep(region, alike, both.double().numpy())
            if found is not None:
                tau[region] = found[region]
                swept |= region
        if swept.any():
            tau = _spread(tau, swept)
            swept = within(swept, self.rim * min(shape))
        return Order(torch.from_numpy(np.stack([tau, swept])).float(), self.lasting)

    def _sweep(
        self, region: Mask, alike: Mask, both: Float[np.ndarray, "2 channels rows columns"]
    ) -> Plane | None:
        """The order of the cells of a region; None where there is none."""
        short = min(region.shape)
        band, reach = self.band * short, self.reach * short
        core = region & (depth(region) > band)
        around = alike & (depth(~region) > band)
        if not core.any() or not around.any():
            return None
        inner = np.nonzero(core & (depth(core) < RIM) & within(around, reach))
        if not len(inner[0]):
            return None
        outer = tuple(place[inner] for place in _nearest(around))
        jump = np.abs(both[:, :, *inner] - both[:, :, *outer]).max(1)
        on = np.exp(-((jump / self.continues) ** 2))
        figure = int(on[1].sum() < on[0].sum())
        for shown in (figure, 1 - figure):
            start = self.outline * short * on[1 - shown] * (1 - on[shown])
            if start.min() <= self.entry * short:
                tau = _spread(_ordered(_distance(core, inner, start), core), core)
                return tau if shown == 1 else 1 - tau
        return None


def _spread(values: Plane, known: Mask) -> Plane:
    """Values of known cells, and elsewhere that of the nearest."""
    return values[tuple(_nearest(known))]


def _nearest(mask: Mask) -> Int[np.ndarray, "2 rows columns"]:
    """The row and the column of the nearest cell of a mask."""
    found = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    return np.asarray(found)


def _ordered(distance: Plane, core: Mask) -> Plane:
    """Distances as fractions of their range."""
    low, high = np.quantile(distance[core], (FIRST, MOST))
    return np.clip((distance - low) / max(high - low, 1e-9), 0, 1)


def _distance(
    core: Mask, inner: tuple[Int[np.ndarray, " rim"], ...], start: Float[np.ndarray, " rim"]
) -> Plane:
    """The least way inside of a region to every cell of it, in cells, from its rim, where ways have
    a length to start with; cells that no way leads to are as far as the furthest."""
    count = int(core.sum())
    number = np.full(core.shape, -1)
    number[core] = np.arange(count)
    starts, ends = [np.full(len(start), count)], [number[inner]]
    lengths = [1 + start]
    rows, columns = core.shape
    for down, right in NEIGHBOURS:
        here = number[: rows - down, max(0, -right) : columns - max(0, right)]
        there = number[down:, max(0, right) : columns + min(0, right)]
        ways = (here >= 0) & (there >= 0)
        starts.append(here[ways])
        ends.append(there[ways])
        lengths.append(np.full(int(ways.sum()), np.hypot(down, right)))
    where = (np.concatenate(starts), np.concatenate(ends))
    graph = coo_array((np.concatenate(lengths), where), shape=(count + 1, count + 1)).tocsr()
    found = dijkstra(graph, directed=False, indices=count)[:count]
    distance = np.full(core.shape, np.nan)
    distance[core] = np.where(np.isfinite(found), found, found[np.isfinite(found)].max())
    return distance
