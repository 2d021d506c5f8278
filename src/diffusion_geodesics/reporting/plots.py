"""Curves in panels, how a solver converged, and means with intervals below each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from torch import Tensor

from diffusion_geodesics.reporting import drawing
from diffusion_geodesics.reporting.drawing import COLOURS, GRID, INK, PANEL, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Values = Sequence[float] | Tensor


@final
@dataclass(frozen=True, eq=False)
class Trace:
    """One curve of a panel; values that are not finite leave gaps."""

    name: str  # for the legend. Curves of one name look alike in all panels of a plot.
    x: Values
    y: Values

    def __post_init__(self) -> None:
        for axis in ("x", "y"):
            values = getattr(self, axis)
            listed = values.tolist() if isinstance(values, Tensor) else values
            object.__setattr__(self, axis, tuple(float(v) for v in listed))
        if len(self.x) != len(self.y):
            raise ValueError(f"{self.name}: got {len(self.x)} places for {len(self.y)} values")


@final
@dataclass(frozen=True)
class Level:
    """A value that is marked by a dotted line across, and its name."""

    value: float
    name: str


@final
@dataclass(frozen=True)
class Band:
    """A range of values that is shaded, and its name."""

    low: float
    high: float
    name: str


@final
@dataclass(frozen=True)
class Mark:
    """A place on the horizontal axis that is marked by a dotted line, and its name, if any."""

    x: float
    name: str = ""


@final
@dataclass(frozen=True, eq=False)
class Panel:
    """One pair of axes."""

    title: str  # the quantity and its unit
    x_label: str
    traces: Sequence[Trace]  # its curves; at least one
    log_y: bool = False  # logarithmic; values that are not positive are left out
    levels: Sequence[Level] = ()
    bands: Sequence[Band] = ()
    marks: Sequence[Mark] = ()
    from_zero: bool = False  # let the values' axis begin at 0
    limits: tuple[float, float] | None = None  # of the horizontal axis
    counted: bool = False  # x is a number of steps: each value gets a dot

    def __post_init__(self) -> None:
        if not self.traces:
            raise ValueError(f"{self.title}: got no curve to draw")


@final
@dataclass(frozen=True, eq=False)
class LinePlot(drawing.Drawing):
    """One or several panels of curves, a picture each, with legends where a panel has several."""

    panels: Sequence[Panel]  # at least one

    def __post_init__(self) -> None:
        if not self.panels:
            raise ValueError("got no panel to draw")

    def svgs(self, name: str) -> tuple[str, ...]:
        names = list(dict.fromkeys(t.name for panel in self.panels for t in panel.traces))
        return tuple(_panel_svg(panel, names, f"{name}-{i}") for i, panel in enumerate(self.panels))


def convergence_plot(
    residual: Values,
    length: Values | None = None,
    intervals: Sequence[int] | None = None,
    tolerance: float | None = None,
) -> LinePlot:
    """How a solver went, one point an iteration."""
    steps = list(range(1, len(residual) + 1))
    marks = [
        Mark(i + 1.5, f"{before} → {after} intervals")
        for i, (before, after) in enumerate(itertools.pairwise(intervals or ()))
        if before != after
    ]
    levels = () if tolerance is None else (Level(tolerance, "tolerance"),)

    def panel(title: str, values: Values, levels: Sequence[Level] = (), log: bool = False) -> Panel:
        curve = [Trace("solver", steps, values)]
        return Panel(title, "iteration", curve, log, levels, marks=marks, counted=True)

    panels = [panel("relative residual", residual, levels, log=True)]
    return LinePlot(panels if length is None else [*panels, panel("length", length)])


def _panel_svg(panel: Panel, names: list[str], name: str) -> str:
    legend = _has_legend(panel)
    with drawing.axes(PANEL[0], PANEL[1] + (0.25 if legend else 0), name) as (figure, place):
        values = [float(y) for trace in panel.traces for y in trace.y]
        if panel.log_y and (positive := [y for y in values if 0 < y < math.inf]):
            place.set_yscale("log", nonpositive="mask")
            drawing.label_logarithmic(place.yaxis, max(positive) / min(positive))
        for trace in panel.traces:
            look = drawing.line_look(names.index(trace.name), trace.name)
            if panel.counted or len(trace.x) == 1:
                look |= {"marker": "o", "markersize": 3.5}
            place.plot(trace.x, trace.y, **look)
        _mark(place, panel)
        if panel.from_zero:
            place.set_ylim(bottom=0)
        if panel.limits:
            place.set_xlim(*panel.limits)
        if panel.counted:
            from matplotlib.ticker import MaxNLocator

            place.xaxis.set_major_locator(MaxNLocator(integer=True))
        place.set_title(short(panel.title, 60))
        place.set_xlabel(short(panel.x_label, 48))
        if legend:
            count = len(panel.traces) + len(panel.bands) + len(panel.levels)
            columns = min(count, 4 if max(len(t.name) for t in panel.traces) < 10 else 3)
            spacing = {"handlelength": 2.1, "columnspacing": 1.2}
            figure.legend(loc="outside upper left", ncols=columns, **spacing)
        return drawing.to_svg(figure, f"{panel.title} against {panel.x_label}")


def _mark(place: Axes, panel: Panel) -> None:
    for level in panel.levels:
        # A name that begins with an underscore is not in the legend.
        label = short(level.name) if _has_legend(panel) else "_"
        place.axhline(level.value, color=INK, linewidth=0.8, linestyle=":", label=label)
        if not _has_legend(panel):
            _name(place, panel, level)
    for band in panel.bands:
        label = short(band.name)
        place.axhspan(band.low, band.high, color=GRID, alpha=0.5, linewidth=0, label=label)
    for mark in panel.marks:
        place.axvline(mark.x, color=INK, linewidth=0.8, linestyle=":")
        _write(place, mark.name, (mark.x, 1), ("data", "axes fraction"), (3, -2), va="top")


def _name(place: Axes, panel: Panel, level: Level) -> None:
    """Write a level's name at the end of its line that is further from the curve."""
    right = _nearest(panel, level.value, -1) > _nearest(panel, level.value, 0)
    high = place.transLimits.transform(place.transScale.transform((1, level.value)))[1] > 0.9
    point, shift = (0.99 if right else 0.01, level.value), (0, -2 if high else 3)
    side, base = "right" if right else "left", "top" if high else "baseline"
    _write(place, level.name, point, ("axes fraction", "data"), shift, ha=side, va=base)


def _write(
    place: Axes,
    text: str,
    point: tuple[float, float],
    units: tuple[str, str],
    shift: tuple[float, float],
    **alignment: Any,
) -> None:
    """Write a text beside a point, shifted by so many points of type."""
    offset = {"xytext": shift, "textcoords": "offset points"}
    place.annotate(short(text), point, xycoords=units, fontsize=8, **offset, **alignment)


def _has_legend(panel: Panel) -> bool:
    return len(panel.traces) > 1 or bool(panel.bands)


def _nearest(panel: Panel, value: float, end: int) -> float:
    """How near curves come to a value in a quarter of the plot: the first (0) or the last (-1)."""

    def height(y: float) -> float:
        return math.log(y) if panel.log_y else y

    if panel.log_y and value <= 0:
        return math.inf
    curves = [t.y for t in panel.traces]
    quarters = [y[: len(y) // 4 + 1] if end == 0 else y[-len(y) // 4 :] for y in curves]
    values = [float(y) for quarter in quarters for y in quarter]
    found = [y for y in values if math.isfinite(y) and (y > 0 or not panel.log_y)]
    return min((abs(height(y) - height(value)) for y in found), default=math.inf)


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
