"""What every boundary value solver must do, on problems that are easy for all of them.

:class:`BVPSolverSuite` is for every solver, whatever curve it looks for and however well it finds
it; :class:`GeodesicSolverSuite` is for those that converge to geodesics.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.bvp import (
    BoundaryProblem,
    GeodesicError,
    PreconditionedFlow,
    PublishedDescent,
    RelaxationSolver,
    Result,
    Solution,
    solve_bvp,
)
from diffusion_geodesics.bvp.euler_lagrange import evaluate, evaluate_ends
from diffusion_geodesics.density import Density, Gaussian, VonMisesFisher
from diffusion_geodesics.manifold import Flat, Manifold, Sphere
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.path import Line, Spline, chord
from tests.exact import Counting, GaussianEach, Wall, vector

Solver = RelaxationSolver[Any] | PublishedDescent


@dataclass(frozen=True)
class Easy:
    """A mild problem; ``length`` is exact to 1e-6."""

    density: Density
    start: Tensor
    end: Tensor
    alpha: float
    manifold: Manifold

    def solve(self, solver: Solver, **options: Any) -> Solution:
        connection = Conformal(self.density, self.alpha, self.manifold)
        options = {"max_steps": 200, "throw": False} | options
        return solve_bvp(
            BoundaryProblem(connection, chord(self.start, self.end, self.manifold)),
            solver,
            **options,
        )


def _on_circle(radius: float, angle: float) -> Tensor:
    return vector(radius * math.cos(angle), radius * math.sin(angle))


def gaussian() -> Easy:
    return Easy(Gaussian([0.0, 0.0]), _on_circle(1.5, 0), _on_circle(1.2, 1), 0.3, Flat())


def von_mises_fisher() -> Easy:
    start, end = vector(2, 0.5, 0.3), vector(-0.2, 1.5, 0.6)
    sphere = Sphere(2.0)
    density = VonMisesFisher([0.0, 0.0, 1.0], 0.5, 2.0)
    return Easy(density, sphere.project(start), sphere.project(end), 1.0, sphere)


class BVPSolverSuite:
    """Subclasses provide the fixture ``solver``, of scope ``class``."""

    @pytest.fixture(scope="class", params=[gaussian, von_mises_fisher], ids=["flat", "sphere"])
    @classmethod
    def easy(cls, request: pytest.FixtureRequest) -> Easy:
        return request.param()

    @pytest.fixture(scope="class")
    @classmethod
    def solved(cls, solver: Solver, easy: Easy) -> Solution:
        return easy.solve(solver)

    def test_ends_are_untouched(self, easy: Easy, solved: Solution):
        ends = solved.path(torch.tensor([0.0, 1.0], dtype=torch.float64))
        assert_close(ends, torch.stack([easy.start, easy.end]), rtol=1e-14, atol=1e-14)

    def test_stays_on_the_manifold(self, easy: Easy, solved: Solution):
        x = solved.path(torch.linspace(0, 1, 33, dtype=torch.float64))
        assert_close(easy.manifold.project(x), x, rtol=1e-12, atol=1e-12)

    def test_counts_what_it_costs(self, solver: Solver, easy: Easy):
        score = Counting(easy.density)
        connection = Conformal(score, easy.alpha, easy.manifold)
        solution = solve_bvp(
            BoundaryProblem(connection, chord(easy.start, easy.end, easy.manifold)),
            solver,
            max_steps=200,
            throw=False,
        )
        assert (solution.nfe, solution.batches) == (score.nfe, score.batches)
        assert solution.iterations == len(solution.steps)
        assert [s.iteration for s in solution.steps] == list(range(1, solution.iterations + 1))

    def test_is_deterministic(self, solver: Solver, easy: Easy, solved: Solution):
        first, second = solved, easy.solve(solver)
        assert (first.nfe, first.batches) == (second.nfe, second.batches)
        t = torch.linspace(0, 1, 9, dtype=torch.float64)
        assert_close(first.path(t), second.path(t), rtol=0, atol=0)

    def test_a_batch_is_a_loop(self, solver: Solver):
        """Pairs that end at different iterations, one of them without any."""
        start = torch.stack([_on_circle(r, 0) for r in (1.5, 0.1, 1.0, 1.3)])
        end = torch.stack([_on_circle(r, a) for r, a in ((1.2, 1.0), (0.1, 0.5), (1.0, 0), (2, 2))])
        easy = Easy(Gaussian([0.0, 0.0]), start, end, 0.3, Flat())
        batch = easy.solve(solver)
        singles = [
            Easy(easy.density, a, b, 0.3, Flat()).solve(solver)
            for a, b in zip(start, end, strict=True)
        ]
        assert len({s.iterations for s in singles}) > 1
        assert batch.results == tuple(s.result for s in singles)
        assert_close(batch.length, torch.stack([s.length for s in singles]), rtol=1e-7, atol=1e-12)
        assert_close(
            batch.residual, torch.stack([s.residual for s in singles]), rtol=1e-3, atol=1e-9
        )
        t = torch.linspace(0, 1, 9, dtype=torch.float64)
        alone = torch.stack([s.path(t) for s in singles], 1)
        assert_close(batch.path(t), alone, rtol=0, atol=1e-6)
        assert batch.nfe == sum(s.nfe for s in singles)

    def test_batch_axes(self, solver: Solver, easy: Easy, solved: Solution):
        single = solved
        start, end = (x.expand(2, 3, -1) for x in (easy.start, easy.end))
        many = Easy(easy.density, start, end, easy.alpha, easy.manifold).solve(solver)
        assert many.length.shape == many.residual.shape == many.distance_error.shape == (2, 3)
        assert many.log_density.shape == (65, 2, 3)
        assert len(many.results) == 6
        assert_close(many.length, single.length.expand(2, 3), rtol=1e-9, atol=0)

    def test_each_path_has_its_own_score(self, solver: Solver):
        means = torch.stack([vector(0, 0), vector(1, 1), vector(0, -1)])
        start, end = _on_circle(1.5, 0).expand(3, 2), _on_circle(1.2, 1).expand(3, 2)
        batch = solve_bvp(
            BoundaryProblem(Conformal(GaussianEach(means), 0.3), Line(start, end)),
            solver,
            max_steps=200,
            throw=False,
        )
        for i, mean in enumerate(means):
            one = Easy(Gaussian(mean), start[i], end[i], 0.3, Flat()).solve(solver)
            assert float(batch.length[i]) == pytest.approx(float(one.length), rel=1e-7)

    def test_reversal(self, solver: Solver, easy: Easy, solved: Solution):
        there = solved
        back = Easy(easy.density, easy.end, easy.start, easy.alpha, easy.manifold).solve(solver)
        assert there.iterations == back.iterations
        assert_close(there.distance, back.distance, rtol=1e-9, atol=0)
        t = torch.linspace(0, 1, 9, dtype=torch.float64)
        assert_close(there.path(t), back.path(1 - t), rtol=0, atol=1e-7)

    def test_non_finite_score(self, solver: Solver):
        line = Line(vector(0, 0), vector(2, 1))
        solution = solve_bvp(BoundaryProblem(Conformal(Wall(1.0)), line), solver, throw=False)
        assert solution.result is Result.non_finite
        assert "not finite" in solution.result.message

    def test_one_bad_pair_does_not_spoil_the_others(self, solver: Solver):
        start = torch.stack([_on_circle(1.5, 0), _on_circle(0.9, 0), vector(0, 1)])
        end = torch.stack([_on_circle(1.2, 1), _on_circle(0.8, 1), vector(3, 1)])
        connection = Conformal(Wall(2.0), 0.3)
        solution = solve_bvp(
            BoundaryProblem(connection, Line(start, end)), solver, max_steps=200, throw=False
        )
        assert [r is Result.non_finite for r in solution.results] == [False, False, True]
        alone = BoundaryProblem(connection, Line(start[:2], end[:2]))
        good = solve_bvp(alone, solver, max_steps=200)
        assert_close(solution.length[:2], good.length, rtol=1e-7, atol=0)
        assert solution.results[:2] == good.results
        assert solution.result is Result.non_finite


class GeodesicSolverSuite(BVPSolverSuite):
    """For solvers that converge to geodesics."""

    def test_converges(self, easy: Easy, solved: Solution):
        solution = solved
        assert solution.result is Result.converged
        assert float(solution.residual) < 1e-3
        fine = easy.solve(PreconditionedFlow((96,)), tol=1e-4)
        assert float(solution.length) == pytest.approx(float(fine.length), rel=3e-5)
        t = torch.linspace(0, 1, 9, dtype=torch.float64)
        assert_close(solution.path(t), fine.path(t), rtol=0, atol=5e-3)

    def test_several_starts(self, solver: Solver):
        easy = gaussian()
        t = torch.linspace(0, 1, 17, dtype=torch.float64)
        line = Line(easy.start, easy.end)
        bump = torch.sin(torch.pi * t)[:, None] * vector(0.2, 0.2)
        paths = [Spline(line(t) + bump), line, Spline(line(t) - bump)]
        connection = Conformal(easy.density, easy.alpha)
        solution = solve_bvp(BoundaryProblem(connection, paths), solver, max_steps=200)
        assert len(solution.starts) == 3
        single = easy.solve(solver)
        for start in solution.starts:
            assert float(start.length) == pytest.approx(float(single.length), rel=1e-5)
            assert start.results[0].ok

    def test_a_smaller_tolerance(self, solver: Solver, easy: Easy, solved: Solution):
        fine = easy.solve(solver, tol=1e-5)
        assert float(fine.residual) < 1e-5
        assert fine.iterations >= solved.iterations
        assert float(fine.length) == pytest.approx(float(solved.length), rel=1e-5)

    def test_step_limit(self, solver: Solver, easy: Easy):
        solution = easy.solve(solver, tol=1e-12, max_steps=1, throw=False)
        assert solution.result in (Result.max_steps, Result.not_converged)
        assert float(solution.residual) > 1e-12
        with pytest.raises(GeodesicError) as error:
            easy.solve(solver, tol=1e-12, max_steps=1, throw=True)
        assert_close(error.value.solution.length, solution.length)

    def test_reports_the_best_of_its_steps(self, solver: Solver, easy: Easy):
        """Or, where it averages iterates and did not end by itself, that of their mean."""
        solution = easy.solve(solver, tol=1e-12, max_steps=5, throw=False)
        finest = solution.steps[-1].intervals
        residuals = [float(s.residual[0]) for s in solution.steps if s.intervals == finest]
        at_limit = solution.result in (Result.max_steps, Result.not_converged)
        if solver.levels(1e-12, 5)[-1].average_last > 1 and at_limit:
            assert float(solution.residual) not in residuals
        else:
            assert float(solution.residual) == min(residuals)

    def test_residual_is_that_of_the_path(self, solver: Solver, easy: Easy):
        solution = easy.solve(solver, tol=1e-12, max_steps=5, throw=False)
        connection = Conformal(easy.density, easy.alpha, easy.manifold)
        nodes = solution.path.nodes[:, None]
        assert len(nodes) == solution.steps[-1].intervals + 1
        again = evaluate(connection, evaluate_ends(connection, nodes), nodes)
        assert_close(again.residual[0], solution.residual, rtol=1e-9, atol=1e-12)

    def test_translation_rotation_and_scale(self, solver: Solver):
        easy = gaussian()
        turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
        shift, scale = vector(5, -3), 7.0

        def moved(x: Tensor) -> Tensor:
            return scale * x @ turn.T + shift

        other = Easy(Gaussian(shift, scale), moved(easy.start), moved(easy.end), 0.3, Flat()).solve(
            solver
        )
        plain = easy.solve(solver)
        assert (other.iterations, other.nfe) == (plain.iterations, plain.nfe)
        assert_close(other.length, scale * plain.length, rtol=1e-8, atol=0)
        assert_close(other.residual, plain.residual, rtol=1e-4, atol=1e-8)
        t = torch.linspace(0, 1, 9, dtype=torch.float64)
        assert_close(other.path(t), moved(plain.path(t)), rtol=0, atol=1e-6)

    def test_good_pairs_end_well_beside_a_bad_one(self, solver: Solver):
        start = torch.stack([_on_circle(1.5, 0), _on_circle(0.9, 0), vector(0, 1)])
        end = torch.stack([_on_circle(1.2, 1), _on_circle(0.8, 1), vector(3, 1)])
        connection = Conformal(Wall(2.0), 0.3)
        solution = solve_bvp(
            BoundaryProblem(connection, Line(start, end)), solver, max_steps=200, throw=False
        )
        assert [r.ok for r in solution.results] == [True, True, False]
