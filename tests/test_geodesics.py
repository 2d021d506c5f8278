"""The one door: exact geodesics, properties of the distance, basins."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.bvp import PreconditionedFlow, Result
from diffusion_geodesics.density import Gaussian, GaussianMixture, HalfPlane
from diffusion_geodesics.geodesics import STARTS, geodesic
from diffusion_geodesics.length import measure
from diffusion_geodesics.manifold import Flat, SpaceForm, Sphere
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.path import Line, Spline
from tests.exact import MovingGaussian, vector
from tests.problems import reference
from tests.problems.reference import Stereographic, hyperbolic_distance, stereographic_distance


def _grid(count: int) -> Tensor:
    return torch.linspace(0, 1, count, dtype=torch.float64)


def _mixture(seed: int) -> tuple[GaussianMixture, Tensor]:
    """A mild random mixture in the plane, and three points among its components."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(6, 2, generator=generator, dtype=torch.float64)
    return GaussianMixture(x[:3], 1.0), 0.7 * x[3:]


coordinates = st.floats(-3, 3)
heights = st.floats(-1.6, 1.6).map(math.exp)


@settings(max_examples=12)
@given(coordinates, heights, coordinates, heights)
def test_half_plane_geodesics_are_semicircles(xa: float, ya: float, xb: float, yb: float):
    a, b = vector(xa, ya), vector(xb, yb)
    solution = geodesic(HalfPlane(), a, b)
    assert solution.converged
    exact = hyperbolic_distance(a, b)
    length, error = float(solution.length) / ya, float(solution.distance_error) / ya
    assert length == pytest.approx(exact, rel=2e-5, abs=1e-10)
    assert abs(length - exact) <= 3 * error + 1e-7 * exact + 1e-10
    if abs(xb - xa) > 0.1:
        centre = (xb**2 + yb**2 - xa**2 - ya**2) / (2 * (xb - xa))
        x = solution.path(_grid(17))
        radius = (x - vector(centre, 0)).norm(dim=-1)
        assert_close(radius, radius[0].expand(17), rtol=5e-3, atol=0)


@settings(max_examples=10)
@given(st.tuples(*[st.floats(-1.2, 1.2)] * 6))
def test_great_circles_by_stereographic_projection(x: tuple[float, ...]):
    a, b = vector(*x[:3]), vector(*x[3:])
    solution = geodesic(Stereographic(), a, b)
    assert solution.converged
    length = float(solution.length) * 2 / (1 + float(a.square().sum()))
    assert length == pytest.approx(stereographic_distance(a, b), rel=1e-5, abs=1e-10)


@settings(max_examples=6)
@given(st.integers(0, 10**6), st.sampled_from([0.3, 1.0]))
def test_distance_is_symmetric_and_shorter_than_the_chord(seed: int, alpha: float):
    density, x = _mixture(seed)
    there = geodesic(density, x[0], x[1], alpha=alpha)
    back = geodesic(density, x[1], x[0], alpha=alpha)
    assert there.converged
    assert back.converged
    error = float(there.distance_error + back.distance_error)
    assert float((there.distance - back.distance).abs()) <= error + 1e-6 * float(there.distance)
    line = measure(Conformal(density, alpha), Line(x[0], x[1]))
    assert float(there.length) <= float(line.length) * (1 + 1e-9) + float(there.distance_error)


@settings(max_examples=5)
@given(st.integers(0, 10**6), st.sampled_from([0.3, 1.0]))
def test_triangle_inequality(seed: int, alpha: float):
    """With one reference density for all three sides."""
    density, x = _mixture(seed)
    solution = geodesic(density, x[[0, 1, 0]], x[[1, 2, 2]], alpha=alpha, starts=3)
    assert solution.converged
    weight = torch.exp(-alpha * density.log_prob(torch.zeros(3).double(), x[[0, 1, 0]]))
    first, second, direct = (solution.length * weight).tolist()
    slack = 3 * float((solution.distance_error * weight).sum())
    assert direct <= first + second + slack


@settings(max_examples=5)
@given(st.integers(0, 10**6), st.floats(-3, 3).map(lambda e: 10.0**e))
def test_units_do_not_matter(seed: int, scale: float):
    density, x = _mixture(seed)
    scaled = GaussianMixture(density.means * scale, density.stds * scale, density.weights)
    one, other = geodesic(density, x[0], x[1]), geodesic(scaled, scale * x[0], scale * x[1])
    assert one.iterations == other.iterations
    assert_close(scale * one.length, other.length, rtol=1e-7, atol=0)
    assert_close(scale * one.path(_grid(9)), other.path(_grid(9)), rtol=1e-6, atol=1e-6 * scale)


def test_antipodal_points_of_a_ring():
    """The chord leads through the hole, with a perfect residual; other starts lead round it."""
    problem = reference.ring(1.0)
    end = vector(-2, 0)
    saddle = geodesic(problem.density, problem.start, end, starts=1)
    assert saddle.converged
    assert float(saddle.length) == pytest.approx(187.36, rel=1e-4)
    solution = geodesic(problem.density, problem.start, end)
    assert solution.converged
    assert float(solution.length) == pytest.approx(6.0256, rel=1e-4)
    lengths = [float(s.length) for s in solution.starts]
    assert len(lengths) == STARTS
    assert lengths[0] == pytest.approx(187.36, rel=1e-2)
    assert min(lengths) == pytest.approx(6.0256, rel=1e-3)
    results = [s.results[0] for s in solution.starts]
    assert results[0] is Result.not_shortest
    assert all(r.ok for r in results[1:])


def test_starts_that_agree_are_solved_once():
    """The two displaced chords fall back to the same geodesic: less than two solutions' cost."""
    density = Gaussian([0.0, 0.0])
    counts = [
        geodesic(density, vector(1.5, 0), vector(0, 1.5), starts=n).steps[-1].nfe for n in (1, 3)
    ]
    assert counts[1] < 2 * counts[0]
    three = geodesic(density, vector(1.5, 0), vector(0, 1.5), starts=3)
    assert {s.results for s in three.starts} == {(Result.converged,)}
    assert len({float(s.length) for s in three.starts}) == 1


def test_another_solver_and_one_dimension_start_once():
    a, b = vector(1.5, 0), vector(0, 1.5)
    assert len(geodesic(Gaussian([0.0, 0.0]), a, b, solver=PreconditionedFlow()).starts) == 1
    assert len(geodesic(Gaussian([0.0]), [1.5], [0.2]).starts) == 1


TURN = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)


def test_a_score_that_is_no_gradient_is_said_to_be_none():
    solution = geodesic(lambda x: -x + 3 * x @ TURN, [1.5, 0.0], [0.0, 1.5])
    assert solution.circulation is not None
    t = torch.linspace(0, 1, 4001, dtype=torch.float64)
    path, chord = solution.path(t), Line(vector(1.5, 0), vector(0, 1.5))(t)

    def integral(x: Tensor) -> float:  # by the trapezoid rule, of the turning part alone
        middle = 0.5 * (x[1:] + x[:-1])
        return float(((3 * middle @ TURN) * (x[1:] - x[:-1])).sum())

    exact = integral(path) - integral(chord)
    assert abs(exact) > 1
    assert float(solution.circulation.value) == pytest.approx(exact, rel=1e-3)
    assert any("no gradient" in w for w in solution.warnings)


@pytest.mark.parametrize("name", ["ring", "three components", "arc, 64-d, α 1"])
def test_a_gradient_is_not_said_to_be_none(name: str):
    """Strong barriers too, whose line integrals are not exact at few points."""
    problem = next(r for r in reference.REFERENCES if r.name == name).make()
    solution = geodesic(problem.density, problem.start, problem.end, alpha=problem.alpha)
    assert not any("no gradient" in w for w in solution.warnings)


def test_a_density_that_changes_along_the_path_has_no_circulation():
    moving = MovingGaussian(vector(2, 1), vector(-2, -1))
    solution = geodesic(moving, vector(1.5, 0), vector(0, 1.5))
    assert not any("no gradient" in w for w in solution.warnings)


def test_the_circulation_is_that_of_each_pair():
    start, end = torch.stack([vector(1.5, 0)] * 2), torch.stack([vector(0, 1.5), vector(1.4, 0)])
    batch = geodesic(lambda x: -x + 3 * x @ TURN, start, end)
    assert batch.circulation is not None
    assert batch.circulation.large.tolist() == [True, False]
    assert any("no gradient" in w for w in batch.pair(0).warnings)
    assert batch.pair(1).warnings == ()


def test_starts_of_a_batch_are_chosen_pair_by_pair():
    density = reference.ring().density
    end = torch.stack([vector(-2, 0), 2 * vector(math.cos(1), math.sin(1)), vector(-2, 0)])
    start = vector(2, 0).expand(3, 2)
    batch = geodesic(density, start, end, starts=3)
    assert batch.converged
    for i in (0, 1):
        single = geodesic(density, start[i], end[i], starts=3)
        assert float(batch.length[i]) == pytest.approx(float(single.length), rel=1e-6)
    assert [s.length.shape for s in batch.starts] == [(3,)] * 3


def test_the_seed_turns_the_bumps():
    density = reference.ring().density
    starts = [
        geodesic(density, vector(2, 0), vector(-1, 1), starts=2, seed=seed, max_steps=3).starts
        for seed in (0, 0, 1)
    ]
    assert_close(starts[0][1].residual, starts[1][1].residual, rtol=0, atol=0)
    assert_close(starts[0][0].residual, starts[2][0].residual, rtol=0, atol=1e-12)


def test_own_initial_paths():
    problem = reference.ring(1.0)
    t = _grid(17)
    upper = 2 * torch.stack([(math.pi * t).cos(), (math.pi * t).sin()], -1)
    lower = upper * vector(1, -1)
    end = upper[-1]
    paths = [Spline(torch.cat([upper[:1], x[1:-1], end[None]])) for x in (upper, lower)]
    solution = geodesic(problem.density, problem.start, end, starts=paths)
    assert float(solution.length) == pytest.approx(6.0256, rel=1e-4)
    assert [float(s.length) for s in solution.starts] == pytest.approx([6.0256] * 2, rel=1e-3)


@pytest.mark.parametrize("manifold", [Flat(), Sphere(2.0)], ids=["flat", "sphere"])
def test_without_a_barrier_it_is_the_chord(manifold: SpaceForm):
    a, b = manifold.project(vector(1, 2, 0)), manifold.project(vector(-0.5, 1, 1))
    solution = geodesic(Gaussian([0.0, 1, 2]), a, b, alpha=0.0, manifold=manifold, starts=1)
    assert solution.converged
    assert solution.iterations <= 6
    exact = manifold.log(a, b).norm()
    assert_close(solution.length, exact, rtol=1e-6, atol=0)
    assert_close(solution.distance, solution.length)
