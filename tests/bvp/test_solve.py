"""The function that solves every boundary value problem: defaults, options, refusals."""

import math
import pickle
from typing import Any

import pytest
from jaxtyping import TypeCheckError
from torch.testing import assert_close

from diffusion_geodesics.bvp import (
    BoundaryProblem,
    EnergyMinimiser,
    GeodesicError,
    PreconditionedFlow,
    Step,
    solve_bvp,
)
from diffusion_geodesics.density import Gaussian
from diffusion_geodesics.metric import Conformal, ConformalMetric, MetricEnergy
from diffusion_geodesics.path import Line
from tests.exact import vector

LINE = Line(vector(1.5, 0), vector(0.2, 1.2))
PROBLEM = BoundaryProblem(Conformal(Gaussian([0.0, 0.0])), LINE)


def test_the_default_solver_is_that_of_the_geometry():
    flow = solve_bvp(PROBLEM)
    assert_close(flow.length, solve_bvp(PROBLEM, PreconditionedFlow()).length, rtol=0, atol=0)
    energy = MetricEnergy(ConformalMetric(Gaussian([0.0, 0.0])))
    least = solve_bvp(BoundaryProblem(energy, LINE))
    at_start = math.exp(-float(Gaussian([0.0, 0.0]).log_prob(vector(0), vector(1.5, 0)[None])))
    assert float(least.length) == pytest.approx(at_start * float(flow.length), rel=1e-3)


def test_the_limit_of_steps_is_the_solvers_own():
    assert PreconditionedFlow().default_max_steps == 60
    assert EnergyMinimiser().default_max_steps == 200
    solution = solve_bvp(PROBLEM, PreconditionedFlow((8,)), tol=1e-15, max_steps=7)
    assert solution.iterations <= 8


def test_a_failure_is_a_result_unless_it_is_to_be_thrown():
    hasty = solve_bvp(PROBLEM, tol=1e-12, max_steps=1)
    assert not hasty.result.ok
    with pytest.raises(GeodesicError) as error:
        solve_bvp(PROBLEM, tol=1e-12, max_steps=1, throw=True)
    assert_close(error.value.solution.length, hasty.length)
    arrived = pickle.loads(pickle.dumps(error.value))  # as from another process
    assert str(arrived) == str(error.value)
    assert arrived.solution.iterations == error.value.solution.iterations


def test_an_exception_in_the_callback_cancels():
    class CancelledError(Exception):
        pass

    def callback(step: Step) -> None:
        if step.iteration == 2:
            raise CancelledError

    with pytest.raises(CancelledError):
        solve_bvp(PROBLEM, callback=callback)


@pytest.mark.parametrize(
    "options", [{"tol": 0.0}, {"tol": -1.0}, {"tol": math.nan}, {"max_steps": 0}]
)
def test_bad_options(options: dict[str, Any]):
    with pytest.raises(ValueError, match="expected a relative residual 0 < tol"):
        solve_bvp(PROBLEM, **options)


@pytest.mark.parametrize(("problem", "solver"), [("problem", None), (PROBLEM, "flow")])
def test_something_else_is_refused(problem: Any, solver: Any):
    with pytest.raises((TypeError, TypeCheckError)):
        solve_bvp(problem, solver)
