"""Boundary value solvers: the conformance suite over all of them, the loop, and its verdicts."""

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
    Level,
    PreconditionedFlow,
    RelaxationSolver,
    solve_bvp,
)
from diffusion_geodesics.bvp.euler_lagrange import Evaluation
from diffusion_geodesics.density import FunctionScore, GaussianMixture, HalfPlane
from diffusion_geodesics.geodesics import geodesic
from diffusion_geodesics.length import measure
from diffusion_geodesics.metric import Conformal, Connection
from diffusion_geodesics.path import Line
from tests.conformance.bvp_solver import GeodesicSolverSuite, Solver
from tests.exact import vector
from tests.problems import reference


@dataclass(frozen=True)
class Relaxation(RelaxationSolver[None]):
    """The example of the documentation: invert the second difference, nothing else."""

    intervals: int = 20
    damping: float = 0.8

    def levels(self, tol: float, max_steps: int) -> Sequence[Level]:
        return [Level(self.intervals, tol, tol**2, max_steps)]

    def init(self, evaluation: Evaluation) -> None:
        return None

    def move(
        self, connection: Connection, evaluation: Evaluation, state: None
    ) -> tuple[Float[Tensor, "inner paths dim"], None]:
        n = self.intervals - 1
        line = torch.eye(n).diff(dim=0).to(evaluation.defect)
        ends = torch.eye(n).to(line)[[0, -1]]
        stiffness = line.T @ line + ends.T @ ends
        move = torch.linalg.solve(stiffness * self.intervals**2, evaluation.defect.flatten(1))
        return self.damping * move.reshape(evaluation.defect.shape), None


SOLVERS = {
    "default": PreconditionedFlow(),
    "three levels": PreconditionedFlow((4, 8, 20)),
    "plain": PreconditionedFlow((16,), memory=0),
    "refining": PreconditionedFlow((8,), refine=(16, 32)),
    "averaging": PreconditionedFlow(average_last=5),
    "relaxation": Relaxation(),
}


class TestSolvers(GeodesicSolverSuite):
    @pytest.fixture(scope="class", params=list(SOLVERS.values()), ids=list(SOLVERS))
    @classmethod
    def solver(cls, request: pytest.FixtureRequest) -> Solver:
        return request.param


def _semicircle(t: Tensor) -> Tensor:
    """The half-plane geodesic from (-1, 1) to (1, 1), at constant Euclidean speed."""
    angle = 0.75 * math.pi - 0.5 * math.pi * t
    return math.sqrt(2) * torch.stack([angle.cos(), angle.sin()], -1)


def _path_error(intervals: int) -> float:
    line = Line(vector(-1, 1), vector(1, 1))
    solver = PreconditionedFlow((intervals,))
    connection = Conformal(HalfPlane())
    path = solve_bvp(BoundaryProblem(connection, line), solver, tol=1e-9, max_steps=100).path
    t = torch.linspace(0, 1, intervals + 1, dtype=torch.float64)
    return float((path(t) - _semicircle(t)).norm(dim=-1).max())


def test_path_has_order_two_in_the_nodes():
    errors = [_path_error(n) for n in (16, 32, 64)]
    orders = [math.log2(errors[0] / errors[1]), math.log2(errors[1] / errors[2])]
    assert orders == pytest.approx([2, 2], abs=0.1), errors


@pytest.mark.parametrize("std", [0.1, 0.3])
def test_too_strong_a_barrier_is_not_silent(std: float):
    """It ends without a geodesic, or as one that the nodes do not resolve."""
    density = GaussianMixture([[-6.0, 0, 0], [6, 0, 0], [0, 5, 1]], std)
    line = Line(vector(-6, 0, 1), vector(6, 1, 0))
    solver, connection = PreconditionedFlow(), Conformal(density)
    solution = solve_bvp(BoundaryProblem(connection, line), solver, max_steps=60, throw=False)
    assert not solution.result.ok
    assert solution.result.message in solution.warnings
    hasty = solve_bvp(BoundaryProblem(connection, line), solver, max_steps=1, throw=False)
    assert not hasty.result.ok


@pytest.mark.parametrize("intervals", [(), (3,), (16, 2)])
def test_bad_levels(intervals: tuple[int, ...]):
    with pytest.raises(ValueError, match="at least 4"):
        PreconditionedFlow(intervals)
    with pytest.raises(ValueError, match="at least 4"):
        PreconditionedFlow(refine=(3,))


def test_a_noisy_score_still_ends():
    """10 % noise, another at every call: no convergence to 1e-3, but a length within 1 %."""
    problem = reference.gaussian(1.0, 1.5, 2.0)
    generator = torch.Generator().manual_seed(0)

    def noisy(x: Tensor) -> Tensor:
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        return -x * (1 + 0.1 * noise)

    solution = geodesic(noisy, problem.start, problem.end, max_steps=20)
    assert float(solution.length) == pytest.approx(1.415722705976, rel=5e-2)  # noisy densities
    exact = measure(Conformal(problem.density), solution.path).length
    assert float(exact) == pytest.approx(1.415722705976, rel=1e-2)


@pytest.mark.slow
def test_averaging_the_last_iterates_of_a_noisy_score():
    """50 % noise, seeded: the mean of the last 20 iterates is nearer to the geodesic."""
    problem = reference.gaussian(1.0, 1.5, 2.0)
    exact = geodesic(problem.density, problem.start, problem.end, tol=1e-5).path
    t = torch.linspace(0, 1, 33, dtype=torch.float64)

    def error(average_last: int) -> float:
        total = 0.0
        for seed in range(3):
            generator = torch.Generator().manual_seed(seed)

            def noisy(x: Tensor, generator: torch.Generator = generator) -> Tensor:
                noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
                return -x + 0.5 * x.norm(dim=-1, keepdim=True) / math.sqrt(2) * noise

            solver = PreconditionedFlow(average_last=average_last)
            connection = Conformal(FunctionScore(noisy), precision=1.0)
            line = Line(problem.start, problem.end)
            path = solve_bvp(
                BoundaryProblem(connection, line), solver, max_steps=40, throw=False
            ).path
            total += float((path(t) - exact(t)).norm(dim=-1).max())
        return total / 3

    best, mean = error(0), error(20)
    assert mean < 0.75 * best
    assert mean < 2e-2
