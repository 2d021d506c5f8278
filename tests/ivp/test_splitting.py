"""Isokinetic splitting: reversible in time."""

from __future__ import annotations

import pytest
from torch.testing import assert_close

from diffusion_geodesics.density import HalfPlane
from diffusion_geodesics.ivp import (
    Composition,
    IsokineticSplitting,
    solve_ivp,
)
from diffusion_geodesics.metric import Conformal
from tests.conformance.integrator import semicircle
from tests.exact import vector

HALF_PLANE = Conformal(HalfPlane())


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


def test_bad_settings():
    with pytest.raises(ValueError, match="at least 2"):
        IsokineticSplitting(steps=1)
    with pytest.raises(ValueError, match="add to 1"):
        Composition((0.5, 0.6), 2)
