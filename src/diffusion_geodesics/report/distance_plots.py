"""Plots of a distance matrix as SVG text: a heat map, and an embedding with thumbnails."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.report.figure import GRID, project_figure, to_svg
from diffusion_geodesics.report.pixels import to_image

_WRITTEN = 12
"""Most images for which every distance is written into its cell."""


def heat_map(values: Float[Tensor, "images images"], names: Sequence[str]) -> str:
    """The matrix as coloured cells, the diagonal left blank, as SVG.

    Raises:
        ValueError: not as many names as rows.
    """
    count = len(values)
    if len(names) != count:
        raise ValueError(f"got {len(names)} names for {count} images")
    cells = np.ma.masked_array(values.double().cpu().numpy().copy(), np.eye(count, dtype=bool))
    cells = np.ma.masked_invalid(cells)
    side = min(7.6, 3.0 + 0.32 * count)
    title = "Geodesic distances"
    with project_figure(title) as (figure, (axes,)):
        figure.set_size_inches(side + 0.9, side)
        axes.grid(False)
        drawn = axes.imshow(cells, cmap="viridis_r")
        axes.set_xticks(range(count), names, rotation=90 if count > 6 else 0)
        axes.set_yticks(range(count), names)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        bar = figure.colorbar(drawn, ax=axes, shrink=0.82, pad=0.02)
        bar.outline.set_visible(False)  # type: ignore[operator]
        bar.set_label("distance")
        if count <= _WRITTEN:
            middle = 0.5 * (float(cells.min()) + float(cells.max()))
            for i, j in zip(*np.nonzero(~np.ma.getmaskarray(cells)), strict=True):
                dark = cells[i, j] > middle
                text = f"{cells[i, j]:#.3g}".removesuffix(".")
                colour = "#ffffff" if dark else "#000000"
                axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=8)
        return to_svg(figure, title)


def embedding_plot(
    positions: Float[Tensor, "images 2"], images: Float[Tensor, "images 3 height width"]
) -> str:
    """Every image as a thumbnail where scaling put it, axes to one scale, as SVG."""
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    place = positions.double().cpu().numpy()
    title = "Embedding of the distances"
    with project_figure(title) as (figure, (axes,)):
        figure.set_size_inches(7.6, 6.2)
        span = max(float(np.ptp(place, axis=0).max()), 1e-12)
        centre = 0.5 * (place.max(0) + place.min(0))
        reach = 0.5 * np.ptp(place, axis=0) + 0.12 * span
        axes.set(
            xlim=(centre[0] - reach[0], centre[0] + reach[0]),
            ylim=(centre[1] - reach[1], centre[1] + reach[1]),
            aspect="equal",
            xlabel="first axis, in units of distance",
            ylabel="second axis",
        )
        axes.set_axisbelow(True)
        for spine in axes.spines.values():
            spine.set_visible(False)
        edge = float(np.clip(260 / len(place) ** 0.5, 28, 72))
        for spot, image in zip(place, images, strict=True):
            picture = to_image(image)
            picture.thumbnail((144, 144))
            zoom = edge / max(picture.size)
            box = OffsetImage(np.asarray(picture), zoom=zoom)
            axes.add_artist(
                AnnotationBbox(
                    box, tuple(spot), pad=0.1, bboxprops={"edgecolor": GRID, "linewidth": 0.8}
                )
            )
        return to_svg(figure, title)
