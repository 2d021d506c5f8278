"""Measured pairs as a table: means with intervals, and paired win rates against slerp and lerp."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from benchmarks.evidence.plan import DETOUR, Study
from benchmarks.evidence.work import result_of, seconds_of
from benchmarks.truth import TRUTH, Kind
from diffusion_geodesics.apps.evidence.comparison import plain_features
from diffusion_geodesics.measures import (
    Better,
    Estimate,
    Quantity,
    mean_estimate,
    two_sample_accuracy,
    win_rate,
)

RIVALS = {"wins": "slerp", "wins_lerp": "lerp"}
"""Keys of the win rates, and whom they are against."""
UNTOLD = ("seconds",)
"""Quantities that differ from run to run."""
C2ST = Quantity(
    "C2ST",
    Better.LOWER,
    "accuracy of telling frames between from true ones, cross-fitted over pairs; 0.5 is the floor",
    "a repeated end is a true frame",
)

Data = dict[str, Any]


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
    """A study's pairs.

    Args:
        methods: names, in order.
        quantities: that are told.
        pairs: by name of the pair and of the method.
        kinds: by name of the pair.
        level: of noise.
    """

    methods: Sequence[str]
    quantities: Sequence[Quantity]
    pairs: Mapping[str, Mapping[str, Measured]]
    kinds: Mapping[str, Kind]
    level: float

    def only(self, kinds: Sequence[Kind]) -> Table:
        """The pairs of some kinds."""
        kept = {n: p for n, p in self.pairs.items() if self.kinds[n] in kinds}
        return Table(self.methods, self.quantities, kept, self.kinds, self.level)

    def values(self, method: str, quantity: str) -> list[float]:
        """Pair by pair; NaN where there is none."""
        return [float(p[method].scores.get(quantity, math.nan)) for p in self.pairs.values()]

    def rows(self) -> list[Data]:
        """A row a method, ready for JSON."""
        return [self._row(m) for m in self.methods]

    def _row(self, method: str) -> Data:
        means = {
            q.name: found
            for q in self.quantities
            if (found := written(mean_estimate(self.values(method, q.name))))
        }
        if (apart := self._told_apart(method)) is not None:
            means[C2ST.name] = {"mean": apart, "low": None, "high": None, "count": len(self.pairs)}
        row: Data = {"method": method, "values": means}
        for key, rival in RIVALS.items():
            row[key] = {} if rival not in self.methods else self._wins(method, rival)
        notes = Counter(p[method].note for p in self.pairs.values() if p[method].note)
        return row | {"notes": dict(sorted(notes.items()))}

    def _wins(self, method: str, rival: str) -> Data:
        if method == rival:
            return {}
        found = {}
        for q in self.quantities:
            if q.better is Better.NEITHER:
                continue
            mine, theirs = self.values(method, q.name), self.values(rival, q.name)
            if share := written(win_rate(mine, theirs, q.better)):
                found[q.name] = share
        return found

    def _told_apart(self, method: str) -> float | None:
        if TRUTH not in self.methods or method == TRUTH or len(self.pairs) < 2:
            return None
        parts = []
        for name in (method, TRUTH):
            looks = [p[name].looks for p in self.pairs.values()]
            groups = np.repeat(np.arange(len(looks)), [0 if x is None else len(x) for x in looks])
            parts.append((np.concatenate([x for x in looks if x is not None]), groups))
        (a, groups_a), (b, groups_b) = parts
        return round(two_sample_accuracy(a, b, groups_a, groups_b), 4)


def table_of(folder: Path, study: Study) -> Table:
    """The kept results of a study."""
    pairs: dict[str, dict[str, Measured]] = {}
    kinds: dict[str, Kind] = {}
    quantities: Sequence[Quantity] = ()
    for case in study.cases():
        done = result_of(folder, study, case)
        quantities = [q for q in done.quantities if q.name not in UNTOLD]
        kinds[case.name] = case.kind
        pairs[case.name] = {
            name: Measured(
                o.scores,
                plain_features(o.frames[1:-1]) if study.truth and not o.failed else None,
                o.note,
            )
            for name, o in done.pairs[0].outcomes.items()
        }
    names = list(next(iter(pairs.values())))
    return Table(names, quantities, pairs, kinds, study.settings.level)


def studies_of(study: Study, table: Table) -> list[Data]:
    """A study as JSON: all pairs, those of `DETOUR`, and each kind where there are enough."""
    groups: dict[str, Table] = {"all pairs": table}
    if len(study.kinds) > 1:
        groups["detour"] = table.only(DETOUR)
    if study.name == "main":
        groups |= {kind.value: table.only((kind,)) for kind in study.kinds}
    return [
        {
            "name": study.name,
            "group": group,
            "what": study.what,
            "pairs": len(part.pairs),
            "level": part.level,
            "rows": part.rows(),
        }
        for group, part in groups.items()
        if part.pairs
    ]


def about(quantities: Sequence[Quantity]) -> Data:
    """What every quantity is."""
    return {
        q.name: {"better": q.better.value, "about": q.about, "deceives": q.deceives}
        for q in (*quantities, C2ST)
    }


def seconds(folder: Path, study: Study) -> float:
    """Of one core, that all pairs of a study took."""
    return sum(seconds_of(folder, study, case) for case in study.cases())


def written(estimate: Estimate) -> Data:
    """Nothing where there is no value; None for an interval of one value."""
    if not estimate.count:
        return {}

    def rounded(value: float) -> float | None:
        return float(f"{value:.5g}") if math.isfinite(value) else None

    return {
        "mean": rounded(estimate.value),
        "low": rounded(estimate.low),
        "high": rounded(estimate.high),
        "count": estimate.count,
    }
