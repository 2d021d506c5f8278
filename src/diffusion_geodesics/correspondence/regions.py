"""Regions in which one surface takes the place of another: those that cannot be warped.

Such a region differs in chromaticity or by more than light does, and has an outline; it is thick
enough not to be the contour of something misplaced, and at most a third of the image: where more
than that differs, nothing is known that could spread. And what is around it is the same in both
images. Where it is not, as beside a head that turns, it is the field that is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

from diffusion_geodesics.correspondence.light import RGB, chromatic_angle
from diffusion_geodesics.srgb import to_linear

Plane = Float[np.ndarray, "rows columns"]
Mask = Bool[np.ndarray, "rows columns"]

RIM = 1.5
"""Depth in cells under which a cell of a mask is at its boundary."""


@final
@dataclass(frozen=True)
class Regions:
    r"""Finds them. Settings were chosen on rendered portraits; lengths are in shorter edges.

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
        gap: between a region and what is around it.
        around: the width of that.
        same: mean difference of what is around it, at most.
    """

    differs: float = 0.12
    chromatic: float = 0.1
    strong: float = 0.33
    opening: float = 0.024
    thick: float = 0.12
    outline: float = 0.75
    across: float = 0.032
    largest: float = 1 / 3
    gap: float = 0.024
    around: float = 0.05
    same: float = 0.03

    def differing(self, both: Float[Tensor, "2 channels rows columns"]) -> Mask:
        """Cells in which two images differ."""
        return (both[0] - both[1]).abs().amax(0).numpy() > self.differs

    def find(self, both: Float[Tensor, "2 channels rows columns"]) -> list[Mask]:
        """The regions of two images with values in [0, 1], each connected; none of images of other
        than three channels, which have no chromaticity."""
        if both.shape[1] != RGB:
            return []
        change = (both[0] - both[1]).abs().amax(0).numpy()
        lights = to_linear(both)
        angle = chromatic_angle(lights[:1], lights[1:])[0, 0].numpy()
        found = [r for r in self._thick(change) if self._another(r, change, angle)]
        return [r for r in found if self._stays(r, np.any(found, axis=0), change)]

    def _thick(self, change: Plane) -> Iterator[Mask]:
        """Connected regions that differ, thick and not too large."""
        short = min(change.shape)
        labels = np.zeros(change.shape, dtype=np.int32)
        ndimage.label(_opened(change > self.differs, round(self.opening * short)), output=labels)
        for label in range(1, labels.max() + 1):
            region = labels == label
            thick = 2 * depth(region).max() >= self.thick * short
            if thick and region.mean() <= self.largest:
                yield region

    def _stays(self, region: Mask, regions: Mask, change: Plane) -> bool:
        """Whether what is around a region, and in none, is the same."""
        gap, width = (length * min(change.shape) for length in (self.gap, self.gap + self.around))
        around = within(region, width) & ~within(regions, gap)
        return bool(around.any() and change[around].mean() <= self.same)

    def _another(self, region: Mask, change: Plane, angle: Plane) -> bool:
        """Whether a region is of another surface, and has an outline."""
        edge = region & (depth(region) < RIM)
        if not edge.any():
            return False
        span = 2 * round(self.across * min(change.shape) / 2) + 1
        jump = ndimage.maximum_filter(change, span) - ndimage.minimum_filter(change, span)
        inside = np.median(change[region])
        outlined = np.median(jump[edge]) >= self.outline * inside
        return bool(
            outlined and (np.median(angle[region]) > self.chromatic or inside > self.strong)
        )


def depth(mask: Mask) -> Plane:
    """The distance of every cell of a mask from the outside, in cells; the border of the image is
    no outside."""
    padded = np.pad(mask, 1, mode="edge")
    return np.asarray(ndimage.distance_transform_edt(padded))[1:-1, 1:-1]


def within(mask: Mask, distance: float) -> Mask:
    """The cells of a mask, and those outside within a distance in cells."""
    return np.asarray(ndimage.distance_transform_edt(~mask)) <= distance


def _opened(mask: Mask, radius: int) -> Mask:
    """What discs in a mask cover, and what of the mask is connected with it nearby."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = np.hypot(x, y) <= radius + 0.5
    padded = np.pad(mask, radius, mode="edge")
    inner = (slice(radius, -radius or None),) * 2
    core = ndimage.binary_opening(padded, disc)[inner]
    return ndimage.binary_propagation(core, mask=ndimage.binary_dilation(core, disc) & mask)
