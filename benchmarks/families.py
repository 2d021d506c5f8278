"""The comparison on random families and on the reference problems."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import torch

from benchmarks.compare import Row, compare, tuned
from benchmarks.contenders import (
    ENERGY,
    FLOW,
    FLOW_STARTS,
    MULTIPLE,
    PUBLISHED,
    RATES,
    SINGLE,
    STRING,
    published,
)
from benchmarks.lengths import shortest
from tests.problems.families import FAMILIES, Family
from tests.problems.reference import REFERENCES
from tests.problems.stacking import stacked

FIRST_SEED = 5000
"""First of the seeds that no solver was developed or tuned on."""

SHOOTING_SEEDS = 4
"""Most problems of a family that shooting is tried on: it is slow."""


def family_rows(family: Family, seeds: int, first: int = FIRST_SEED) -> tuple[list[Row], dict]:
    """All contenders on fresh problems of one family, and how well its lengths are known."""
    problem = stacked([family.make(first + i) for i in range(seeds)])
    known = shortest(problem)
    few = min(seeds, SHOOTING_SEEDS)
    part = stacked([family.make(first + i) for i in range(few)])
    some = known.length[:few]
    rows = [
        compare(family.name, family.strong, problem, c, known.length) for c in (FLOW, FLOW_STARTS)
    ]
    rows += tuned(family.name, family.strong, problem, known.length)
    rows += [
        compare(family.name, family.strong, problem, c, known.length) for c in (ENERGY, STRING)
    ]
    rows += [compare(family.name, family.strong, part, c, some) for c in (MULTIPLE, SINGLE)]
    about = {
        "family": family.name,
        "strong": family.strong,
        "disagreement": known.disagreement,
        "residual": known.residual,
        "intervals": known.intervals,
        "lengths": known.length.tolist(),
    }
    return rows, about


def families(seeds: int, only: int | None, told: Callable[[str], None]) -> dict[str, Any]:
    """The comparison on all families, or the first few."""
    rows: list[Row] = []
    lengths: list[dict] = []
    for family in FAMILIES[:only]:
        told(family.name)
        found, about = family_rows(family, seeds)
        rows += found
        lengths.append(about)
    return {
        "seeds": [FIRST_SEED, FIRST_SEED + seeds - 1],
        "rows": [asdict(r) for r in rows],
        "references": lengths,
    }


def references(only: int | None, told: Callable[[str], None]) -> dict[str, Any]:
    """The quick contenders on the problems whose lengths are known exactly."""
    return {"rows": [asdict(r) for r in _reference_rows(only, told)]}


def _reference_rows(only: int | None, told: Callable[[str], None]) -> Iterator[Row]:
    gentle = published(RATES[2])
    for reference in REFERENCES[:only]:
        told(reference.name)
        problem = stacked([reference.make()])
        length = torch.tensor([reference.length], dtype=torch.float64)
        for contender in (FLOW, PUBLISHED, gentle, ENERGY):
            yield compare(reference.name, reference.strong, problem, contender, length)
