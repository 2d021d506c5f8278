"""The report of a comparison: tables, LaTeX, CSV, and strips side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

from diffusion_geodesics.comparison.result import ComparisonResult, PairResult
from diffusion_geodesics.measures import Better, Interval, Quantity
from diffusion_geodesics.reporting.blocks import (
    Block,
    Cell,
    Film,
    FilmRow,
    Section,
    Table,
    Text,
    Tone,
)
from diffusion_geodesics.reporting.jobs.common import clamped, messages
from diffusion_geodesics.reporting.report import Report, Sheet, file_name
from diffusion_geodesics.reporting.tables import interval, latex_table, number
from diffusion_geodesics.runtime.versions import versions

ARROWS = {Better.HIGHER: "↑", Better.LOWER: "↓", Better.NEITHER: ""}
SHOWN_PAIRS = 24
"""Most pairs whose strips are on the page; all of them are in the folder."""


@final
@dataclass(frozen=True)
class ScoreLine:
    """A quantity, and what every method has of it."""

    quantity: Quantity  # what it is
    # by method; wins: share of pairs won against the baseline, None where nothing ranks
    means: Sequence[Interval]
    wins: Sequence[Interval | None]

    @property
    def name(self) -> str:
        """Of the quantity, with an arrow where it ranks."""
        return f"{self.quantity.name} {ARROWS[self.quantity.better]}".strip()

    @property
    def best(self) -> set[int]:
        """The method with the best mean, if there is one alone."""
        values = [m.mean for m in self.means]
        finite = [v for v in values if math.isfinite(v)]
        better = self.quantity.better
        if better is Better.NEITHER or len(finite) < 2:
            return set()
        best = max(finite) if better is Better.HIGHER else min(finite)
        return {i for i, v in enumerate(values) if v == best} if finite.count(best) == 1 else set()


def score_lines(result: ComparisonResult) -> list[ScoreLine]:
    """The table: means and win rates, a line a quantity."""
    lines = [
        ScoreLine(
            q,
            [result.mean(m, q.name) for m in result.methods],
            [result.wins(m, q) for m in result.methods],
        )
        for q in result.measured
    ]
    named, sets = result.sets()
    none: list[Interval | None] = [None] * len(result.methods)
    for q in named:
        values = [sets[m][q.name] for m in result.methods]
        means = [Interval(v, math.nan, math.nan, len(result.pairs)) for v in values]
        lines.append(ScoreLine(q, means, none))
    return lines


def score_rows(result: ComparisonResult) -> list[list[str]]:
    """Means for the terminal, a row a quantity; the best with a star."""
    return [
        [
            line.name,
            *(number(m.mean) + ("*" if i in line.best else "") for i, m in enumerate(line.means)),
        ]
        for line in score_lines(result)
    ]


def comparison_report(result: ComparisonResult) -> Report:
    """Everything that is written about a comparison."""
    lines, pairs = score_lines(result), result.by_disagreement()
    count = f"{len(pairs)} pair{'s' if len(pairs) > 1 else ''}"
    means = _means(result, lines)
    lead = f"Frames at equal steps of {result.features}"
    if result.baseline and len(pairs) > 1:
        lead += f"; compared with {result.baseline}"
    return Report(
        title=f"{len(result.methods)} methods on {count}",
        lead=f"{lead}.",
        warnings=messages(result.warnings),
        sections=(
            Section("Means", [means, *_skipped(result)]),
            *_wins(result, lines),
            Section("What the quantities are", [_about(lines)], folded=True),
            *(_pair(pair) for pair in pairs[:SHOWN_PAIRS]),
        ),
        result=comparison_result(result, lines),
        sheets={"table.csv": table_sheet(result, lines), "pairs.csv": _pairs_sheet(result)},
        extra_files={"table.tex": latex_table(means, f"{lead}.")},
        frames={
            f"frames/{file_name(method)}/{file_name(pair.name)}": clamped(outcome.frames)
            for pair in pairs
            for method, outcome in pair.outcomes.items()
        },
        versions=versions(),
    )


def comparison_result(result: ComparisonResult, lines: Sequence[ScoreLine]) -> dict[str, object]:
    """The contents of result.json."""
    return {
        "job": "compare",
        "methods": list(result.methods),
        "baseline": result.baseline,
        "quantities": {
            line.quantity.name: {
                "better": line.quantity.better.value,
                "about": line.quantity.about,
                "means": {
                    m: {"mean": i.mean, "low": i.low, "high": i.high, "pairs": i.count}
                    for m, i in zip(result.methods, line.means, strict=True)
                },
                "wins": {
                    m: {"share": w.mean, "low": w.low, "high": w.high}
                    for m, w in zip(result.methods, line.wins, strict=True)
                    if w is not None
                },
            }
            for line in lines
        },
        "pairs": {p.name: {m: dict(o.scores) for m, o in p.outcomes.items()} for p in result.pairs},
        "notes": {
            p.name: {m: o.note for m, o in p.outcomes.items() if o.note} for p in result.pairs
        },
        "skipped": [[s.name, s.reason, s.remedy] for s in result.skipped],
        "features": result.features,
        "settings": None if result.settings is None else result.settings.as_nested(),
        "record": dict(result.record),
        "model": None if result.model is None else result.model.as_dict(),
        "seed": result.seed,
        "warnings": [warning.as_dict() for warning in result.warnings],
        "versions": versions(),
    }


def _cell(found: Interval, best: bool) -> Cell:
    text, detail = number(found.mean), interval(found.low, found.high)
    return Cell(text, detail, Tone.STRONG if best else Tone.PLAIN)


def _means(result: ComparisonResult, lines: Sequence[ScoreLine]) -> Table:
    rows: list[list[str | Cell]] = [
        [
            Cell(line.name, hint=line.quantity.about),
            *(_cell(m, i in line.best) for i, m in enumerate(line.means)),
        ]
        for line in lines
    ]
    return Table(("", *result.methods), rows)


def _wins(result: ComparisonResult, lines: Sequence[ScoreLine]) -> Iterator[Section]:
    ranked = [line for line in lines if any(w is not None for w in line.wins)]
    if not ranked or len(result.pairs) < 2:
        return
    rows: list[list[str | Cell]] = [
        [line.name, *(Cell("–") if w is None else _cell(w, False) for w in line.wins)]
        for line in ranked
    ]
    note = "Share of pairs on which a method beats the baseline; ties count half."
    table = Table(("", *result.methods), rows, note=note)
    yield Section(f"Wins against {result.baseline}", [table])


def _skipped(result: ComparisonResult) -> Iterator[Text]:
    if result.skipped:
        points = [f"{s.name}: {s.reason}. {s.remedy}." for s in result.skipped]
        yield Text(points=points, title="Not measured")


def _about(lines: Sequence[ScoreLine]) -> Table:
    rows: list[list[str | Cell]] = [
        [line.name, line.quantity.about, line.quantity.deceives or "–"] for line in lines
    ]
    return Table(("quantity", "what it is", "what it rewards wrongly"), rows, numeric=False)


def _pair(pair: PairResult) -> Section:
    rows = [FilmRow(name, clamped(o.frames)) for name, o in pair.outcomes.items()]
    blocks: list[Block] = [Film(rows)]
    notes = [f"{m}: {o.note}" for m, o in pair.outcomes.items() if o.note]
    if notes:
        blocks.append(Text(points=notes))
    return Section(pair.name, blocks, note=f"Methods differ by {pair.disagreement:.2f}.")


def table_sheet(result: ComparisonResult, lines: Sequence[ScoreLine]) -> Sheet:
    """Means and win rates, a row a method and quantity."""
    head = ("method", "quantity", "better", "mean", "low", "high", "pairs", "wins", "wins_low",
            "wins_high")  # fmt: skip
    rows: list[tuple[object, ...]] = []
    for i, method in enumerate(result.methods):
        for line in lines:
            m, w = line.means[i], line.wins[i] or Interval(math.nan, math.nan, math.nan, 0)
            better = "" if line.quantity.better is Better.NEITHER else line.quantity.better.value
            values = (m.mean, m.low, m.high, m.count, w.mean, w.low, w.high)
            rows.append((method, line.quantity.name, better, *values))
    return Sheet(head, rows)


def _pairs_sheet(result: ComparisonResult) -> Sheet:
    rows = [
        (pair.name, method, quantity, value)
        for pair in sorted(result.pairs, key=lambda p: p.name)
        for method, outcome in pair.outcomes.items()
        for quantity, value in outcome.scores.items()
        if math.isfinite(value)
    ]
    return Sheet(("pair", "method", "quantity", "value"), rows)
