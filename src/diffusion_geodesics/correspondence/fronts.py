r"""The order in which pixels change, where something grows over what stays.

Hair that grows has no counterpart to be warped from, and a cross-fade makes it transparent. Let
:math:`U` be the pixels that look alike in both images. In a region where they do not, what the
last image shows spreads from where it is already seen, at the speed at which its distance

.. math::
    d_B(x) = \min_{\gamma : U \to x} \int_\gamma 1 + \lambda\, |\nabla B|\, \mathrm{d}s

is covered: :math:`x` changes at :math:`\tau = d_B / \max d_B`. Or what the first image shows
retreats in the same way, :math:`\tau = 1 - d_A / \max d_A`. Of both that is taken whose fronts,
the level lines of :math:`\tau`, are shorter altogether: :math:`\int |\nabla \tau|`, with the rank
of a pixel in place of its :math:`\tau`, so that fronts sweep equal areas in equal times.

Fronts are for regions of another surface, which differ in chromaticity or by more than light
does, and have an outline; thick enough not to be the contour of something misplaced, and at most a
third of the image: where more than that differs, nothing is known that could spread. What spreads
must go on into the region without an edge. All other pixels fade.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from diffusion_geodesics.correspondence.grid import grid_shape, sample
from diffusion_geodesics.correspondence.light import RGB, chromatic_angle, to_linear

Plane = Float[np.ndarray, "rows columns"]
Mask = Bool[np.ndarray, "rows columns"]
Image = Float[np.ndarray, "channels rows columns"]

NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Steps to half of the neighbours of a cell; the others are their reverse."""
RIM = 1.5
"""Depth in cells under which a cell of a region is at its boundary."""
FIRST, MOST = 0.03, 0.98
"""Quantiles of the distances in a region that stand for their minimum and maximum."""


@final
@dataclass(frozen=True, eq=False)
class Order:
    r"""When pixels of the half-way domain change.

    Args:
        planes: :math:`\tau`, and 1 where fronts sweep and 0 where pixels fade, on a grid over the
            image.
        softness: duration of the change of a pixel that a front sweeps.
    """

    planes: Float[Tensor, "2 rows columns"]
    softness: float

    def share(
        self, points: Float[Tensor, "frames height width 2"], t: Float[Tensor, " frames"]
    ) -> Float[Tensor, "frames 1 height width"]:
        """The share of the last image at points of the half-way domain, at curve parameters."""
        t = t.to(points)[:, None, None]
        if not bool(self.planes[1].any()):
            return t.expand(points.shape[:3])[:, None]
        tau, swept = sample(self.planes[None].to(points), points).unbind(1)
        soft = self.softness
        front = torch.sigmoid((t * (1 + 6 * soft) - 3 * soft - tau) / soft)
        return torch.lerp(t.expand_as(front), front, swept)[:, None]


@final
@dataclass(frozen=True)
class Fronts:
    r"""Finds the order. Settings were chosen on rendered portraits; lengths are in shorter edges.

    Args:
        differs: difference of values in [0, 1], in any channel, over which pixels differ.
        chromatic: angle of colours over which they are of different surfaces, in radians.
        strong: difference over which they are as well, whatever their colour.
        opening: radius of the disc that a region is opened by.
        thick: diameter of the largest disc in it, at least.
        outline: by how much the difference changes across the boundary of a region, in the middle
            of its cells, relative to the difference inside; at least.
        across: the width over which it does.
        largest: its area at most, as a share of the image.
        entry: distance from the known pixels within which some of it must lie.
        edges: :math:`\lambda`, length that a difference of 1 between neighbours adds.
        rim: how far the order is continued outside of the region, where images hardly differ.
        softness: see :class:`Order`.
        cells: of the grid along the shorter edge, at most.
    """

    differs: float = 0.12
    chromatic: float = 0.1
    strong: float = 0.33
    opening: float = 0.024
    thick: float = 0.12
    outline: float = 0.75
    across: float = 0.032
    largest: float = 1 / 3
    entry: float = 0.1
    edges: float = 0.47
    rim: float = 0.024
    softness: float = 0.02
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
        change = (both[0] - both[1]).abs().amax(0).numpy()
        differ = change > self.differs
        regions = list(self._regions(both, change)) if both.shape[1] == RGB else []
        if regions:
            edges = self.edges * min(shape)
            go, come = (_distance(image, ~differ, edges) for image in both.double().numpy())
            for region in regions:
                found = self._sweep(region, come, go)
                if found is not None:
                    tau[region] = found
                    swept |= region
        if swept.any():
            tau = tau[tuple(_nearest(swept))]
            swept = _depth(~swept) <= self.rim * min(shape)
        return Order(torch.from_numpy(np.stack([tau, swept])).float(), self.softness)

    def _regions(self, both: Float[Tensor, "2 3 rows columns"], change: Plane) -> Iterator[Mask]:
        """Connected regions of another surface, of some size."""
        short = min(change.shape)
        lights = to_linear(both)
        angle = chromatic_angle(lights[:1], lights[1:])[0, 0].numpy()
        span = 2 * round(self.across * short / 2) + 1
        jump = ndimage.maximum_filter(change, span) - ndimage.minimum_filter(change, span)
        labels = np.zeros(change.shape, dtype=np.int32)
        ndimage.label(_opened(change > self.differs, round(self.opening * short)), output=labels)
        for label in range(1, labels.max() + 1):
            region = labels == label
            depth = _depth(np.pad(region, 1, mode="edge"))[1:-1, 1:-1]
            edge = region & (depth < RIM)
            if (
                2 * depth.max() >= self.thick * short
                and edge.any()
                and np.median(jump[edge]) >= self.outline * np.median(change[region])
                and region.mean() <= self.largest
                and (
                    np.median(angle[region]) > self.chromatic
                    or np.median(change[region]) > self.strong
                )
            ):
                yield region

    def _sweep(self, region: Mask, come: Plane, go: Plane) -> Float[np.ndarray, " cells"] | None:
        """The order of the cells of a region with the shorter fronts, of those with an entry."""
        entry = self.entry * min(region.shape)
        found: list[tuple[float, Float[np.ndarray, " cells"]]] = []
        for distance, comes in ((come[region], True), (go[region], False)):
            if np.quantile(distance, FIRST) <= entry:
                tau = np.minimum(distance / np.quantile(distance, MOST), 1.0)
                length = _front_length(region, _ranks(distance))
                found.append((length, tau if comes else 1 - tau))
        return min(found, key=lambda way: way[0])[1] if found else None


def _opened(mask: Mask, radius: int) -> Mask:
    """What discs in a mask cover, and what of the mask is connected with it nearby."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = np.hypot(x, y) <= radius + 0.5
    padded = np.pad(mask, radius, mode="edge")
    inner = (slice(radius, -radius or None),) * 2
    core = ndimage.binary_opening(padded, disc)[inner]
    return ndimage.binary_propagation(core, mask=ndimage.binary_dilation(core, disc) & mask)


def _depth(mask: Mask) -> Plane:
    """The distance of every cell of a mask from the outside, in cells."""
    return np.asarray(ndimage.distance_transform_edt(mask))


def _nearest(mask: Mask) -> Int[np.ndarray, "2 rows columns"]:
    """The row and the column of the nearest cell of a mask."""
    found = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    return np.asarray(found)


def _distance(image: Image, known: Mask, edges: float) -> Plane:
    """The distance of every cell from the known ones, in cells; differences of neighbours are
    ``edges`` cells each."""
    cells = np.arange(known.size).reshape(known.shape)
    starts, ends, lengths = [], [], []
    rows, columns = known.shape
    for down, right in NEIGHBOURS:
        here = (slice(0, rows - down), slice(max(0, -right), columns - max(0, right)))
        there = (slice(down, rows), slice(max(0, right), columns + min(0, right)))
        jump = np.abs(image[:, *there] - image[:, *here]).max(0)
        starts.append(cells[here].ravel())
        ends.append(cells[there].ravel())
        lengths.append((np.hypot(down, right) + edges * jump).ravel())
    where = (np.concatenate(starts), np.concatenate(ends))
    graph = coo_array((np.concatenate(lengths), where), shape=(known.size, known.size)).tocsr()
    found = dijkstra(graph, directed=False, indices=np.flatnonzero(known), min_only=True)
    return found.reshape(known.shape)


def _ranks(values: Float[np.ndarray, " cells"]) -> Float[np.ndarray, " cells"]:
    """Ranks from the lowest value on; equal values share theirs."""
    _, place, count = np.unique(values.round(6), return_inverse=True, return_counts=True)
    return (count.cumsum() - 0.5 * count)[place]


def _front_length(region: Mask, values: Float[np.ndarray, " cells"]) -> float:
    """The total variation of values inside a region."""
    plane = np.full(region.shape, np.nan)
    plane[region] = values
    return float(sum(np.nansum(np.abs(np.diff(plane, axis=axis))) for axis in (0, 1)))
