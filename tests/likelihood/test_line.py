"""Log densities by line integral."""

import pytest

from diffusion_geodesics.density import GaussianMixture, VonMisesFisher
from diffusion_geodesics.likelihood import (
    line_density,
)
from diffusion_geodesics.manifold import Sphere
from diffusion_geodesics.path import GreatArc, Line
from tests.exact import vector


def test_line_integral_and_its_error():
    density = GaussianMixture([[-2.0, 0.0], [2.0, 0.0], [0.0, 1.8]], 0.7)
    path = Line(vector(-2, 0), vector(2, 0))
    for intervals in (8, 16, 32, 64):
        found = line_density(density, path, intervals=intervals)
        exact = density.log_prob(found.t, path(found.t))
        assert (found.log_density - (exact - exact[0])).abs().max() <= found.error + 1e-12
        assert found.nfe == intervals + 1
    assert float(found.error) < 1e-4
    assert float(found.difference) == float(found.log_density[-1])


def test_line_integral_on_a_sphere():
    density, ball = VonMisesFisher([0.0, 0.0, 1.0], 2.0), Sphere(1.0)
    path = GreatArc(vector(0, 0, 1), vector(1, 0, 0))
    found = line_density(density, path, manifold=ball)
    assert float(found.difference) == pytest.approx(-2.0, abs=1e-12)
