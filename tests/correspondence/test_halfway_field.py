"""Gradient descent on the energy of the half-way field."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.correspondence import FieldDescent
from diffusion_geodesics.correspondence.residuals import charbonnier, residuals
from tests.correspondence.scenes import scene


def test_energy_is_the_mean_of_residuals_and_slopes() -> None:
    generator = torch.Generator().manual_seed(0)
    field = 0.1 * torch.randn(2, 2, 6, 8, generator=generator)
    features = torch.randn(2, 2, 5, 3, 4, generator=generator)
    pixels = torch.rand(2, 2, 3, 6, 8, generator=generator)
    descent, cell = FieldDescent(smoothness=0.3), 2 / 6
    expected = []
    for k in range(2):
        one = slice(k, k + 1)
        of_features, of_pixels = residuals(field[one], features[one], pixels[one], 0.02)
        right = (field[k, :, :, 1:] - field[k, :, :, :-1]) / cell
        down = (field[k, :, 1:] - field[k, :, :-1]) / cell
        slopes = [charbonnier(d.square().sum(0), 0.05).mean() for d in (right, down)]
        expected.append(of_features.mean() + 0.7 * of_pixels.mean() + 0.3 * sum(slopes))
    assert_close(descent.energy(field, features, pixels, 0.7), torch.stack(expected))


def test_descent_lowers_the_energy_on_every_grid() -> None:
    images, cells = scene((32, 32), 2, 0)
    descent = FieldDescent()
    start = torch.zeros(1, 2, 16, 16)
    found = descent.refine(start, cells[None], images[None])
    assert found.shape == (1, 2, 32, 32)
    at_rest = descent.energy(torch.zeros_like(found), cells[None], images[None], 1.0)
    assert float(descent.energy(found, cells[None], images[None], 1.0)) < 0.5 * float(at_rest)


@pytest.mark.parametrize(
    ("size", "shapes"),
    [((128, 192), [(16, 24), (32, 48), (64, 96), (128, 192)]), ((24, 40), [(16, 27), (24, 40)])],
)
def test_grids_are_no_finer_than_the_pixels(
    size: tuple[int, int], shapes: list[tuple[int, int]]
) -> None:
    assert FieldDescent().shapes(*size) == shapes


def test_every_grid_needs_a_weight() -> None:
    with pytest.raises(ValueError, match="2 grids and 1 weights"):
        FieldDescent(cells=(16, 32), pixel_weights=(1.0,))
