"""The loop of relaxation solvers: steps, cancelling, and geodesics that are not the shortest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.bvp import (
    BoundaryProblem,
    GeodesicError,
    Level,
    PreconditionedFlow,
    RelaxationSolver,
    Result,
    Step,
    solve_bvp,
)
from diffusion_geodesics.bvp.euler_lagrange import Evaluation
from diffusion_geodesics.length import measure
from diffusion_geodesics.metric import Conformal, Connection
from diffusion_geodesics.path import Line, Spline
from tests.conformance.bvp_solver import gaussian
from tests.exact import Counting
from tests.problems import reference


@dataclass(frozen=True)
class Astray(RelaxationSolver[None]):
    """Leaves its path for the straight line."""

    def levels(self, tol: float, max_steps: int) -> Sequence[Level]:
        return [Level(16, tol, 0.0, max_steps)]

    def init(self, evaluation: Evaluation) -> None:
        return None

    def move(
        self, connection: Connection, evaluation: Evaluation, state: None
    ) -> tuple[Float[Tensor, "inner paths dim"], None]:
        nodes = evaluation.nodes
        t = torch.linspace(0, 1, len(nodes)).to(nodes)[1:-1, None, None]
        return torch.lerp(nodes[:1], nodes[-1:], t) - nodes[1:-1], None


def test_longer_than_its_initial_path_is_not_the_shortest():
    """Between opposite points of a ring, the straight line is a geodesic 30 times longer than the
    arc; to be sure the arc is measured, and the figures count it."""
    problem = reference.ring(1.0)
    angle = torch.linspace(0, math.pi, 17, dtype=torch.float64)
    arc = Spline(2 * torch.stack([angle.cos(), angle.sin()], -1))
    score = Counting(problem.density)
    line = Line(problem.start, problem.end)
    solution = solve_bvp(BoundaryProblem(Conformal(score), arc), Astray(), throw=False)
    assert solution.result is Result.not_shortest
    assert not solution.result.ok
    assert solution.warnings[0] == solution.result.message
    assert float(solution.residual) < 1e-3
    assert float(solution.length) > 20 * float(measure(Conformal(score), arc).length)
    assert (solution.nfe, solution.batches) == (score.nfe - 65, score.batches - 1)
    with pytest.raises(GeodesicError, match="longer than another known path"):
        solve_bvp(BoundaryProblem(Conformal(score), arc), Astray(), throw=True)
    straight = solve_bvp(BoundaryProblem(Conformal(score), line), Astray())
    assert straight.result is Result.converged  # nothing shorter is known


def test_only_the_longer_pairs_are_called_so():
    problem = reference.ring(1.0)
    angle = torch.linspace(0, math.pi, 17, dtype=torch.float64)
    arc = 2 * torch.stack([angle.cos(), angle.sin()], -1)
    line = Line(problem.start, problem.end)(torch.linspace(0, 1, 17, dtype=torch.float64))
    both = Spline(torch.stack([line, arc], 1))
    solution = solve_bvp(BoundaryProblem(Conformal(problem.density), both), Astray(), throw=False)
    assert solution.results == (Result.converged, Result.not_shortest)


def test_steps_are_reported_as_they_come():
    seen: list[Step] = []
    solution = gaussian().solve(PreconditionedFlow(), callback=seen.append)
    assert tuple(seen) == solution.steps
    assert [s.intervals for s in seen] == sorted(s.intervals for s in seen)
    assert [s.nfe for s in seen] == sorted(s.nfe for s in seen)
    assert float(seen[-1].residual) == float(solution.residual)
