"""The distance of two points."""

import math

import pytest
import torch
from torch import Tensor

from diffusion_geodesics.bvp import PreconditionedFlow
from diffusion_geodesics.density import HalfPlane
from diffusion_geodesics.distances import (
    distance,
)
from tests.exact import vector

HALF_PLANE = torch.stack([vector(0, 0.5), vector(1, 1), vector(-0.5, 2), vector(0.3, 0.8)])


FLOW = PreconditionedFlow((16,))


def hyperbolic(x: Tensor) -> Tensor:
    gap = (x[:, None] - x[None]).square().sum(-1)
    return torch.arccosh(1 + gap / (2 * x[:, None, 1] * x[None, :, 1]))


def test_relative_distance_of_two_points():
    found = distance(HalfPlane(), HALF_PLANE[0], HALF_PLANE[1])
    exact = float(hyperbolic(HALF_PLANE)[0, 1] * math.sqrt(0.5))  # p relative to √(y0 y1)
    assert found.result.ok
    assert abs(found.value / exact - 1) < 1e-5 + found.relative_error
    assert found.error == found.value * found.relative_error


def test_absolute_distance_survives_overflow():
    """p^-α with log p = -2000: finite as a logarithm only."""
    found = distance(HalfPlane(), HALF_PLANE[0], HALF_PLANE[1])
    far = distance(HalfPlane(), HALF_PLANE[0], HALF_PLANE[1], log_density=(-2000.0, -2001.0))
    assert far.log_value == pytest.approx(found.log_value + 2000.5)
    assert far.value == math.inf


def test_a_batch_is_no_pair():
    with pytest.raises(ValueError, match="batch of pairs"):
        distance(HalfPlane(), HALF_PLANE[:2], HALF_PLANE[2:], solver=FLOW)
