"""Log densities along polygons, from scores at their corners."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from diffusion_geodesics.density import Gaussian
from diffusion_geodesics.latents.geometry import log_density


@given(seed=st.integers(0, 1000), std=st.floats(0.3, 3))
def test_it_is_exact_where_the_log_density_is_quadratic(seed: int, std: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(12, 3, 6, generator=generator, dtype=torch.float64)
    density = Gaussian(torch.arange(6.0, dtype=torch.float64), std)
    t = torch.zeros(12, 3, dtype=torch.float64)
    exact = density.log_prob(t, points)
    found = log_density(points, density(t, points))
    assert_close(found, exact - exact[0], rtol=1e-9, atol=1e-9)
    for k in range(3):
        assert_close(found[:, k], log_density(points[:, k], density(t[:, k], points[:, k])))
