"""The paper's algorithm as published: what it costs, what it finds, what it does not hide."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline
from torch.testing import assert_close

from diffusion_geodesics.bvp import (
    BoundaryProblem,
    PublishedDescent,
    Result,
    Solution,
    mean_norm_sphere,
    published_alpha,
    solve_bvp,
)
from diffusion_geodesics.bvp.published import DescentState
from diffusion_geodesics.density import Gaussian, Score, VonMisesFisher
from diffusion_geodesics.geodesics import geodesic
from diffusion_geodesics.manifold import Sphere
from diffusion_geodesics.metric import Conformal, LogLinear
from diffusion_geodesics.path import Line, chord
from tests.conformance.bvp_solver import BVPSolverSuite, gaussian, von_mises_fisher
from tests.exact import Counting, vector
from tests.problems import reference
from tests.problems.families import Problem

TINY = PublishedDescent(steps=5, learning_rate=2e-4)
"""Stable on the shortest curves of the suite."""
BRIEF = PublishedDescent(steps=10, learning_rate=1e-3, gives_up=False)
"""The algorithm, cut short."""


class TestPublished(BVPSolverSuite):
    @pytest.fixture(
        scope="class",
        params=[TINY, replace(TINY, levels_of=3)],
        ids=["four levels", "three"],
    )
    @classmethod
    def solver(cls, request: pytest.FixtureRequest) -> Any:
        return request.param


def _solve(problem: Problem, solver: PublishedDescent, score: Score | None = None) -> Solution:
    manifold = problem.manifold
    line = chord(manifold.project(problem.start), manifold.project(problem.end), manifold)
    connection = Conformal(score or problem.density, problem.alpha, manifold)
    return solve_bvp(BoundaryProblem(connection, line), solver)


Nodes = dict[float, np.ndarray]


def _project(x: np.ndarray, off: np.ndarray) -> np.ndarray:
    return x - (x @ off) / (off @ off) * off


def ported(
    score: Callable[[np.ndarray], np.ndarray], a: np.ndarray, b: np.ndarray, alpha: float
) -> Iterator[Nodes]:
    """The authors' algorithm on the sphere of the mean norm, point by point and from its
    description alone: the nodes after each iteration, by their parameters."""
    radius = 0.5 * (np.linalg.norm(a) + np.linalg.norm(b))
    nodes = {t: radius * x / np.linalg.norm(x) for t, x in ((0.0, a), (1.0, b))}
    level = 1

    def segment(t: float, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Point and velocity of the slerp that holds t, on one side of it."""
        known = sorted(nodes)
        left = max(k for k in known if (k < t if side < 0 else k <= t))
        right = min(k for k in known if (k >= t if side < 0 else k > t))
        x, y, u = nodes[left], nodes[right], (t - left) / (right - left)
        angle = np.arccos(np.clip(x @ y / radius**2, -1, 1))
        sin = np.sin(angle)
        point = (np.sin((1 - u) * angle) * x + np.sin(u * angle) * y) / sin
        turn = (-np.cos((1 - u) * angle) * x + np.cos(u * angle) * y) * angle / sin
        return point, turn / (right - left)

    for i in range(400):
        if level <= 4:
            times = [k / 2**level for k in range(1, 2**level)]
            known = sorted(nodes)
            bends = dict.fromkeys(times, 0 * a)
            if len(known) > 2:
                values = np.stack([nodes[k] for k in known])
                spline = CubicSpline(known, values, bc_type="natural")
                bends = {t: spline(t, 2) for t in times}
            moves, pulls, turns = {}, [], []
            for t in times:
                sides = [segment(t, -1), segment(t, 1)]
                x = nodes.get(t, sides[0][0])
                v = 0.5 * (sides[0][1] + sides[1][1])
                pull = _project(_project(score(x), x), v)
                turn = _project(_project(bends[t], x) / (v @ v), v) / alpha
                pulls.append(np.linalg.norm(pull))
                turns.append(np.linalg.norm(turn))
                moved = x + 0.1 * (1 - i / 400) / len(times) * (pull + turn)
                moves[t] = radius * moved / np.linalg.norm(moved)
            if np.mean(pulls) < np.mean(turns):
                level += 1
            else:
                nodes = {**nodes, **moves}
                level += i + 1 >= 100 * level
        yield dict(nodes)


def _on_the_sphere(kappa: float, radius: float, angle: float) -> Problem:
    """A constant score on a sphere; ends off the equator, so that the path bends."""
    density = VonMisesFisher([0.0, 0.0, 0.6, 0.8], kappa, radius)
    polar = vector(math.cos(0.3), 0, math.sin(0.3), 0)
    end = vector(math.cos(0.2) * math.cos(angle), math.cos(0.2) * math.sin(angle), 0, math.sin(0.2))
    return Problem(density, 0.9 * radius * polar, 1.1 * radius * end, 0.002, Sphere(radius))


def _mixture() -> Problem:
    problem = reference.sphere(0.002)
    return replace(problem, manifold=mean_norm_sphere(problem.start, problem.end))


# At a fixed point of the iteration both terms have the same norm, and rounding decides whether a
# level is left; here they differ by more than 1e-3 at every decision.
CASES = {
    "constant score, leaves two levels": lambda: _on_the_sphere(3000.0, 128.0, 1.2),
    "constant score, stays": lambda: _on_the_sphere(300.0, 128.0, 2.0),
    "constant score, leaves the last levels": lambda: _on_the_sphere(20.0, 70.0, 1.4),
    "160 components": _mixture,
}


@cache
def _recorded(case: str) -> tuple[Solution, list[DescentState]]:
    """The solution of a case, and the state after every iteration."""
    states: list[DescentState] = []
    advance = PublishedDescent.advance

    def recording(self: PublishedDescent, *arguments: Any) -> Any:
        after, seen = advance(self, *arguments)
        states.append(after)
        return after, seen

    with patch.object(PublishedDescent, "advance", recording):
        return _solve(CASES[case](), PublishedDescent()), states


def _published(case: str) -> Solution:
    return _recorded(case)[0]


@pytest.mark.usefixtures("unchecked_types")  # the suite above checks them; here they take most time
@pytest.mark.parametrize("case", CASES)
def test_the_nodes_are_those_of_the_port_after_every_iteration(case: str):
    problem, states = CASES[case](), _recorded(case)[1]
    density = problem.density

    def score(x: np.ndarray) -> np.ndarray:
        return density(torch.zeros(()).double(), torch.from_numpy(x)).numpy()

    theirs = ported(score, problem.start.numpy(), problem.end.numpy(), problem.alpha)
    ended = [states[-1]] * (400 - len(states))
    for nodes, state in zip(theirs, [*states, *ended], strict=True):
        known = int(state.known)
        assert sorted(nodes) == [k / 2**known for k in range(2**known + 1)]
        expected = torch.from_numpy(np.stack([nodes[t] for t in sorted(nodes)]))
        ours = state.nodes[:: 2 ** (4 - known), 0]
        assert_close(ours, expected, rtol=0, atol=1e-8)


def test_the_cases_leave_levels_as_they_say():
    left = {name: [g.intervals for g in _published(name).given_up] for name in CASES}
    assert left == {
        "constant score, leaves two levels": [4, 8],
        "constant score, stays": [],
        "constant score, leaves the last levels": [4, 8, 16],
        "160 components": [16],
    }


def test_cost_without_leaving_a_level():
    """100 · 26 evaluations in 400 batches, and 82 in 3; with 10 steps, the same formula."""
    assert PublishedDescent().iterations == 400
    solution = gaussian().solve(BRIEF)
    assert [s.intervals for s in solution.steps] == [n for n in (2, 4, 8, 16) for _ in range(10)]
    assert solution.nfe == 10 * (1 + 3 + 7 + 15) + 2 + 15 + 65
    assert solution.batches == 4 * 10 + 3
    assert solution.given_up == ()


def test_a_level_that_is_left_gives_its_iterations_to_the_next():
    solution = _published("constant score, leaves two levels")
    taken = Counter(s.intervals for s in solution.steps)
    assert sum(taken.values()) <= 400
    for level in (1, 2, 3):
        left = [g for g in solution.given_up if g.intervals == 2**level]
        if left:
            assert taken[2**level] == left[0].steps + 1
        else:
            assert sum(taken[2**k] for k in range(1, level + 1)) == 100 * level


@pytest.mark.slow
def test_levels_bound_the_cost():
    for gives_up, most in ((True, 5966), (False, 2600)):
        levels = PublishedDescent(gives_up=gives_up).levels(1e-3, 60)
        assert sum((x.max_steps + 1) * (x.intervals - 1) for x in levels) == most
        assert sum(x.max_steps + 1 for x in levels) == 400
    assert max(_published(name).nfe for name in list(CASES)[:3]) <= 5966 + 82


def test_new_points_are_on_the_segments():
    """With no force and no bend nothing moves: on the sphere slerp, in the plane lerp."""
    easy = von_mises_fisher()
    connection = Conformal(easy.density, 0.0, easy.manifold)
    arc = chord(easy.start, easy.end, easy.manifold)
    solution = solve_bvp(BoundaryProblem(connection, arc), replace(BRIEF, gives_up=True))
    t = torch.linspace(0, 1, 17, dtype=torch.float64)
    assert_close(solution.path(t), arc(t), rtol=0, atol=1e-12)
    assert solution.result is Result.converged
    assert solution.given_up == ()


@pytest.mark.slow
def test_pairs_that_leave_at_different_times_are_as_alone():
    first = CASES["constant score, leaves the last levels"]()
    far = 70.0 * vector(math.cos(0.3), math.sin(0.3), 0, 0)
    start, end = torch.stack([first.start] * 2), torch.stack([first.end, far])
    both = replace(first, start=start, end=end)
    brief = PublishedDescent(steps=40)
    batch = _solve(both, brief)
    assert len({g.steps for g in batch.given_up}) > 1
    for i in range(2):
        alone = _solve(replace(both, start=start[i], end=end[i]), brief)
        assert_close(batch.path.nodes[:, i], alone.path.nodes, rtol=0, atol=1e-9)
        assert [g.intervals for g in batch.pair(i).given_up] == [
            g.intervals for g in alone.given_up
        ]


def test_it_needs_a_power_of_the_density():
    connection = Conformal(Gaussian([0.0, 0.0]), LogLinear(0.1))
    problem = BoundaryProblem(connection, Line(vector(1, 0), vector(0, 1)))
    with pytest.raises(ValueError, match="expected Conformal"):
        solve_bvp(problem, PublishedDescent())


def test_leaving_a_level_is_reported():
    solution = _published("constant score, leaves the last levels")
    assert [g.intervals for g in solution.given_up] == [4, 8, 16]
    assert any("given up early" in w for w in solution.warnings)
    assert solution.result is Result.given_up


def test_it_is_near_a_geodesic_and_says_that_it_is_none():
    """The natural spline's γ'' is wrong beside the ends: the path is longer, its residual large."""
    solution = _published("160 components")
    exact = next(r for r in reference.REFERENCES if r.name == "sphere, 16384-d, α 0.002").length
    excess = float(solution.length) / exact - 1
    assert 1e-3 < excess < 0.05
    assert float(solution.residual) > 0.05
    assert not solution.result.ok


def test_every_iteration_is_one_evaluation_a_control_point():
    score = Counting(reference.gaussian(1.0, 1.5, 2.0).density)
    _solve(reference.gaussian(1.0, 1.5, 2.0), BRIEF, score)
    assert score.sizes == [2, *[n for n in (1, 3, 7, 15) for _ in range(10)], 15, 65]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Gaussian, α 1, radius 1.5, angle 2", "three components", "ring"])
def test_the_default_solver_is_shorter(name: str):
    case = next(r for r in reference.REFERENCES if r.name == name)
    problem = case.make()
    default = geodesic(problem.density, problem.start, problem.end, alpha=problem.alpha)
    published = _solve(problem, PublishedDescent())
    assert float(default.length) == pytest.approx(case.length, rel=1e-5)
    assert not float(published.length) < float(default.length) * 1.001  # NaN where it blew up
    assert published.warnings


def test_scale_of_the_published_strength():
    """MATH: at noise level 0.6 of their schedule, σ = 0.906, their α acts as 0.453 α."""
    assert published_alpha(0.002, 0.906) == pytest.approx(0.002 * 0.453)
    for bad in ((-1.0, 0.5), (1.0, 0.0), (1.0, math.nan)):
        with pytest.raises(ValueError, match="expected alpha"):
            published_alpha(*bad)


def test_sphere_of_mean_norm():
    assert mean_norm_sphere(vector(3, 4), vector(0, 7)) == Sphere(6.0)


@pytest.mark.parametrize("options", [{"levels_of": 0}, {"steps": 0}, {"learning_rate": 0.0}])
def test_bad_options(options: dict[str, Any]):
    with pytest.raises(ValueError, match="expected positive"):
        PublishedDescent(**options)
