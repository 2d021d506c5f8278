"""Flat space and spheres: projections, exponential and logarithm, angles to the last digit."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

import diffusion_geodesics as dg
from diffusion_geodesics.manifold import angle_between
from tests.conformance.manifold import ManifoldCase, ManifoldSuite
from tests.exact import vector


def _vectors(dim: int) -> Tensor:
    generator = torch.Generator().manual_seed(dim)
    return torch.randn(4, 8, dim, generator=generator, dtype=torch.float64)


CASES = [
    ManifoldCase("flat, 2-d", dg.Flat(), _vectors(2)),
    ManifoldCase("flat, 50-d", dg.Flat(), _vectors(50)),
    ManifoldCase("circle", dg.Sphere(), _vectors(2)),
    ManifoldCase("sphere, 3-d", dg.Sphere(2.5), _vectors(3)),
    ManifoldCase("sphere, 64-d", dg.Sphere(8.0), _vectors(64)),
    ManifoldCase("small sphere", dg.Sphere(1e-3), _vectors(5)),
]


class TestManifolds(ManifoldSuite):
    @pytest.fixture(params=CASES, ids=lambda c: c.name)
    def case(
        self, request: pytest.FixtureRequest, device: torch.device, dtype: torch.dtype
    ) -> ManifoldCase:
        case = request.param
        return ManifoldCase(case.name, case.manifold, case.vectors.to(device, dtype))


@given(st.floats(1e-9, math.pi - 1e-9), st.floats(0.1, 10), st.floats(0.1, 10))
def test_angle(angle: float, a: float, b: float):
    x = vector(a, 0)
    y = b * vector(math.cos(angle), math.sin(angle))
    assert float(angle_between(x, y)) == pytest.approx(angle, rel=1e-12, abs=1e-15)


def test_angles_near_zero_and_pi_keep_their_digits():
    for small in (1e-4, 1e-8, 1e-12):
        assert float(angle_between(vector(1, 0), vector(1, small))) == pytest.approx(
            math.atan(small), rel=1e-14
        )
        back = math.pi - float(angle_between(vector(1, 0), vector(-1, small)))
        assert back == pytest.approx(math.atan(small), abs=1e-15)


def test_angle_of_a_zero_vector():
    assert float(angle_between(vector(0, 0), vector(1, 0))) == 0


def test_great_circle_closes():
    x, v = vector(2, 0, 0), vector(0, 4 * math.pi, 0)
    assert_close(dg.Sphere(2.0).exp(x, v), x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("radius", [0.0, -1.0, math.inf, math.nan])
def test_bad_radius(radius: float):
    with pytest.raises(ValueError, match="positive finite"):
        dg.Sphere(radius)
