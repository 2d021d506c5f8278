"""Plots of distances between images: a heat map, and an embedding with thumbnails."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.reporting.drawing import GRID, Drawing, axes, short, to_svg
from diffusion_geodesics.reporting.pixels import check_colours, on_background, to_image

WRITTEN = 12  # most rows for which every value is written into its cell


@final
@dataclass(frozen=True, eq=False)
class HeatMap(Drawing):
    """A matrix as coloured cells; the diagonal and values that are not finite are left blank."""

    narrowest: ClassVar[int] = 420
    values: Float[Tensor, "n n"]
    names: Sequence[str]
    label: str = "distance"  # what the values are

    def __post_init__(self) -> None:
        if len(self.names) != len(self.values):
            raise ValueError(f"got {len(self.names)} names for {len(self.values)} rows")

    def svgs(self, name: str) -> tuple[str, ...]:
        count = len(self.values)
        matrix = self.values.double().cpu().numpy().copy()
        cells = np.ma.masked_invalid(np.ma.masked_array(matrix, np.eye(count, dtype=bool)))
        side = min(7.6, 3.0 + 0.32 * count)
        names = [short(n, 20) for n in self.names]
        with axes(side + 0.9, side, name) as (figure, place):
            place.grid(False)
            drawn = place.imshow(cells, cmap="viridis_r")
            upright = count > 4 or max(map(len, names)) > 8
            place.set_xticks(range(count), names, rotation=90 if upright else 0)
            place.set_yticks(range(count), names)
            place.tick_params(length=0)
            place.spines[:].set_visible(False)
            bar = figure.colorbar(drawn, ax=place, shrink=0.82, pad=0.02)
            bar.outline.set_visible(False)  # type: ignore[operator]
            bar.set_label(short(self.label))
            if count <= WRITTEN:
                middle = 0.5 * (float(cells.min()) + float(cells.max()))
                for i, j in zip(*np.nonzero(~np.ma.getmaskarray(cells)), strict=True):
                    text = f"{cells[i, j]:#.3g}".removesuffix(".")
                    colour = "#ffffff" if cells[i, j] > middle else "#000000"
                    place.text(j, i, text, ha="center", va="center", color=colour, fontsize=8)
            return (to_svg(figure, f"{self.label}, as a matrix"),)


@final
@dataclass(frozen=True, eq=False)
class Embedding(Drawing):
    """Images as thumbnails at their places in the plane, both axes to one scale."""

    narrowest: ClassVar[int] = 420
    positions: Float[Tensor, "n 2"]
    images: Sequence[Tensor] | Tensor  # of shape (3 or 4, height, width) in [0, 1], of any sizes
    labels: tuple[str, str] = ("first axis, in units of distance", "second axis")

    def __post_init__(self) -> None:
        if len(self.images) != len(self.positions):
            raise ValueError(f"got {len(self.images)} images for {len(self.positions)} positions")
        for i, image in enumerate(self.images):
            check_colours(image, f"image {i}")

    def svgs(self, name: str) -> tuple[str, ...]:
        from matplotlib.offsetbox import AnnotationBbox, OffsetImage

        spots = self.positions.double().cpu().numpy()
        span = max(float(np.ptp(spots, axis=0).max()), 1e-12)
        centre = 0.5 * (spots.max(0) + spots.min(0))
        reach = 0.5 * np.ptp(spots, axis=0) + 0.12 * span
        low, high = centre - reach, centre + reach
        height = float(np.clip(0.6 + 7.0 * reach[1] / reach[0], 2.8, 7.0))
        with axes(7.6, height, name) as (figure, place):
            place.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
            place.set(xlabel=short(self.labels[0]), ylabel=short(self.labels[1]))
            place.set_axisbelow(True)
            place.spines[:].set_visible(False)
            edge = float(np.clip(260 / len(spots) ** 0.5, 28, 72))
            for spot, image in zip(spots, self.images, strict=True):
                picture = on_background(to_image(image))
                picture.thumbnail((144, 144))
                box = OffsetImage(np.asarray(picture), zoom=edge / max(picture.size))
                frame = {"edgecolor": GRID, "linewidth": 0.8}
                place.add_artist(AnnotationBbox(box, tuple(spot), pad=0.1, bboxprops=frame))
            return (to_svg(figure, "Images in the plane, near each other where alike"),)
