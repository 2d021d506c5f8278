"""Shooting against the flow and exact lengths, and its refusals."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.bvp import GeodesicError, Result, Shooting
from diffusion_geodesics.density import Gaussian, HalfPlane, VonMisesFisher
from diffusion_geodesics.geodesics import geodesic
from diffusion_geodesics.ivp import IsokineticSplitting, RungeKutta
from diffusion_geodesics.manifold import Sphere
from tests.exact import Counting, GaussianEach, vector
from tests.problems import reference
from tests.problems.families import Problem

QUICK = RungeKutta(steps=12)
ROBUST = IsokineticSplitting(steps=10)
"""Keeps its speed however strong the score is."""


@pytest.mark.parametrize("segments", [1, 3])
def test_gaussian(segments: int):
    end = vector(1.5 * math.cos(2), 1.5 * math.sin(2))
    score = Counting(Gaussian([0.0, 0.0]))
    solution = geodesic(score, vector(1.5, 0), end, solver=Shooting(segments, QUICK, landing=1e-5))
    assert solution.result is Result.converged
    assert float(solution.length) == pytest.approx(1.415722705976, rel=2e-6)
    assert (solution.batches, solution.nfe) == (score.batches, score.nfe)
    assert_close(solution.path(torch.tensor([0.0, 1.0]).double())[1], end)


def test_multiple_shooting_on_the_sphere():
    start = vector(math.sin(1.2), 0, math.cos(1.2))
    end = vector(math.sin(1.2) * math.cos(2), math.sin(1.2) * math.sin(2), math.cos(1.2))
    solution = geodesic(
        VonMisesFisher([0.0, 0.0, 1.0], 0.5),
        start,
        end,
        manifold=Sphere(1.0),
        solver=Shooting(2, QUICK),
    )
    assert solution.result is Result.converged
    assert float(solution.length) == pytest.approx(1.63282708999, rel=1e-6)


@pytest.mark.parametrize(
    "problem", [reference.von_mises_fisher(2.0), reference.ring()], ids=["sphere", "ring"]
)
def test_a_longer_way_is_called_so(problem: Problem):
    """From the chord it hits the target by geodesics 29 and 35 times longer than the shortest."""
    score, solver = Counting(problem.density), Shooting(1, QUICK, landing=1e-3)
    solution = geodesic(score, problem.start, problem.end, manifold=problem.manifold, solver=solver)
    assert solution.result is Result.not_shortest
    assert solution.starts[0].results == (Result.converged,)
    assert float(solution.length) > 25
    assert "longer than another known path" in solution.warnings[0]
    assert (solution.batches, solution.nfe) == (score.batches, score.nfe)


def test_a_batch_agrees_with_the_flow():
    """Every pair has its own density, and a dimension in which nothing happens."""
    density = GaussianEach(torch.tensor([[0.3, 0, 0], [0, 0.2, 0]], dtype=torch.float64))
    x = torch.tensor([[1.0, 0, 0], [1.2, 0, 0]], dtype=torch.float64)
    y = torch.tensor([[0, 1.0, 0], [-0.3, 1.0, 0]], dtype=torch.float64)
    shot = geodesic(density, x, y, alpha=0.5, solver=Shooting(1, QUICK))
    flow = geodesic(density, x, y, alpha=0.5)
    assert shot.result is Result.converged
    assert_close(shot.length, flow.length, rtol=1e-5, atol=0)
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    assert_close(shot.path(t), flow.path(t), rtol=0, atol=2e-3)


@pytest.mark.parametrize(
    ("alpha", "result"), [(1.0, Result.not_converged), (4.0, Result.growth_too_large)]
)
def test_refuses_a_strong_barrier(alpha: float, result: Result):
    """Along the first guess errors grow mildly for α = 1, and Newton's method gets nowhere; for
    α = 4 they grow more than 1e4 times, and it is not tried."""
    score = Counting(Gaussian([0.0, 0.0]))
    end = vector(8 * math.cos(1), 8 * math.sin(1))
    solver = Shooting(1, ROBUST)
    with pytest.raises(GeodesicError) as error:
        geodesic(score, vector(8, 0), end, alpha=alpha, solver=solver, throw=True)
    solution = error.value.solution
    assert solution.result is result
    assert not solution.result.ok
    assert score.nfe == solution.nfe < 1500


def test_rays_that_leave_the_domain_are_reported():
    """Launched along the chord, the ray from (0, 1) bends below y = 0."""
    solution = geodesic(HalfPlane(), vector(0, 1), vector(2, 0.3), solver=Shooting(1, QUICK))
    assert solution.result is Result.non_finite


def test_identical_ends():
    solution = geodesic(Gaussian([0.0, 0.0]), vector(1, 2), vector(1, 2), solver=Shooting(1, QUICK))
    assert float(solution.length) == 0


def test_bad_settings():
    with pytest.raises(ValueError, match="segments"):
        Shooting(segments=0)
    with pytest.raises(ValueError, match="landing"):
        Shooting(landing=0)
