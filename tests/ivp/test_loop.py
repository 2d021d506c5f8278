"""Initial value problems: the conformance suite over all integrators, stops, growth, bad input."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.density import Gaussian, HalfPlane
from diffusion_geodesics.ivp import (
    STRANG,
    AdaptiveRungeKutta,
    IsokineticSplitting,
    PublishedRungeKutta,
    RungeKutta,
    Tableau,
    solve_ivp,
)
from diffusion_geodesics.metric import Conformal
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
    "published": IntegratorCase(PublishedRungeKutta(steps=40), 3e-3),
    "adaptive": IntegratorCase(AdaptiveRungeKutta(), 1e-9),
}
QUICK = IsokineticSplitting(steps=8)
HALF_PLANE = Conformal(HalfPlane())


class TestIntegrators(IntegratorSuite):
    @pytest.fixture(scope="class", params=list(CASES.values()), ids=list(CASES))
    @classmethod
    def case(cls, request: pytest.FixtureRequest) -> IntegratorCase:
        return request.param


def test_default_costs_160_calls_and_a_companion_rides_in_them():
    score = Counting(HalfPlane())
    ray = solve_ivp(Conformal(score), vector(-1, 1), SEMICIRCLE, error=False)
    assert (score.nfe, score.batches) == (320, 160) == (ray.nfe, ray.batches)
    assert float((ray.end - vector(1, 1)).norm()) < 2e-7


def test_without_a_companion_the_ray_is_the_same():
    alone, both = (
        semicircle(IsokineticSplitting(steps=8), growth=g, error=False) for g in (False, True)
    )
    assert (alone.batches, alone.nfe) == (40, 40)
    assert_close(alone.end, both.end, rtol=0, atol=1e-14)
    assert math.isnan(float(alone.growth))


def test_growth_of_the_half_plane():
    """A turn by ε moves the end sideways by y sinh(ρ) ε, ρ the hyperbolic length."""
    ray = semicircle(AdaptiveRungeKutta(), error=False)
    expected = math.sinh(math.acosh(3)) / float(ray.arc)
    assert float(ray.growth) == pytest.approx(expected, rel=1e-5)


def test_growth_of_flat_space_is_one():
    flat = Conformal(Gaussian([0.0] * 5), 0.0)
    ray = solve_ivp(flat, torch.ones(5), torch.ones(5), integrator=RungeKutta(8), error=False)
    assert float(ray.growth) == pytest.approx(1, rel=1e-2)


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
