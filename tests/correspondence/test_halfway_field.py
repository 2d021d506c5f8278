"""Gradient descent on the energy of the half-way field."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.correspondence import FieldDescent, Grid
from diffusion_geodesics.correspondence.residuals import (
    charbonnier,
    feature_residual,
    pixel_residual,
)
from tests.correspondence.scenes import scene


def test_energy_is_the_mean_of_residuals_and_slopes() -> None:
    generator = torch.Generator().manual_seed(0)
    field = 0.1 * torch.randn(2, 2, 6, 8, generator=generator)
    features = torch.randn(2, 2, 5, 3, 4, generator=generator)
    pixels = torch.rand(2, 2, 3, 6, 8, generator=generator)
    grid, cell = Grid(6, features=0.9, pixels=0.7, smoothness=0.3, stiffness=0.2), 2 / 6
    expected = []
    for k in range(2):
        one = slice(k, k + 1)
        of_features = feature_residual(field[one], features[one]).mean()
        of_pixels = pixel_residual(field[one], pixels[one], 0.02).mean()
        right = (field[k, :, :, 1:] - field[k, :, :, :-1]) / cell
        down = (field[k, :, 1:] - field[k, :, :-1]) / cell
        squares = [d.square().sum(0) for d in (right, down)]
        slopes = sum(0.3 * charbonnier(s, 0.05).mean() + 0.2 * s.mean() for s in squares)
        expected.append(0.9 * of_features + 0.7 * of_pixels + slopes)
    assert_close(FieldDescent().energy(field, features, pixels, grid), torch.stack(expected))


def test_features_without_weight_are_not_looked_at() -> None:
    field, pixels = torch.zeros(1, 2, 4, 4), torch.rand(1, 2, 3, 4, 4)
    unknown = torch.full((1, 2, 1, 2, 2), torch.nan)
    energy = FieldDescent().energy(field, unknown, pixels, Grid(4, features=0.0))
    assert bool(energy.isfinite().all())


def test_descent_lowers_the_energy_on_every_grid() -> None:
    images, cells = scene((32, 32), 2, 0)
    descent = FieldDescent()
    start = torch.zeros(1, 2, 16, 16)
    found = descent.refine(start, cells[None], images[None])
    assert found.shape == (1, 2, 32, 32)
    for grid in (Grid(32), Grid(32, features=0.0)):
        at_rest = descent.energy(torch.zeros_like(found), cells[None], images[None], grid)
        assert float(descent.energy(found, cells[None], images[None], grid)) < 0.5 * float(at_rest)


def test_the_last_grids_find_a_shift_that_features_do_not_see() -> None:
    """Less than a cell of the features, which are the same everywhere."""
    images, _ = scene((64, 64), 1, 0)
    alike = torch.ones(1, 2, 1, 16, 16)
    found = FieldDescent().refine(torch.zeros(1, 2, 16, 16), alike, images[None])
    inner = found[0, :, 16:-16, 16:-16]
    assert float((inner[0] - 4 / 64).abs().median()) < 0.5 / 64, "a shift by 4 pixels of 64"
    assert float(inner[1].abs().median()) < 0.5 / 64


@pytest.mark.parametrize(
    ("size", "shapes"),
    [
        ((128, 192), [(16, 24), (32, 48), (64, 96), (64, 96), (128, 192)]),
        ((24, 40), [(16, 27), (24, 40), (24, 40)]),
    ],
)
def test_grids_are_no_finer_than_the_pixels(
    size: tuple[int, int], shapes: list[tuple[int, int]]
) -> None:
    plan = FieldDescent().plan(*size)
    assert [shape for _, shape in plan] == shapes
    assert [grid.features for grid, _ in plan] == sorted(g.features for g, _ in plan)[::-1]


def test_a_grid_is_needed() -> None:
    with pytest.raises(ValueError, match="at least one"):
        FieldDescent(grids=())
