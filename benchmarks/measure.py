"""The default solver on the reference problems: one row each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from diffusion_geodesics.bvp import Solution
from diffusion_geodesics.geodesics import geodesic
from tests.problems.families import Problem
from tests.problems.reference import REFERENCES, Reference

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


def solve(problem: Problem) -> Solution:
    """With the default solver, from the chord."""
    return geodesic(
        problem.density,
        problem.start,
        problem.end,
        alpha=problem.alpha,
        manifold=problem.manifold,
        tol=TOLERANCE,
    )


def _timed(make: Callable[[], Problem]) -> tuple[Solution, float]:
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
        calls=solution.batches,
        score_evals=solution.nfe,
        published_evals=reference.published_evals,
        ratio=solution.nfe / reference.published_evals,
        seconds=seconds,
    )


def reference_rows() -> Iterator[ReferenceRow]:
    """All reference problems, one at a time."""
    return map(reference_row, REFERENCES)
