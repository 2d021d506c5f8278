"""Coordinates on images, and values between pixels."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.correspondence.grid import cell_centres, grid_shape, sample


def test_coordinates_are_isotropic_on_any_grid() -> None:
    assert cell_centres(1, 2).tolist() == [[[-1.0, 0.0], [1.0, 0.0]]]
    grid = cell_centres(4, 6)
    assert_close(grid[0, 1] - grid[0, 0], torch.tensor([0.5, 0.0]))
    assert_close(grid[1, 0] - grid[0, 0], torch.tensor([0.0, 0.5]))
    assert_close(grid.mean((0, 1)), torch.zeros(2))


@pytest.mark.parametrize("size", [(5, 5), (4, 7), (7, 4)])
def test_values_at_pixel_centres_are_the_pixels(size: tuple[int, int]) -> None:
    picture = torch.rand(1, 2, *size, generator=torch.Generator().manual_seed(0))
    points = cell_centres(*size)[None]
    assert_close(sample(picture, points), picture)
    step = torch.tensor([2 / min(size), 0.0])
    assert_close(sample(picture, points + step)[..., :-1], picture[..., 1:])
    assert_close(sample(picture, points + step)[..., -1], picture[..., -1])
    between = sample(picture, points + step / 2)[..., :-1]
    assert_close(between, (picture[..., :-1] + picture[..., 1:]) / 2)


@pytest.mark.parametrize(
    ("image", "cells", "shape"),
    [((128, 128), 16, (16, 16)), ((480, 640), 48, (48, 64)), ((9, 30), 16, (9, 30))],
)
def test_grids_have_the_aspect_ratio_of_the_image(
    image: tuple[int, int], cells: int, shape: tuple[int, int]
) -> None:
    assert grid_shape(*image, cells) == shape
