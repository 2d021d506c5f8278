"""What the report of an analysis is made from: plain, frozen data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

from diffusion_geodesics.report.data import Fact, Film, StageCost


@final
@dataclass(frozen=True)
class Trace:
    """One curve of a panel; values that are not finite leave gaps.

    Arguments:
        name: for the legend.
        x, y: as many of one as of the other.

    Raises:
        ValueError: numbers of values that differ.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise ValueError(f"{self.name}: got {len(self.x)} places for {len(self.y)} values")


@final
@dataclass(frozen=True)
class Panel:
    """One plot.

    Arguments:
        title: above it.
        x_label: below it.
        traces: its curves; at least one.
        logarithmic: the values' axis.
        level: a value to mark by a line, and its name.
        from_zero: let the values' axis begin at 0.
    """

    title: str
    x_label: str
    traces: tuple[Trace, ...]
    logarithmic: bool = False
    level: tuple[float, str] | None = None
    from_zero: bool = False


@final
@dataclass(frozen=True)
class Bar:
    """A mean with its interval; an interval that is not finite is not drawn."""

    name: str
    mean: float
    low: float
    high: float


@final
@dataclass(frozen=True)
class Comparison:
    """Means of one quantity over several kinds of curve, drawn as points with intervals."""

    title: str
    bars: tuple[Bar, ...]
    logarithmic: bool = False


@final
@dataclass(frozen=True)
class Table:
    """Text in rows and columns; the first column names the rows."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@final
@dataclass(frozen=True)
class Statement:
    """A claim, what was found, and whether the one bears out the other: True, False, or None."""

    claim: str
    found: str
    verdict: str
    holds: bool | None


@final
@dataclass(frozen=True)
class Section:
    """One clip, or part of one.

    Arguments:
        title, caption: what it is.
        warning: why its figures mean nothing; empty where they do.
        facts: the figures worth seeing first.
        plots: pairs of panels, side by side.
        films: rows of one strip.
    """

    title: str
    caption: str
    warning: str
    facts: tuple[Fact, ...]
    plots: tuple[tuple[Panel, Panel], ...]
    films: tuple[Film, ...]


@final
@dataclass(frozen=True)
class AnalysisReport:
    """Everything that is written about an analysis.

    Arguments:
        title, status: headline and first sentence.
        banner: what makes all figures doubtful, one reason a line; empty where nothing does.
        warnings: what else must be known.
        facts: the figures worth seeing first.
        statements: claims beside what was found.
        comparisons: the controls.
        units: what intervals are over.
        table: over clips.
        sections: clip by clip.
        result: contents of result.json.
        sheets: CSV files by name: a head, and rows of numbers and text.
        cost, settings, versions: as in `Run`.
    """

    title: str
    status: str
    banner: tuple[str, ...]
    warnings: tuple[str, ...]
    facts: tuple[Fact, ...]
    statements: tuple[Statement, ...]
    comparisons: tuple[Comparison, ...]
    units: str
    table: Table
    sections: tuple[Section, ...]
    result: Mapping[str, object]
    sheets: Mapping[str, tuple[tuple[str, ...], Sequence[Sequence[object]]]]
    cost: tuple[StageCost, ...] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
