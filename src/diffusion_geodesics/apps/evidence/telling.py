"""A comparison in words and figures: for the report, and for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from diffusion_geodesics.apps.evidence.comparison import Comparison, PairResult
from diffusion_geodesics.apps.versions import versions
from diffusion_geodesics.measures import Better
from diffusion_geodesics.report.data import Film
from diffusion_geodesics.report.evidence import (
    Cell,
    EvidenceReport,
    Line,
    ShownPair,
    write_evidence,
)
from diffusion_geodesics.report.write import Written

ARROWS = {Better.HIGHER: "↑", Better.LOWER: "↓", Better.NEITHER: ""}
FEW_PAIRS = 20


def save(done: Comparison, folder: str | Path, *, overwrite: bool = False) -> Written:
    """Write the folder of a comparison; see `write_evidence`."""
    return write_evidence(folder, report_of(done), overwrite=overwrite)


def report_of(done: Comparison) -> EvidenceReport:
    """Everything that is written about a comparison."""
    lines = lines_of(done)
    pairs = done.by_disagreement()
    count = f"{len(pairs)} pair{'s' if len(pairs) > 1 else ''}"
    return EvidenceReport(
        title=f"{len(done.methods)} methods on {count}",
        status=f"Frames at equal steps of {done.features}"
        + (f"; compared with {done.rival}" if done.rival and len(pairs) > 1 else "")
        + ".",
        methods=done.methods,
        rival=done.rival or "",
        lines=lines,
        pairs=[_shown(pair) for pair in pairs],
        skipped=[(s.name, s.reason, s.remedy) for s in done.skipped],
        result={
            "methods": list(done.methods),
            "rival": done.rival,
            "quantities": {
                line.name: {
                    "better": line.arrow,
                    "about": line.about,
                    "means": {
                        m: {"mean": c.mean, "low": c.low, "high": c.high, "pairs": c.count}
                        for m, c in zip(done.methods, line.cells, strict=True)
                    },
                    "wins": {
                        m: {"share": c.mean, "low": c.low, "high": c.high}
                        for m, c in zip(done.methods, line.wins, strict=True)
                        if c is not None
                    },
                }
                for line in lines
            },
            "pairs": {
                p.name: {m: dict(o.scores) for m, o in p.outcomes.items()} for p in done.pairs
            },
            "notes": {
                p.name: {m: o.note for m, o in p.outcomes.items() if o.note} for p in done.pairs
            },
            "skipped": [[s.name, s.reason, s.remedy] for s in done.skipped],
            "features": done.features,
            "settings": dict(done.settings),
            "model": dict(done.model),
            "seed": done.seed,
            "versions": versions(),
        },
        settings={**done.model, **done.settings, "seed of resampling": done.seed},
        versions=versions(),
        warnings=warnings_of(done),
    )


def lines_of(done: Comparison) -> list[Line]:
    """The table: means and win rates, a line a quantity."""
    lines = []
    for q in done.measured:
        means = [done.mean(m, q.name) for m in done.methods]
        best = _best([e.value for e in means], q.better)
        cells = [Cell(e.value, e.low, e.high, i in best, e.count) for i, e in enumerate(means)]
        wins = [done.wins(m, q) for m in done.methods]
        won = [None if w is None else Cell(w.value, w.low, w.high, count=w.count) for w in wins]
        lines.append(Line(q.name, ARROWS[q.better], q.about, q.deceives, cells, won))
    named, sets = done.sets()
    for q in named:
        values = [sets[m][q.name] for m in done.methods]
        best = _best(values, q.better)
        cells = [Cell(v, best=i in best, count=len(done.pairs)) for i, v in enumerate(values)]
        lines.append(
            Line(q.name, ARROWS[q.better], q.about, q.deceives, cells, [None] * len(cells))
        )
    return lines


def warnings_of(done: Comparison) -> tuple[str, ...]:
    """What must be known before the figures are believed."""
    found = []
    if len(done.pairs) < FEW_PAIRS:
        found.append(
            f"{len(done.pairs)} pair{'s do' if len(done.pairs) > 1 else ' does'} not rank methods; "
            f"take {FEW_PAIRS} or more."
        )
    noted = [(m, o.note) for p in done.pairs for m, o in p.outcomes.items() if o.note]
    for method in dict.fromkeys(m for m, _ in noted):
        told = [n for m, n in noted if m == method]
        found.append(f"{method}, on {len(told)} of {len(done.pairs)} pairs: {told[0]}.")
    if done.skipped:
        found.append(f"Not measured: {', '.join(s.name for s in done.skipped)}.")
    return tuple(found)


def _shown(pair: PairResult) -> ShownPair:
    films = [
        Film(name, o.frames, torch.linspace(0, 1, len(o.frames)))
        for name, o in pair.outcomes.items()
    ]
    notes = [(m, o.note) for m, o in pair.outcomes.items() if o.note]
    scores = {m: o.scores for m, o in pair.outcomes.items()}
    return ShownPair(pair.name, pair.disagreement, films, notes, scores)


def _best(values: Sequence[float], better: Better) -> set[int]:
    finite = [v for v in values if math.isfinite(v)]
    if better is Better.NEITHER or len(finite) < 2:
        return set()
    best = max(finite) if better is Better.HIGHER else min(finite)
    return {i for i, v in enumerate(values) if v == best} if finite.count(best) == 1 else set()
