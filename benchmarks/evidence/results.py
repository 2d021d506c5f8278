"""Measured pairs as a table: means with intervals, and paired win rates against the baselines."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np

from benchmarks import rife
from benchmarks.evidence.pairs import Kind
from benchmarks.evidence.plan import DETOUR, Study
from benchmarks.evidence.work import result_of
from benchmarks.record import Data, as_data
from diffusion_geodesics.comparison.result import ComparisonResult, PairResult, plain_features
from diffusion_geodesics.measures import (
    Better,
    Quantity,
    bootstrap_mean,
    two_sample_accuracy,
    win_rate,
)

BASELINES = {"wins": "slerp", "wins_lerp": "lerp", "wins_rife": rife.NAME}
"""Keys of the win rates, and whom they are against."""
LEFT_OUT = ("seconds",)
"""Quantities that differ from run to run."""
C2ST = Quantity(
    "C2ST",
    Better.LOWER,
    "accuracy of telling frames between from true ones, cross-fitted over pairs; 0.5 is the floor",
    "a repeated end is a true frame",
)


@final
@dataclass(frozen=True, eq=False)
class Measured:
    """One method on one pair: scores, features of the frames between, and how a solver ended."""

    scores: Mapping[str, float]
    looks: np.ndarray | None
    note: str


@final
@dataclass(frozen=True, eq=False)
class Table:
    """The pairs of a study.

    Args:
        methods: names, in order.
        quantities: that are shown.
        pairs: by name of the pair and of the method.
        level: of noise.
        truth: the method whose frames are real; None without one.
    """

    methods: Sequence[str]
    quantities: Sequence[Quantity]
    pairs: Mapping[str, Mapping[str, Measured]]
    level: float
    truth: str | None = None

    @staticmethod
    def of(parts: Sequence[ComparisonResult]) -> Table:
        """Comparisons of the same methods as one table."""
        first = parts[0]
        assert first.settings is not None
        pairs = {p.name: _measured(p, first.truth) for part in parts for p in part.pairs}
        quantities = [q for q in first.quantities if q.name not in LEFT_OUT]
        level = first.settings.inversion.level
        return Table(first.methods, quantities, pairs, level, first.truth)

    def only(self, keep: Callable[[str], bool]) -> Table:
        """The pairs whose name is kept."""
        return replace(self, pairs={n: p for n, p in self.pairs.items() if keep(n)})

    def values(self, method: str, quantity: str) -> list[float]:
        """Pair by pair; NaN where there is none."""
        return [float(p[method].scores.get(quantity, math.nan)) for p in self.pairs.values()]

    def rows(self, sets: Mapping[str, Mapping[str, Data]] | None = None) -> list[Data]:
        """A row a method, ready for JSON, with ``sets``, further values by method and name."""
        return [self._row(m, (sets or {}).get(m, {})) for m in self.methods]

    def _row(self, method: str, sets: Mapping[str, Data]) -> Data:
        means = {
            q.name: found
            for q in self.quantities
            if (found := as_data(bootstrap_mean(self.values(method, q.name))))
        }
        if (apart := self._told_apart(method)) is not None:
            means[C2ST.name] = {"mean": apart, "low": None, "high": None, "count": len(self.pairs)}
        row: Data = {"method": method, "values": means | dict(sets)}
        for key, baseline in BASELINES.items():
            row[key] = {} if baseline not in self.methods else self._wins(method, baseline)
        notes = Counter(p[method].note for p in self.pairs.values() if p[method].note)
        return row | {"notes": dict(sorted(notes.items()))}

    def _wins(self, method: str, baseline: str) -> Data:
        if method == baseline:
            return {}
        found = {}
        for q in self.quantities:
            if q.better is Better.NEITHER:
                continue
            mine, theirs = self.values(method, q.name), self.values(baseline, q.name)
            if share := as_data(win_rate(mine, theirs, q.better)):
                found[q.name] = share
        return found

    def _told_apart(self, method: str) -> float | None:
        if self.truth is None or method == self.truth or len(self.pairs) < 2:
            return None
        parts = []
        for name in (method, self.truth):
            looks = [p[name].looks for p in self.pairs.values()]
            groups = np.repeat(np.arange(len(looks)), [0 if x is None else len(x) for x in looks])
            parts.append((np.concatenate([x for x in looks if x is not None]), groups))
        (a, groups_a), (b, groups_b) = parts
        return round(two_sample_accuracy(a, b, groups_a, groups_b), 4)


def _measured(pair: PairResult, truth: str | None) -> dict[str, Measured]:
    return {
        name: Measured(
            o.scores,
            plain_features(o.frames[1:-1]) if truth is not None and not o.failed else None,
            o.note,
        )
        for name, o in pair.outcomes.items()
    }


def table_of(folder: Path, study: Study) -> Table:
    """The kept results of a study, read pair by pair: frames are large."""
    found = [Table.of([result_of(folder, study, case)]) for case in study.cases()]
    return replace(found[0], pairs={n: p for t in found for n, p in t.pairs.items()})


def studies_of(study: Study, table: Table) -> list[Data]:
    """A study as JSON: all pairs, those of `DETOUR`, and each kind where there are enough."""
    kinds = {case.name: case.kind for case in study.cases()}

    def of(*some: Kind) -> Table:
        return table.only(lambda name: kinds[name] in some)

    groups: dict[str, Table] = {"all pairs": table}
    if len(study.kinds) > 1:
        groups["detour"] = of(*DETOUR)
    if study.name == "main":
        groups |= {kind.value: of(kind) for kind in study.kinds}
    return [
        described(study.name, study.what, part, group=group)
        for group, part in groups.items()
        if part.pairs
    ]


def described(
    name: str,
    what: str,
    table: Table,
    sets: Mapping[str, Mapping[str, Data]] | None = None,
    **more: str,
) -> Data:
    """A table of pairs as JSON."""
    about = {"name": name, **more, "what": what, "pairs": len(table.pairs), "level": table.level}
    return about | {"rows": table.rows(sets)}


def about(quantities: Sequence[Quantity]) -> Data:
    """What every quantity is."""
    return {
        q.name: {"better": q.better.value, "about": q.about, "deceives": q.deceives}
        for q in (*quantities, C2ST)
    }
