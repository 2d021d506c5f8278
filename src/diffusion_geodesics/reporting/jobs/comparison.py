"""The report of a comparison: tables, LaTeX, CSV, and strips side by side."""

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
from diffusion_geodesics.reporting.jobs.common import clamped
from diffusion_geodesics.reporting.report import Report, Sheet, file_name
from diffusion_geodesics.reporting.tables import interval, latex_table, number
from diffusion_geodesics.runtime.versions import versions

ARROWS = {Better.HIGHER: "↑", Better.LOWER: "↓", Better.NEITHER: ""}
SHOWN_PAIRS = 24  # most pairs whose strips are on the page; all of them are in the folder


@final
@dataclass(frozen=True)
class ScoreLine:
    """A quantity, and what every method has of it."""

    quantity: Quantity
    means: Sequence[Interval]  # by method
    wins: Sequence[Interval | None]  # share of pairs won against the baseline; None: not ranked

    @property
    def name(self) -> str:
        """Of the quantity, with an arrow where it ranks."""
        return f"{self.quantity.name} {ARROWS[self.quantity.better]}".strip()

    @property
    def best(self) -> set[int]:
        """The method with the best mean, if there is one alone."""
        finite = [m.mean for m in self.means if math.isfinite(m.mean)]
        if self.quantity.better is Better.NEITHER or len(finite) < 2:
            return set()
        best = max(finite) if self.quantity.better is Better.HIGHER else min(finite)
        found = {i for i, m in enumerate(self.means) if m.mean == best}
        return found if len(found) == 1 else set()


def score_lines(result: ComparisonResult) -> list[ScoreLine]:
    """The table: means and win rates, a line a quantity."""
    methods, lines = result.methods, []
    for q in result.measured:
        means = [result.mean(m, q.name) for m in methods]
        lines.append(ScoreLine(q, means, [result.wins(m, q) for m in methods]))
    named, sets = result.sets()
    for q in named:
        values = [sets[m][q.name] for m in methods]
        means = [Interval(v, math.nan, math.nan, len(result.pairs)) for v in values]
        lines.append(ScoreLine(q, means, [None] * len(methods)))
    return lines


def score_rows(result: ComparisonResult) -> list[list[str]]:
    """Means for the terminal, a row a quantity; the best with a star."""
    rows = []
    for line in score_lines(result):
        stars = ["*" if i in line.best else "" for i in range(len(line.means))]
        found = zip(line.means, stars, strict=True)
        rows.append([line.name, *(number(mean.mean) + star for mean, star in found)])
    return rows


def comparison_report(result: ComparisonResult) -> Report:
    """Everything that is written about a comparison."""
    lines, pairs = score_lines(result), result.by_disagreement()
    means = _means(result, lines)
    skipped = [f"{s.name}: {s.reason}. {s.remedy}." for s in result.skipped]
    missing = [Text(points=skipped, title="Not measured")] if skipped else []
    against = f"; compared with {result.baseline}" if result.baseline and len(pairs) > 1 else ""
    lead = f"Frames at equal steps of {result.features}{against}."
    frames = {
        f"frames/{file_name(method)}/{file_name(pair.name)}": clamped(outcome.frames)
        for pair in pairs
        for method, outcome in pair.outcomes.items()
    }
    return Report(
        title=f"{len(result.methods)} methods on {len(pairs)} pair{'s' * (len(pairs) > 1)}",
        lead=lead,
        warnings=[str(warning) for warning in result.warnings],
        sections=(
            Section("Means", [means, *missing]),
            *_wins(result, lines),
            Section("What the quantities are", [_about(lines)], folded=True),
            *(_pair(pair) for pair in pairs[:SHOWN_PAIRS]),
        ),
        result=_record(result, lines),
        sheets={"table.csv": table_sheet(result, lines), "pairs.csv": _pairs_sheet(result)},
        extra_files={"table.tex": latex_table(means, lead)},
        frames=frames,
        versions=versions(),
    )


def _record(result: ComparisonResult, lines: Sequence[ScoreLine]) -> dict[str, object]:
    """The contents of result.json."""
    quantities, notes = {}, {}
    for line in lines:
        means = dict(zip(result.methods, line.means, strict=True))
        wins = dict(zip(result.methods, line.wins, strict=True))
        quantities[line.quantity.name] = {
            "better": line.quantity.better.value,
            "about": line.quantity.about,
            "means": {
                m: {"mean": i.mean, "low": i.low, "high": i.high, "pairs": i.count}
                for m, i in means.items()
            },
            "wins": {
                m: {"share": w.mean, "low": w.low, "high": w.high} for m, w in wins.items() if w
            },
        }
    for pair in result.pairs:
        notes[pair.name] = {m: o.note for m, o in pair.outcomes.items() if o.note}
    return {
        "job": "compare",
        "methods": list(result.methods),
        "baseline": result.baseline,
        "quantities": quantities,
        "pairs": {p.name: {m: dict(o.scores) for m, o in p.outcomes.items()} for p in result.pairs},
        "notes": notes,
        "skipped": [[s.name, s.reason, s.remedy] for s in result.skipped],
        "features": result.features,
        "settings": result.settings and result.settings.as_nested(),
        "record": dict(result.record),
        "model": result.model and result.model.as_dict(),
        "seed": result.seed,
        "warnings": [warning.as_dict() for warning in result.warnings],
        "versions": versions(),
    }


def _cell(found: Interval | None, best: bool = False) -> Cell:
    if found is None:
        return Cell("–")
    text, detail = number(found.mean), interval(found.low, found.high)
    return Cell(text, detail, Tone.STRONG if best else Tone.PLAIN)


def _means(result: ComparisonResult, lines: Sequence[ScoreLine]) -> Table:
    rows: list[list[str | Cell]] = []
    for line in lines:
        cells = [_cell(mean, i in line.best) for i, mean in enumerate(line.means)]
        rows.append([Cell(line.name, hint=line.quantity.about), *cells])
    return Table(("", *result.methods), rows)


def _wins(result: ComparisonResult, lines: Sequence[ScoreLine]) -> Iterator[Section]:
    ranked = [line for line in lines if any(line.wins)]
    if ranked and len(result.pairs) > 1:
        rows = [(line.name, *map(_cell, line.wins)) for line in ranked]
        note = "Share of pairs on which a method beats the baseline; ties count half."
        table = Table(("", *result.methods), rows, note=note)
        yield Section(f"Wins against {result.baseline}", [table])


def _about(lines: Sequence[ScoreLine]) -> Table:
    rows = [(line.name, line.quantity.about, line.quantity.deceives or "–") for line in lines]
    return Table(("quantity", "what it is", "what it rewards wrongly"), rows, numeric=False)


def _pair(pair: PairResult) -> Section:
    rows = [FilmRow(name, clamped(o.frames)) for name, o in pair.outcomes.items()]
    notes = [f"{m}: {o.note}" for m, o in pair.outcomes.items() if o.note]
    blocks: list[Block] = [Film(rows), *([Text(points=notes)] if notes else [])]
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
