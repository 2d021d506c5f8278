"""Levels of relaxation solvers."""

from __future__ import annotations

import pytest

from diffusion_geodesics.bvp import (
    Level,
    PreconditionedFlow,
)


def test_bad_level():
    with pytest.raises(ValueError, match="at least 2"):
        Level(1, 1e-3, 1e-6, 10)
    with pytest.raises(ValueError, match="0 or more"):
        Level(4, 1e-3, 1e-6, 10, average_last=-1)
    with pytest.raises(ValueError, match="0 or more"):
        PreconditionedFlow(average_last=-1)
