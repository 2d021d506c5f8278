"""Points with intervals, one below the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from diffusion_geodesics.reporting import drawing
from diffusion_geodesics.reporting.drawing import COLOURS, GRID, INK, PANEL, short
from diffusion_geodesics.reporting.plots import Level


@final
@dataclass(frozen=True)
class Interval:
    """A mean with its interval; an interval that is not finite is not drawn."""

    name: str
    mean: float
    low: float = math.nan
    high: float = math.nan
    strong: bool = False  # drawn in colour, as what the others are held against


@final
@dataclass(frozen=True)
class IntervalPanel:
    """Means of one quantity, one below the other."""

    title: str  # the quantity and its unit
    intervals: Sequence[Interval]  # from top to bottom; those without a finite mean are left out
    log: bool = False  # logarithmic axis, where all means are positive
    level: Level | None = None


@final
@dataclass(frozen=True)
class IntervalPlot(drawing.Drawing):
    """Points with intervals, one picture a quantity."""

    panels: Sequence[IntervalPanel]  # at least one

    def __post_init__(self) -> None:
        if not self.panels:
            raise ValueError("got no panel to draw")

    def svgs(self, name: str) -> tuple[str, ...]:
        return tuple(_interval_svg(panel, f"{name}-{i}") for i, panel in enumerate(self.panels))


def _interval_svg(panel: IntervalPanel, name: str) -> str:
    found = [interval for interval in panel.intervals if math.isfinite(interval.mean)]
    with drawing.axes(PANEL[0], 0.9 + 0.27 * len(found), name) as (figure, place):
        for row, interval in enumerate(found):
            colour = COLOURS[0] if interval.strong else INK
            ends = [interval.low, interval.high]
            if all(map(math.isfinite, ends)):
                place.plot(ends, [row, row], color=colour, linewidth=2.2)
            place.plot([interval.mean], [row], color=colour, marker="o", markersize=5)
        if panel.level:
            place.axvline(panel.level.value, color=INK, linewidth=0.8, linestyle=":")
        place.set_yticks(range(len(found)), [short(i.name, 24) for i in found])
        place.set_ylim(len(found) - 0.5, -0.5)
        if panel.log and all(interval.mean > 0 for interval in found):
            place.set_xscale("log", nonpositive="mask")
            means = [interval.mean for interval in found]
            drawing.label_logarithmic(place.xaxis, max(means) / min(means))
        place.set_title(short(panel.title, 60))
        place.tick_params(axis="y", length=0)
        place.grid(axis="y", color=GRID, linewidth=0.3)
        return drawing.to_svg(figure, panel.title)
