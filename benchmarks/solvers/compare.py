"""Every contender on every family: what it costs to reach a gap or a residual, and how it ends."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.solvers.contenders import LONG, PUBLISHED, RATES, Contender, Run, published
from benchmarks.solvers.lengths import lengths_of, true_length
from benchmarks.solvers.tables import median
from tests.problems.families import Problem

GAPS = (1e-3, 1e-5)
"""Relative gaps of length, of the curve at hand over the shortest geodesic."""
RESIDUALS = (1e-2, 1e-4)
"""Residuals, each solver's own."""
EVERY, SOME = 64, 8
"""The first 64 iterates are measured, then one in 8: of descents, which take 400."""
RIGHT = 1e-3
"""Relative gap up to which a path is the shortest geodesic."""
BEATEN = -2e-6
"""Relative gap below which a reference length was not the shortest."""


@dataclass(frozen=True)
class Reached:
    """Cost of reaching something, by problem; None where it was not reached.

    Args:
        score_evals, calls: up to and including the iterate that reached it, ends included, without
            the verification at the end.
        seconds: the same, of the whole batch of problems.
    """

    score_evals: tuple[int | None, ...]
    calls: tuple[int | None, ...]
    seconds: tuple[float | None, ...]

    @property
    def share(self) -> float:
        """Of the problems."""
        return sum(e is not None for e in self.score_evals) / len(self.score_evals)


@dataclass(frozen=True)
class Row:
    """One contender on one family.

    Args:
        gaps, residuals: cost of reaching each of ``GAPS`` and ``RESIDUALS``.
        gap: relative gap of the path that is returned, by its true length, for each problem.
        results: how the solver says each problem ended.
        right: paths that are the shortest geodesic to ``RIGHT``.
        success: those of them that are reported as geodesics.
        reported_failures: paths that are not, and are reported as failed.
        silent_failures: paths that are not, and are reported as geodesics: wrong basins, saddles.
        false_alarms: right paths that are reported as failed.
        honest_bars: successes whose reported length is off by at most three times the error bar.
        score_evals, calls: of whole runs, by problem.
        seconds: of the whole batch.
        beaten: whether a path is shorter than the reference.
    """

    family: str
    strong: bool
    solver: str
    problems: int
    gaps: tuple[Reached, ...]
    residuals: tuple[Reached, ...]
    gap: tuple[float, ...]
    results: tuple[str, ...]
    right: int
    success: int
    reported_failures: int
    silent_failures: int
    false_alarms: int
    honest_bars: int
    score_evals: tuple[int, ...]
    calls: tuple[int, ...]
    seconds: float
    beaten: bool


def _first(run: Run, reached: Tensor) -> Reached:
    """Cost of the first iterate at which something holds, ``reached`` (iterates, pairs)."""
    found: list[tuple[int | None, int | None, float | None]] = []
    for pair in range(reached.shape[1]):
        when = reached[:, pair].nonzero()[:, 0].tolist()
        at = run.iterates[when[0]] if when else None
        cost = at and (int(at.score_evals[pair]), int(at.calls[pair]), at.seconds)
        found.append(cost or (None, None, None))
    evals, calls, seconds = zip(*found, strict=True)
    return Reached(evals, calls, seconds)


def gaps_of(problem: Problem, run: Run, length: Tensor) -> Tensor:
    """Relative gaps of the iterates, shape (iterates, pairs); by what the solver says where it has
    no curve, and then only once it hits to 1e-3."""
    curves = [i.nodes for i in run.iterates if i.nodes is not None]
    if len(curves) == len(run.iterates):
        some = [i for i in range(len(curves)) if i < EVERY or i % SOME == 0]
        gaps = torch.full((len(curves), len(length)), torch.inf, dtype=torch.float64)
        gaps[some] = lengths_of(problem, [curves[i] for i in some]) / length - 1
        active = torch.stack([i.active for i in run.iterates])
        return torch.where(active & torch.isfinite(gaps), gaps, torch.inf)
    told = torch.stack([i.length for i in run.iterates]) / length - 1
    hits = torch.stack([i.residual for i in run.iterates]) < 1e-3
    return torch.where(hits & torch.isfinite(told), told.abs(), torch.inf)


def crossings(
    problem: Problem, contender: Contender, run: Run, length: Tensor
) -> tuple[tuple[Reached, ...], tuple[Reached, ...]]:
    """Costs of reaching the gaps and the residuals."""
    if not run.iterates:
        return (), ()
    gaps = gaps_of(problem, run, length)
    residual = torch.stack([i.residual for i in run.iterates])
    fine = torch.tensor([i.intervals >= contender.finest for i in run.iterates])[:, None]
    active = torch.stack([i.active for i in run.iterates])
    return (
        tuple(_first(run, gaps < g) for g in GAPS) if contender.geodesic else (),
        tuple(_first(run, fine & active & (residual < r)) for r in RESIDUALS),
    )


def compare(
    family: str,
    strong: bool,
    problem: Problem,
    contender: Contender,
    length: Tensor,
    basis: Tensor | None = None,
    small: Problem | None = None,
) -> Row:
    """One contender on a batch of problems whose shortest lengths are known.

    With a ``basis``, ``small`` is the problem in its coordinates, in which curves are measured.
    """
    measured = problem if small is None else small
    run = contender.run(problem, basis)
    long = LONG.get(contender.name)
    gaps, residuals = crossings(
        measured, contender, run if long is None else long(problem, basis), length
    )
    gap = true_length(measured, run.nodes) / length - 1
    right = torch.isfinite(gap) & (gap < RIGHT)
    ok = torch.tensor([r.ok for r in run.results])
    bars = (run.length - length).abs() <= 3 * run.error + 1e-6 * length
    return Row(
        family,
        strong,
        contender.name,
        len(length),
        gaps,
        residuals,
        tuple(gap.tolist()),
        tuple(r.name for r in run.results),
        right=int(right.sum()),
        success=int((right & ok).sum()),
        reported_failures=int((~right & ~ok).sum()),
        silent_failures=int((~right & ok).sum()),
        false_alarms=int((right & ~ok).sum()),
        honest_bars=int((right & ok & bars).sum()),
        score_evals=tuple(run.score_evals.tolist()),
        calls=tuple(run.calls.tolist()),
        seconds=run.seconds,
        beaten=bool(contender.geodesic and (gap < BEATEN).any()),
    )


def tuned(
    family: str, strong: bool, problem: Problem, length: Tensor, rates: Sequence[float] = RATES
) -> tuple[Row, ...]:
    """The paper's algorithm as published; at the published rate, to its end; and at the best of
    several rates to its end, chosen with hindsight on these very problems."""
    full = [compare(family, strong, problem, published(rate), length) for rate in rates]

    def merit(row: Row) -> tuple[float, float, float]:
        mean = statistics.fmean(min(g, 1e9) if math.isfinite(g) else 1e9 for g in row.gap)
        return (-row.gaps[0].share, median(row.gaps[0].score_evals), mean)

    best = min(full, key=merit)
    first = compare(family, strong, problem, PUBLISHED, length)
    return (first, full[0]) if best is full[0] else (first, full[0], best)
