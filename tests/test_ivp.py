"""Initial value problems: the conformance suite over all integrators, stops, growth, bad input."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import diffusion_geodesics as dg
from diffusion_geodesics.ivp import (
    STRANG,
    AdaptiveRungeKutta,
    AfterArc,
    AfterLength,
    Composition,
    Hermite,
    IsokineticSplitting,
    LeavesNorms,
    LeavesTypicalSet,
    NearTarget,
    RayResult,
    RungeKutta,
    Tableau,
    solve_ivp,
)
from diffusion_geodesics.metric import Stein
from tests.conformance.integrator import SEMICIRCLE, IntegratorCase, IntegratorSuite, semicircle
from tests.exact import Counting, vector

HEUN = Tableau(((), (1.0,)), (0.5, 0.5), (0.0, 1.0), 2)


def finer(integrator: IsokineticSplitting | RungeKutta, *steps: int) -> IntegratorCase:
    """A case with the errors of fixed steps."""
    accuracy = 1e-2 if integrator.order == 2 else 3e-5
    return IntegratorCase(integrator, accuracy, tuple(replace(integrator, steps=n) for n in steps))


CASES = {
    "splitting": finer(IsokineticSplitting(steps=10), 8, 16),
    "Strang": finer(IsokineticSplitting(steps=24, composition=STRANG), 16, 32),
    "classical": finer(RungeKutta(steps=16), 16, 32),
    "Heun": finer(RungeKutta(steps=24, tableau=HEUN), 16, 32),
    "adaptive": IntegratorCase(AdaptiveRungeKutta(), 1e-9),
}
QUICK = IsokineticSplitting(steps=8)
HALF_PLANE = dg.Conformal(dg.HalfPlane())


class TestIntegrators(IntegratorSuite):
    @pytest.fixture(scope="class", params=list(CASES.values()), ids=list(CASES))
    @classmethod
    def case(cls, request: pytest.FixtureRequest) -> IntegratorCase:
        return request.param


def test_default_costs_160_calls_and_a_companion_rides_in_them():
    score = Counting(dg.HalfPlane())
    ray = solve_ivp(dg.Conformal(score), vector(-1, 1), SEMICIRCLE, error=False)
    assert (score.rows, score.calls) == (320, 160) == (ray.score_evals, ray.calls)
    assert float((ray.end - vector(1, 1)).norm()) < 2e-7


def test_without_a_companion_the_ray_is_the_same():
    alone, both = (
        semicircle(IsokineticSplitting(steps=8), growth=g, error=False) for g in (False, True)
    )
    assert (alone.calls, alone.score_evals) == (40, 40)
    assert_close(alone.end, both.end, rtol=0, atol=1e-14)
    assert math.isnan(float(alone.growth))


def test_splitting_is_reversible():
    there = semicircle(IsokineticSplitting(steps=6), growth=False, error=False)
    back = solve_ivp(
        HALF_PLANE,
        there.end,
        -there.end_velocity,
        integrator=IsokineticSplitting(steps=6),
        growth=False,
        error=False,
    )
    assert float((there.end - vector(1, 1)).norm()) > 1e-5  # it is not exact, and yet:
    assert_close(back.end, vector(-1, 1), rtol=0, atol=1e-13)


def test_growth_of_the_half_plane():
    """A turn by ε moves the end sideways by y sinh(ρ) ε, ρ the hyperbolic length."""
    ray = semicircle(AdaptiveRungeKutta(), error=False)
    expected = math.sinh(math.acosh(3)) / float(ray.arc)
    assert float(ray.growth) == pytest.approx(expected, rel=1e-5)


def test_growth_of_flat_space_is_one():
    flat = dg.Conformal(dg.Gaussian([0.0] * 5), 0.0)
    ray = solve_ivp(flat, torch.ones(5), torch.ones(5), integrator=RungeKutta(8), error=False)
    assert float(ray.growth) == pytest.approx(1, rel=1e-2)


@pytest.mark.parametrize(
    "integrator", [IsokineticSplitting(16), AdaptiveRungeKutta()], ids=["fixed", "adaptive"]
)
def test_stops_after_lengths(integrator: IsokineticSplitting | AdaptiveRungeKutta):
    half = solve_ivp(
        HALF_PLANE,
        vector(-1, 1),
        SEMICIRCLE,
        integrator=integrator,
        stops=[AfterLength(math.acosh(3) / 2)],
        horizon=math.inf,
        error=False,
    )
    assert half.result is RayResult.length_reached
    assert float(half.length) == pytest.approx(math.acosh(3) / 2, rel=1e-12)
    assert_close(half.end, vector(0, math.sqrt(2)), rtol=0, atol=1e-5)
    arc = solve_ivp(
        HALF_PLANE,
        vector(-1, 1),
        SEMICIRCLE,
        integrator=integrator,
        stops=[AfterArc(1.0)],
        growth=False,
        error=False,
    )
    assert arc.result is RayResult.arc_reached
    assert float(arc.arc) == pytest.approx(1, rel=1e-12)
    assert float(arc.path.arc_length()[-1]) == pytest.approx(1, rel=1e-4)


def test_stops_of_each_ray():
    x = vector(-1, 1).expand(2, 2)
    ray = solve_ivp(
        HALF_PLANE,
        x,
        SEMICIRCLE.expand(2, 2),
        integrator=QUICK,
        stops=[AfterArc(torch.tensor([0.5, 9.0]))],
        error=False,
    )
    assert ray.results == (RayResult.arc_reached, RayResult.completed)
    assert float(ray.arc[0]) == pytest.approx(0.5)
    assert_close(ray.path(torch.tensor([1.0]).double())[0], ray.end)


def test_stops_at_the_closest_approach():
    """A straight ray passes the target at distance 0.3."""
    connection = dg.Conformal(dg.Gaussian([0.0, 0.0]), 0.0)
    near = NearTarget(vector(1, 0.3), 0.5)
    start, velocity = vector(0, 0), vector(2, 0)
    ray = solve_ivp(connection, start, velocity, integrator=QUICK, stops=[near])
    assert ray.result is RayResult.target_reached
    assert_close(ray.end, vector(1, 0), rtol=0, atol=1e-12)
    near = replace(near, radius=0.2)
    far = solve_ivp(connection, start, velocity, integrator=QUICK, stops=[near], growth=False)
    assert far.result is RayResult.completed


def test_the_first_of_several_stops_counts():
    stops = [AfterArc(0.503), AfterArc(0.501)]
    ray = solve_ivp(HALF_PLANE, vector(-1, 1), SEMICIRCLE, integrator=QUICK, stops=stops)
    assert float(ray.arc) == pytest.approx(0.501, rel=1e-12)


def test_stops_on_leaving_the_typical_set():
    """For a normal distribution σ|s|/√d = |x|/√d."""
    score = Counting(dg.Gaussian([0.0] * 4))
    start, velocity = vector(2, 0, 0, 0), vector(0, 3, 0, 0)
    connection, stops = dg.Conformal(score, 0.0), [LeavesTypicalSet(1.0)]
    ray = solve_ivp(connection, start, velocity, integrator=QUICK, stops=stops)
    assert ray.result is RayResult.left_typical_set
    assert float(ray.end.norm()) == pytest.approx(2.4, rel=1e-10)
    assert (ray.calls, ray.score_evals) == (score.calls, score.rows)
    stops = [LeavesNorms(1.0, 2.4)]
    norms = solve_ivp(connection, start, velocity, integrator=QUICK, stops=stops, error=False)
    assert norms.result is RayResult.left_norms
    assert_close(norms.end, ray.end)
    stops = [LeavesTypicalSet(1.0)]
    outside = solve_ivp(dg.Conformal(score), 2 * start, velocity, stops=stops, error=False)
    assert outside.result is RayResult.left_typical_set
    assert float(outside.arc) == 0


def test_a_length_that_cannot_be_reached():
    """Straight up in the half-plane: the length grows with the logarithm of the height."""
    ray = solve_ivp(
        HALF_PLANE,
        vector(0, 1),
        vector(0, 1),
        integrator=QUICK,
        stops=[AfterLength(50)],
        horizon=math.inf,
        max_steps=20,
        error=False,
    )
    assert ray.result is RayResult.max_steps
    assert not ray.result.ok


def test_stein_metric_has_rays_too():
    """Its own length is conserved in the sense that arc and speed agree; splittings refuse it."""
    connection = Stein(dg.Gaussian([0.0, 0.0]), 0.5)
    ray = solve_ivp(connection, vector(1, 0), vector(0.5, 1), integrator=AdaptiveRungeKutta())
    speed = ray.velocities.norm(dim=-1)
    assert_close(speed, speed[:1].expand_as(speed))
    with pytest.raises(ValueError, match="Use RungeKutta"):
        solve_ivp(connection, vector(1, 0), vector(0.5, 1))


def test_hermite_is_exact_for_its_degree():
    t = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)

    def poly(t: Tensor, degree: int, order: int) -> Tensor:
        return math.perm(degree, order) * t[:, None] ** (degree - order) * vector(1, -2)

    u = torch.linspace(0, 1, 9, dtype=torch.float64)
    cubic = Hermite(t, poly(t, 3, 0), poly(t, 3, 1))
    quintic = Hermite(t, poly(t, 5, 0), poly(t, 5, 1), poly(t, 5, 2))
    for order in (0, 1, 2):
        assert_close(cubic(u, order), poly(u, 3, order))
        assert_close(quintic(u, order), poly(u, 5, order))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"v0": vector(math.nan, 0)}, "v0 holds a value that is not finite"),
        ({"horizon": 0.0}, "expected horizon > 0"),
        ({"horizon": math.inf}, "there are no stops"),
        ({"max_steps": 0}, "max_steps"),
    ],
)
def test_bad_input(change: dict[str, Tensor | float], message: str):
    problem = {"x0": vector(0, 1), "v0": vector(1, 0)} | change
    with pytest.raises(ValueError, match=message):
        solve_ivp(HALF_PLANE, **problem)  # type: ignore[arg-type]


def test_bad_settings():
    with pytest.raises(ValueError, match="at least 2"):
        IsokineticSplitting(steps=1)
    with pytest.raises(ValueError, match="add to 1"):
        Composition((0.5, 0.6), 2)
    with pytest.raises(ValueError, match="rtol"):
        AdaptiveRungeKutta(rtol=-1)
    with pytest.raises(ValueError, match="tableau"):
        Tableau(((), ()), (0.5, 0.5), (0.0, 1.0), 2)
    with pytest.raises(ValueError, match="radius"):
        NearTarget(vector(0, 0), 0)
    with pytest.raises(ValueError, match="length"):
        AfterLength(-1)
    with pytest.raises(ValueError, match="low < high"):
        LeavesTypicalSet(1.0, 1.2, 0.8)
