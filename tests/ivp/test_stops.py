"""Stops of rays: found where they are, the first one counts, bad settings."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.density import Gaussian, HalfPlane
from diffusion_geodesics.ivp import (
    AdaptiveRungeKutta,
    AfterArc,
    AfterLength,
    IsokineticSplitting,
    LeavesNorms,
    LeavesTypicalSet,
    RayResult,
    solve_ivp,
)
from diffusion_geodesics.metric import Conformal
from tests.conformance.integrator import SEMICIRCLE
from tests.exact import Counting, vector

QUICK = IsokineticSplitting(steps=8)


HALF_PLANE = Conformal(HalfPlane())


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


def test_the_first_of_several_stops_counts():
    stops = [AfterArc(0.503), AfterArc(0.501)]
    ray = solve_ivp(HALF_PLANE, vector(-1, 1), SEMICIRCLE, integrator=QUICK, stops=stops)
    assert float(ray.arc) == pytest.approx(0.501, rel=1e-12)


def test_stops_on_leaving_the_typical_set():
    """For a normal distribution σ|s|/√d = |x|/√d."""
    score = Counting(Gaussian([0.0] * 4))
    start, velocity = vector(2, 0, 0, 0), vector(0, 3, 0, 0)
    connection, stops = Conformal(score, 0.0), [LeavesTypicalSet(1.0)]
    ray = solve_ivp(connection, start, velocity, integrator=QUICK, stops=stops)
    assert ray.result is RayResult.left_typical_set
    assert float(ray.end.norm()) == pytest.approx(2.4, rel=1e-10)
    assert (ray.batches, ray.nfe) == (score.batches, score.nfe)
    stops = [LeavesNorms(1.0, 2.4)]
    norms = solve_ivp(connection, start, velocity, integrator=QUICK, stops=stops, error=False)
    assert norms.result is RayResult.left_norms
    assert_close(norms.end, ray.end)
    stops = [LeavesTypicalSet(1.0)]
    outside = solve_ivp(Conformal(score), 2 * start, velocity, stops=stops, error=False)
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


def test_bad_stops():
    with pytest.raises(ValueError, match="length"):
        AfterLength(-1)
    with pytest.raises(ValueError, match="low < high"):
        LeavesTypicalSet(1.0, 1.2, 0.8)
