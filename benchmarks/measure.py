"""What the benchmark measures: one row for every reference problem, one for every family."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import diffusion_geodesics as dg
from benchmarks.problems import FAMILIES, Family, Problem
from benchmarks.reference import REFERENCES, Reference

TOLERANCE = 1e-3
"""Residual that every problem is solved to."""


@dataclass(frozen=True)
class ReferenceRow:
    """One reference problem: what came out, and what it cost."""

    name: str
    strong: bool
    result: str
    residual: float
    length: float
    exact_length: float
    relative_gap: float
    relative_error_bar: float
    iterations: int
    calls: int
    score_evals: int
    published_evals: int
    ratio: float
    seconds: float


@dataclass(frozen=True)
class FamilyRow:
    """Many random problems of one family, by seed."""

    name: str
    strong: bool
    problems: int
    converged: int
    results: dict[str, int]
    median_evals: float
    max_evals: int
    median_calls: float
    max_calls: int
    median_residual: float
    max_residual: float
    median_relative_error_bar: float
    seconds: float


def solve(problem: Problem) -> dg.Solution:
    """With the default solver, from the chord."""
    return dg.geodesic(
        problem.density,
        problem.start,
        problem.end,
        alpha=problem.alpha,
        manifold=problem.manifold,
        tol=TOLERANCE,
    )


def _timed(make: Callable[[], Problem]) -> tuple[dg.Solution, float]:
    problem = make()
    start = time.perf_counter()
    solution = solve(problem)
    return solution, time.perf_counter() - start


def reference_row(reference: Reference) -> ReferenceRow:
    """Solve one reference problem."""
    solution, seconds = _timed(reference.make)
    length = float(solution.length)
    return ReferenceRow(
        name=reference.name,
        strong=reference.strong,
        result=solution.result.name,
        residual=float(solution.residual),
        length=length,
        exact_length=reference.length,
        relative_gap=length / reference.length - 1,
        relative_error_bar=float(solution.distance_error) / length,
        iterations=solution.iterations,
        calls=solution.calls,
        score_evals=solution.score_evals,
        published_evals=reference.published_evals,
        ratio=solution.score_evals / reference.published_evals,
        seconds=seconds,
    )


def family_row(family: Family, seeds: int) -> FamilyRow:
    """Solve the problems of seeds 0 to ``seeds`` - 1 of one family."""
    outcomes = [_timed(lambda s=seed: family.make(s)) for seed in range(seeds)]
    solutions = [solution for solution, _ in outcomes]
    results = [s.result.name for s in solutions]
    residuals = [float(s.residual) for s in solutions]
    return FamilyRow(
        name=family.name,
        strong=family.strong,
        problems=seeds,
        converged=sum(s.converged for s in solutions),
        results={name: results.count(name) for name in sorted(set(results))},
        median_evals=statistics.median(s.score_evals for s in solutions),
        max_evals=max(s.score_evals for s in solutions),
        median_calls=statistics.median(s.calls for s in solutions),
        max_calls=max(s.calls for s in solutions),
        median_residual=statistics.median(residuals),
        max_residual=max(residuals),
        median_relative_error_bar=statistics.median(
            float(s.distance_error / s.length) for s in solutions
        ),
        seconds=sum(seconds for _, seconds in outcomes),
    )


def reference_rows() -> Iterator[ReferenceRow]:
    """All reference problems, one at a time."""
    return map(reference_row, REFERENCES)


def family_rows(seeds: int) -> Iterator[FamilyRow]:
    """All families, one at a time."""
    return (family_row(family, seeds) for family in FAMILIES)
