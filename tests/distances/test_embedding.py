"""Classical scaling: points of a plane, points of space, refusals."""

import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.distances import embed


def test_distances_of_a_plane_are_kept():
    x = torch.randn(6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = embed(torch.cdist(x, x))
    between = torch.cdist(found.positions, found.positions)
    assert_close(between, torch.cdist(x, x), rtol=1e-9, atol=1e-9)
    assert found.share == pytest.approx(1.0)
    assert_close(found.positions.mean(0), torch.zeros(2).double(), rtol=0, atol=1e-12)


def test_the_share_is_that_of_the_two_axes_shown():
    x = torch.diag(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))
    points = torch.cat([x, -x])  # variances 18, 8 and 2 in three orthogonal directions
    assert embed(torch.cdist(points, points)).share == pytest.approx(26 / 28)


def test_infinite_distances_are_refused():
    with pytest.raises(ValueError, match="finite"):
        embed(torch.full((2, 2), torch.inf))
