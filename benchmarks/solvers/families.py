"""The comparison on random families and on the reference problems."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

import torch

from benchmarks.record import Data
from benchmarks.solvers.compare import Row, compare, tuned
from benchmarks.solvers.contenders import (
    ENERGY,
    FLOW,
    FLOW_STARTS,
    MULTIPLE,
    PUBLISHED,
    RATES,
    SINGLE,
    STRING,
    Contender,
    published,
)
from benchmarks.solvers.lengths import shortest
from tests.problems.families import FAMILIES, Family
from tests.problems.reference import REFERENCES
from tests.problems.stacking import stacked

FIRST_SEED = 5000
"""First of the seeds that no solver was developed or tuned on."""
SHOOTING_SEEDS = 4
"""Most problems of a family that shooting is tried on: it is slow."""


def family_rows(family: Family, seeds: int) -> tuple[list[Row], Data]:
    """All contenders on fresh problems of one family, and how well its lengths are known."""
    problems = [family.make(FIRST_SEED + i) for i in range(seeds)]
    problem, part = stacked(problems), stacked(problems[:SHOOTING_SEEDS])
    known, named = shortest(problem), (family.name, family.strong)
    rows = [compare(*named, problem, c, known.length) for c in (FLOW, FLOW_STARTS)]
    rows += tuned(*named, problem, known.length)
    rows += [compare(*named, problem, c, known.length) for c in (ENERGY, STRING)]
    some = known.length[:SHOOTING_SEEDS]
    rows += [compare(*named, part, c, some) for c in (MULTIPLE, SINGLE)]
    about = {**asdict(known), "family": family.name, "strong": family.strong}
    return rows, {k: v for k, v in about.items() if k != "length"}


def paper_rows(family: Family, seeds: int) -> tuple[Row, ...]:
    """The paper's algorithm alone; in many dimensions, and where several geodesics compete, at its
    published rate only, for want of time."""
    problem = stacked([family.make(FIRST_SEED + i) for i in range(seeds)])
    rates = RATES[:1] if family.name.startswith(("sphere", "scattered")) else RATES
    return tuned(family.name, family.strong, problem, shortest(problem).length, rates)


def paper_families(seeds: int, names: Sequence[str], tell: Callable[[str], None]) -> Data:
    """The paper's algorithm alone on the families of these names, on all where there is none.

    Raises:
        SystemExit: a name that no family has.
    """
    known = {family.name: family for family in FAMILIES}
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"no family {unknown[0]!r}; expected some of {', '.join(known)}")
    rows: list[Row] = []
    for name in names or known:
        tell(name)
        rows += paper_rows(known[name], seeds)
    return {"rows": [asdict(r) for r in rows]}


def families(seeds: int, only: int | None, tell: Callable[[str], None]) -> Data:
    """The comparison on all families, or the first few."""
    rows: list[Row] = []
    lengths: list[Data] = []
    for family in FAMILIES[:only]:
        tell(family.name)
        found, about = family_rows(family, seeds)
        rows += found
        lengths.append(about)
    return {
        "seeds": [FIRST_SEED, FIRST_SEED + seeds - 1],
        "rows": [asdict(r) for r in rows],
        "references": lengths,
    }


PAPER = (PUBLISHED, published(RATES[2]))
"""The paper's algorithm, of the quick contenders."""


def references(
    only: int | None,
    tell: Callable[[str], None],
    contenders: Sequence[Contender] = (FLOW, *PAPER, ENERGY),
) -> Data:
    """The quick contenders on the problems whose lengths are known exactly."""
    rows: list[Row] = []
    for reference in REFERENCES[:only]:
        tell(reference.name)
        problem = stacked([reference.make()])
        length = torch.tensor([reference.length], dtype=torch.float64)
        for contender in contenders:
            rows.append(compare(reference.name, reference.strong, problem, contender, length))
    return {"rows": [asdict(r) for r in rows]}
