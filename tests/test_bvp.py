"""Boundary value solvers: the conformance suite over all of them, the loop, and its verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from jaxtyping import Float
from torch import Tensor
from torch.testing import assert_close

import diffusion_geodesics as dg
from benchmarks import reference
from diffusion_geodesics.bvp import Level
from diffusion_geodesics.bvp.anderson import accelerated_step, empty_history, push
from diffusion_geodesics.bvp.euler_lagrange import Evaluation, evaluate, evaluate_ends
from tests.conformance.bvp_solver import GeodesicSolverSuite, Solver, gaussian
from tests.exact import Counting, vector


@dataclass(frozen=True)
class Relaxation(dg.BVPSolver[None]):
    """The example of the documentation: invert the second difference, nothing else."""

    intervals: int = 20
    damping: float = 0.8

    def levels(self, tol: float, max_steps: int) -> Sequence[Level]:
        return [Level(self.intervals, tol, tol**2, max_steps)]

    def init(self, evaluation: Evaluation) -> None:
        return None

    def move(
        self, connection: dg.Connection, evaluation: Evaluation, state: None
    ) -> tuple[Float[Tensor, "inner paths dim"], None]:
        n = self.intervals - 1
        line = torch.eye(n).diff(dim=0).to(evaluation.defect)
        ends = torch.eye(n).to(line)[[0, -1]]
        stiffness = line.T @ line + ends.T @ ends
        move = torch.linalg.solve(stiffness * self.intervals**2, evaluation.defect.flatten(1))
        return self.damping * move.reshape(evaluation.defect.shape), None


SOLVERS = {
    "default": dg.PreconditionedFlow(),
    "three levels": dg.PreconditionedFlow((4, 8, 20)),
    "plain": dg.PreconditionedFlow((16,), memory=0),
    "refining": dg.PreconditionedFlow((8,), refine=(16, 32)),
    "averaging": dg.PreconditionedFlow(average_last=5),
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
    line = dg.Line(vector(-1, 1), vector(1, 1))
    solver = dg.PreconditionedFlow((intervals,))
    connection = dg.Conformal(dg.HalfPlane())
    path = dg.solve_bvp(connection, solver, line, tol=1e-9, max_steps=100).path
    t = torch.linspace(0, 1, intervals + 1, dtype=torch.float64)
    return float((path(t) - _semicircle(t)).norm(dim=-1).max())


def test_path_has_order_two_in_the_nodes():
    errors = [_path_error(n) for n in (16, 32, 64)]
    orders = [math.log2(errors[0] / errors[1]), math.log2(errors[1] / errors[2])]
    assert orders == pytest.approx([2, 2], abs=0.1), errors


def test_residual_of_the_exact_curve_is_the_truncation_error():
    residuals = []
    for n in (16, 32, 64):
        nodes = _semicircle(torch.linspace(0, 1, n + 1, dtype=torch.float64))[:, None]
        connection = dg.Conformal(dg.HalfPlane())
        residuals.append(
            float(evaluate(connection, evaluate_ends(connection, nodes), nodes).residual)
        )
    orders = [math.log2(residuals[0] / residuals[1]), math.log2(residuals[1] / residuals[2])]
    assert orders == pytest.approx([2, 2], abs=0.1), residuals


def test_residual_of_a_wrong_curve_is_of_order_one():
    nodes = dg.Line(vector(-1, 1), vector(1, 1))(torch.linspace(0, 1, 33).double())[:, None]
    connection = dg.Conformal(dg.HalfPlane())
    value = evaluate(connection, evaluate_ends(connection, nodes), nodes)
    assert float(value.residual) == pytest.approx(1, rel=1e-12)


def test_anderson_solves_a_linear_problem():
    """A fixed-point map with n different eigenvalues ends after n accelerated steps."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.diag(torch.tensor([0.2, 0.5, 0.9, -0.7])).double()
    goal = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    x = torch.zeros_like(goal)
    history = empty_history(x, memory=6)
    beta = torch.ones(3, dtype=torch.float64)
    for _ in range(6):
        history = push(history, x, (goal - x) @ (torch.eye(4).double() - matrix))
        x = x + accelerated_step(history, beta, ridge=1e-14)
    assert_close(x, goal, rtol=1e-6, atol=1e-6)


def test_anderson_without_history_is_the_plain_step():
    g = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    beta = torch.tensor([1.0, 0.5, 0.25], dtype=torch.float64)
    for memory in (0, 5):
        history = push(empty_history(g, memory), torch.zeros_like(g), g)
        assert_close(accelerated_step(history, beta, 1e-10), beta[:, None] * g)


@pytest.mark.parametrize("std", [0.1, 0.3])
def test_too_strong_a_barrier_is_not_silent(std: float):
    """It ends without a geodesic, or as one that the nodes do not resolve."""
    density = dg.GaussianMixture([[-6.0, 0, 0], [6, 0, 0], [0, 5, 1]], std)
    line = dg.Line(vector(-6, 0, 1), vector(6, 1, 0))
    solver, connection = dg.PreconditionedFlow(), dg.Conformal(density)
    solution = dg.solve_bvp(connection, solver, line, max_steps=60, throw=False)
    assert not solution.result.ok
    assert solution.result.message in solution.warnings
    hasty = dg.solve_bvp(connection, solver, line, max_steps=1, throw=False)
    assert not hasty.result.ok


@dataclass(frozen=True)
class Astray(dg.BVPSolver[None]):
    """Leaves its path for the straight line."""

    def levels(self, tol: float, max_steps: int) -> Sequence[Level]:
        return [Level(16, tol, 0.0, max_steps)]

    def init(self, evaluation: Evaluation) -> None:
        return None

    def move(
        self, connection: dg.Connection, evaluation: Evaluation, state: None
    ) -> tuple[Float[Tensor, "inner paths dim"], None]:
        nodes = evaluation.nodes
        t = torch.linspace(0, 1, len(nodes)).to(nodes)[1:-1, None, None]
        return torch.lerp(nodes[:1], nodes[-1:], t) - nodes[1:-1], None


def test_longer_than_its_initial_path_is_not_the_shortest():
    """Between opposite points of a ring, the straight line is a geodesic 30 times longer than the
    arc; to be sure the arc is measured, and the figures count it."""
    problem = reference.ring(1.0)
    angle = torch.linspace(0, math.pi, 17, dtype=torch.float64)
    arc = dg.Spline(2 * torch.stack([angle.cos(), angle.sin()], -1))
    score = Counting(problem.density)
    line = dg.Line(problem.start, problem.end)
    solution = dg.solve_bvp(dg.Conformal(score), Astray(), arc, throw=False)
    assert solution.result is dg.Result.not_shortest
    assert not solution.result.ok
    assert solution.warnings[0] == solution.result.message
    assert float(solution.residual) < 1e-3
    assert float(solution.length) > 20 * float(dg.measure(dg.Conformal(score), arc).length)
    assert (solution.score_evals, solution.calls) == (score.rows - 65, score.calls - 1)
    with pytest.raises(dg.GeodesicError, match="longer than its initial path"):
        dg.solve_bvp(dg.Conformal(score), Astray(), arc)
    straight = dg.solve_bvp(dg.Conformal(score), Astray(), line)
    assert straight.result is dg.Result.converged  # nothing shorter is known


def test_only_the_longer_pairs_are_called_so():
    problem = reference.ring(1.0)
    angle = torch.linspace(0, math.pi, 17, dtype=torch.float64)
    arc = 2 * torch.stack([angle.cos(), angle.sin()], -1)
    line = dg.Line(problem.start, problem.end)(torch.linspace(0, 1, 17, dtype=torch.float64))
    both = dg.Spline(torch.stack([line, arc], 1))
    solution = dg.solve_bvp(dg.Conformal(problem.density), Astray(), both, throw=False)
    assert solution.results == (dg.Result.converged, dg.Result.not_shortest)


def test_steps_are_reported_as_they_come():
    seen: list[dg.Step] = []
    solution = gaussian().solve(dg.PreconditionedFlow(), callback=seen.append)
    assert tuple(seen) == solution.steps
    assert [s.intervals for s in seen] == sorted(s.intervals for s in seen)
    assert [s.score_evals for s in seen] == sorted(s.score_evals for s in seen)
    assert float(seen[-1].residual) == float(solution.residual)


def test_an_exception_in_the_callback_cancels():
    class CancelledError(Exception):
        pass

    def callback(step: dg.Step) -> None:
        if step.iteration == 2:
            raise CancelledError

    with pytest.raises(CancelledError):
        gaussian().solve(dg.PreconditionedFlow(), callback=callback)


def test_result_of_a_batch_is_the_worst():
    order = [r.name for r in dg.Result]
    good = ["converged", "length_converged"]
    assert order[:3] == [*good, "unresolved"]
    assert order[-1] == "non_finite"
    assert [r.ok for r in dg.Result] == [r.name in good for r in dg.Result]


def test_error_carries_message_and_solution():
    with pytest.raises(dg.GeodesicError, match=r"residual .* after \d+ iterations") as error:
        gaussian().solve(dg.PreconditionedFlow(), tol=1e-13, max_steps=1, throw=True)
    assert isinstance(error.value.solution, dg.Solution)


def test_starts_must_share_their_ends():
    paths = [dg.Line(vector(0, 0), vector(1, 1)), dg.Line(vector(0, 0), vector(1, 1.1))]
    with pytest.raises(ValueError, match="same end points"):
        dg.solve_bvp(dg.Conformal(dg.Gaussian([0.0, 0])), dg.PreconditionedFlow(), paths)
    paths = [dg.Line(vector(0, 0), vector(1, 1)), dg.Line(vector(0, 0, 0), vector(1, 1, 1))]
    with pytest.raises(ValueError, match="same points"):
        dg.solve_bvp(dg.Conformal(dg.Gaussian([0.0, 0])), dg.PreconditionedFlow(), paths)


@pytest.mark.parametrize(
    "options", [{"tol": 0.0}, {"tol": -1.0}, {"tol": math.nan}, {"max_steps": 0}]
)
def test_bad_options(options: dict[str, float]):
    with pytest.raises(ValueError, match="expected tol > 0"):
        gaussian().solve(dg.PreconditionedFlow(), **options)


def test_no_start_at_all():
    with pytest.raises(ValueError, match="no initial path"):
        dg.solve_bvp(dg.Conformal(dg.Gaussian([0.0])), dg.PreconditionedFlow(), [])


@pytest.mark.parametrize("intervals", [(), (3,), (16, 2)])
def test_bad_levels(intervals: tuple[int, ...]):
    with pytest.raises(ValueError, match="at least 4"):
        dg.PreconditionedFlow(intervals)
    with pytest.raises(ValueError, match="at least 4"):
        dg.PreconditionedFlow(refine=(3,))


def test_bad_level():
    with pytest.raises(ValueError, match="at least 2"):
        Level(1, 1e-3, 1e-6, 10)
    with pytest.raises(ValueError, match="0 or more"):
        Level(4, 1e-3, 1e-6, 10, average_last=-1)
    with pytest.raises(ValueError, match="0 or more"):
        dg.PreconditionedFlow(average_last=-1)


def test_a_noisy_score_still_ends():
    """10 % noise, another at every call: no convergence to 1e-3, but a length within 1 %."""
    problem = reference.gaussian(1.0, 1.5, 2.0)
    generator = torch.Generator().manual_seed(0)

    def noisy(x: Tensor) -> Tensor:
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        return -x * (1 + 0.1 * noise)

    solution = dg.geodesic(noisy, problem.start, problem.end, max_steps=20)
    assert torch.isfinite(solution.length)
    exact = dg.measure(dg.Conformal(problem.density), solution.path).length
    assert float(exact) == pytest.approx(1.415722705976, rel=1e-2)


@pytest.mark.slow
def test_averaging_the_last_iterates_of_a_noisy_score():
    """50 % noise, seeded: the mean of the last 20 iterates is nearer to the geodesic."""
    problem = reference.gaussian(1.0, 1.5, 2.0)
    exact = dg.geodesic(problem.density, problem.start, problem.end, tol=1e-5).path
    t = torch.linspace(0, 1, 33, dtype=torch.float64)

    def error(average_last: int) -> float:
        total = 0.0
        for seed in range(3):
            generator = torch.Generator().manual_seed(seed)

            def noisy(x: Tensor, generator: torch.Generator = generator) -> Tensor:
                noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
                return -x + 0.5 * x.norm(dim=-1, keepdim=True) / math.sqrt(2) * noise

            solver = dg.PreconditionedFlow(average_last=average_last)
            connection = dg.Conformal(dg.FunctionScore(noisy), precision=1.0)
            line = dg.Line(problem.start, problem.end)
            path = dg.solve_bvp(connection, solver, line, max_steps=40, throw=False).path
            total += float((path(t) - exact(t)).norm(dim=-1).max())
        return total / 3

    best, mean = error(0), error(20)
    assert mean < 0.75 * best
    assert mean < 2e-2
