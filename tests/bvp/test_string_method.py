"""The string method: exact paths of maximal density, order of convergence, conformance."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.bvp import BoundaryProblem, Result, Solution, solve_bvp
from diffusion_geodesics.bvp.string_method import StringMethod, equal_chords
from diffusion_geodesics.density import Density, Gaussian, GaussianMixture, VonMisesFisher
from diffusion_geodesics.geodesics import geodesic
from diffusion_geodesics.length import measure
from diffusion_geodesics.manifold import Flat, Manifold, Sphere
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.path import Spline, chord
from tests.conformance.bvp_solver import BVPSolverSuite, Solver
from tests.exact import vector
from tests.problems import reference


class TestString(BVPSolverSuite):
    @pytest.fixture(scope="class", params=[(4, 8)], ids=["two levels"])
    @classmethod
    def solver(cls, request: pytest.FixtureRequest) -> Solver:
        return StringMethod(request.param, coarse_residual=0.2)


def _solve(
    density: Density,
    start: Tensor,
    end: Tensor,
    solver: StringMethod,
    manifold: Manifold | None = None,
    tol: float = 1e-3,
) -> Solution:
    manifold = Flat() if manifold is None else manifold
    connection = Conformal(density, 1.0, manifold)
    return solve_bvp(
        BoundaryProblem(connection, chord(start, end, manifold)),
        solver,
        tol=tol,
        max_steps=100,
        throw=False,
    )


def _nodes(solution: Solution) -> Tensor:
    assert isinstance(solution.path, Spline)
    return solution.path.nodes


def test_string_of_a_gaussian_goes_through_its_mean():
    """From each end straight to the mode, whatever the angle between."""
    start, end = vector(2, 0), vector(0.5, 1.5)
    solution = _solve(Gaussian([0.0, 0.0]), start, end, StringMethod())
    assert solution.result is Result.converged
    nodes = _nodes(solution)
    first, second = nodes[:15], nodes[-11:]
    assert_close(first[:, 1], torch.zeros_like(first[:, 1]), rtol=0, atol=1e-5)
    assert_close(second[:, 1], 3 * second[:, 0], rtol=0, atol=1e-5)
    assert float(nodes.norm(dim=-1).min()) < 0.1  # a node near the mean: they do not sit on it


def test_two_components_cross_at_the_saddle():
    """The line between equal components is the path, whatever the end points are beside it."""
    density = GaussianMixture([[-2.0, 0.0], [2.0, 0.0]], 1.0)
    solution = _solve(density, vector(-2, 1), vector(2, 1), StringMethod())
    assert solution.result is Result.converged
    nodes = _nodes(solution)
    middle = nodes[8:-8]
    assert_close(middle[:, 1], torch.zeros_like(middle[:, 1]), rtol=0, atol=1e-3)
    dip = density.log_prob(torch.zeros(()), vector(0, 0)) - density.log_prob(
        torch.zeros(()), vector(-2, 1)
    )
    t = torch.linspace(0.3, 0.7, 401, dtype=torch.float64)
    lowest = solution.profile.log_density_at(t).min()
    assert float(lowest) == pytest.approx(float(dip), abs=1e-4)


def test_ring_has_order_two():
    """Between two components, where the ridge leaves the circle through the means."""
    problem = reference.ring()
    radius = [
        float(
            _nodes(
                _solve(problem.density, problem.start, problem.end, StringMethod((n,)), tol=1e-5)
            )[n // 2].norm()
        )
        for n in (16, 32, 64)
    ]
    order = math.log2((radius[0] - radius[1]) / (radius[1] - radius[2]))
    assert order == pytest.approx(2, abs=0.7), radius


def test_on_the_sphere_it_goes_through_the_pole():
    """The density grows towards the pole: meridians up and down."""
    angle, turn = 1.2, 2.0
    start = vector(math.sin(angle), 0, math.cos(angle))
    end = vector(
        math.sin(angle) * math.cos(turn), math.sin(angle) * math.sin(turn), math.cos(angle)
    )
    density = VonMisesFisher([0.0, 0.0, 1.0], 2.0)
    solution = _solve(density, start, end, StringMethod(), Sphere(1.0))
    assert solution.result is Result.converged
    nodes = _nodes(solution)
    assert float(nodes[:, 2].max()) > math.cos(0.1)
    assert_close(nodes[:12, 1], torch.zeros(12, dtype=torch.float64), rtol=0, atol=1e-4)
    assert_close(nodes.norm(dim=-1), torch.ones(33, dtype=torch.float64))


def test_it_is_what_geodesics_become():
    """The density along it is nowhere lower than along a geodesic's lowest point, and it is longer
    than the geodesic in the geodesic's own metric."""
    problem = reference.three_components()
    string = _solve(problem.density, problem.start, problem.end, StringMethod())
    shortest = geodesic(problem.density, problem.start, problem.end)
    assert string.result is Result.converged
    assert float(string.log_density.min()) > float(shortest.log_density.min())
    assert float(string.length) > float(shortest.length)


def test_it_may_be_longer_than_its_initial_path():
    """In the metric of a small α, where that is no sign of a wrong answer."""
    line = chord(vector(2, 0), vector(0.5, 1.5), Flat())
    connection = Conformal(Gaussian([0.0, 0.0]), 0.01)
    solution = solve_bvp(BoundaryProblem(connection, line), StringMethod(), max_steps=100)
    assert solution.result is Result.converged
    assert float(solution.length) > 1.3 * float(measure(connection, line).length)


def test_residual_is_the_share_of_the_score_across_the_path():
    problem = reference.ring()
    solution = _solve(problem.density, problem.start, problem.end, StringMethod((16,)), tol=1e-9)
    assert float(solution.residual) < 1e-6
    bent = geodesic(problem.density, problem.start, problem.end)
    again = solve_bvp(
        BoundaryProblem(Conformal(problem.density), bent.path),
        StringMethod((32,)),
        max_steps=1,
        throw=False,
    )
    assert float(again.steps[0].residual[0]) > 0.1


def test_nodes_have_equal_chords():
    problem = reference.three_components()
    nodes = _nodes(_solve(problem.density, problem.start, problem.end, StringMethod()))
    steps = (nodes[1:] - nodes[:-1]).norm(dim=-1)
    assert float(steps.max() / steps.min()) < 1.03


def test_equal_chords_of_a_polygon():
    corner = torch.tensor([[0.0, 0], [0.1, 0], [1, 0], [1, 0.2], [1, 1]], dtype=torch.float64)
    spaced = equal_chords(corner[:, None])[:, 0]
    expected = torch.tensor([[0.0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1]], dtype=torch.float64)
    assert_close(spaced, expected)


@pytest.mark.parametrize("options", [{"intervals": ()}, {"intervals": (3,)}, {"memory": -1}])
def test_bad_options(options: dict[str, object]):
    with pytest.raises(ValueError, match="at least 4"):
        StringMethod(**options)  # type: ignore[arg-type]
