"""Plots of an analysis, in the looks of the other plots: over time, and of the controls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from diffusion_geodesics.report.analysis_data import Comparison, Panel
from diffusion_geodesics.report.figure import COLOURS, GRID, INK, line_look, project_figure, to_svg

if TYPE_CHECKING:
    from matplotlib.lines import Line2D


def panels_plot(title: str, panels: Sequence[Panel]) -> str:
    """Panels side by side, as SVG.

    Arguments:
        title: of the picture; another one for every plot of a page.
        panels: one or more.

    Raises:
        ValueError: no panel.
    """
    if not panels:
        raise ValueError("got no panel to draw")
    with project_figure(title, len(panels)) as (figure, axes):
        names: list[str] = []
        for panel in panels:
            names += [t.name for t in panel.traces if t.name not in names]
        handles: dict[str, Line2D] = {}
        for place, panel in zip(axes, panels, strict=True):
            finite = [v for t in panel.traces for v in t.y if math.isfinite(v) and v > 0]
            if panel.logarithmic and finite:
                place.set_yscale("log")
                place.yaxis.set_major_formatter(_plain)
                place.yaxis.set_minor_formatter(_plain if max(finite) < 10 * min(finite) else "")
            for trace in panel.traces:
                (line,) = place.plot(
                    trace.x, trace.y, **line_look(names.index(trace.name), trace.name)
                )
                handles.setdefault(trace.name, line)
            if panel.level is not None:
                value, name = panel.level
                place.axhline(value, color=INK, linewidth=0.8, linestyle=":")
                place.annotate(
                    name,
                    (0.01, value),
                    xycoords=("axes fraction", "data"),
                    xytext=(0, 3),
                    textcoords="offset points",
                    fontsize=8,
                )
            if panel.from_zero:
                place.set_ylim(bottom=0)
            place.set_title(panel.title)
            place.set_xlabel(panel.x_label)
        if len(names) > 1:
            figure.legend(
                list(handles.values()),
                list(handles),
                loc="outside upper left",
                ncols=min(len(handles), 5),
            )
        return to_svg(figure, title)


def comparison_plot(title: str, comparisons: Sequence[Comparison]) -> str:
    """Means and intervals of the controls, one panel a quantity, as SVG.

    Raises:
        ValueError: nothing to compare.
    """
    if not comparisons:
        raise ValueError("got nothing to compare")
    with project_figure(title, len(comparisons)) as (figure, axes):
        figure.set_size_inches(7.6, 1.0 + 0.26 * max(len(c.bars) for c in comparisons))
        for number, (place, comparison) in enumerate(zip(axes, comparisons, strict=True)):
            shown = [bar for bar in comparison.bars if math.isfinite(bar.mean)]
            for row, bar in enumerate(shown):
                colour = COLOURS[0] if row == 0 else INK
                if math.isfinite(bar.low):
                    place.plot([bar.low, bar.high], [row, row], color=colour, linewidth=2.2)
                place.plot([bar.mean], [row], color=colour, marker="o", markersize=5)
            place.set_yticks(range(len(shown)), [bar.name for bar in shown] if not number else [])
            place.set_ylim(len(shown) - 0.5, -0.5)
            if comparison.logarithmic and all(bar.mean > 0 for bar in shown):
                place.set_xscale("log")
                place.xaxis.set_major_formatter(_plain)
                place.xaxis.set_minor_formatter("")
            place.set_title(comparison.title)
            place.tick_params(axis="y", length=0)
            place.grid(axis="y", color=GRID, linewidth=0.3)
        return to_svg(figure, title)


def _plain(value: float, _: object = None) -> str:
    return f"{value:g}"
