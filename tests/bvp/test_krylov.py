"""GMRES for a batch of systems."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from diffusion_geodesics.bvp.krylov import gmres


def test_gmres_solves_each_system():
    generator = torch.Generator().manual_seed(0)
    a = torch.eye(6).double() + 0.3 * torch.randn(2, 6, 6, generator=generator).double()
    right = torch.randn(2, 6, generator=generator).double()
    y, products = gmres(
        lambda x: torch.einsum("pij,pj->pi", a, x), right, tol=1e-12, max_products=10
    )
    assert_close(y, torch.linalg.solve(a, right))
    assert products <= 6
