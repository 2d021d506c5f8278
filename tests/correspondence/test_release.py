"""The field is continued into regions where one surface takes the place of another."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.correspondence import Matches, Release
from diffusion_geodesics.correspondence.release import continued

RED, BLUE = (0.8, 0.2, 0.1), (0.2, 0.3, 0.9)


def bars(first: float, last: float, size: int = 64) -> Tensor:
    """Red bars that hang from above, of two lengths."""
    images = torch.tensor(BLUE)[None, :, None, None].expand(2, 3, size, size).clone()
    across = slice(round(0.4 * size), round(0.6 * size))
    for image, length in zip(images, (first, last), strict=True):
        image[:, : round(length * size), across] = torch.tensor(RED)[:, None, None]
    return images


def hole(rows: int = 24, columns: int = 32) -> np.ndarray:
    free = np.zeros((rows, columns), dtype=bool)
    free[6:15, 9:20] = True
    free[18:, 25:] = True
    return free


def test_a_linear_field_is_continued_by_itself() -> None:
    y, x = np.mgrid[:24, :32].astype(float)
    linear = np.stack([0.3 * x - 0.1 * y, 2 + y], -1)
    free = hole()
    free[18:, 25:] = False
    spoiled = np.where(free[..., None], 7.0, linear)
    np.testing.assert_allclose(continued(spoiled, free), linear, atol=1e-10)


@given(st.integers(0, 500))
def test_every_free_value_is_the_mean_of_its_neighbours(seed: int) -> None:
    free = hole()
    values = np.random.default_rng(seed).normal(size=(24, 32, 2))
    found = continued(values, free)
    np.testing.assert_array_equal(found[~free], values[~free])
    assert found[free].max() <= values[~free].max()
    assert found[free].min() >= values[~free].min()
    padded = np.pad(found, ((1, 1), (1, 1), (0, 0)), mode="edge")
    around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    np.testing.assert_allclose(found[free], around[free] / 4, atol=1e-10)


def test_nothing_known_is_no_displacement() -> None:
    assert not continued(np.ones((4, 5, 2)), np.ones((4, 5), dtype=bool)).any()


@pytest.mark.parametrize("cells", [32, 64, 128])
def test_what_grows_does_not_move_what_is_beside_it(cells: int) -> None:
    images = bars(0.25, 0.6)
    field = torch.zeros(cells, cells, 2)
    low, high = round(0.4 * cells), round(0.55 * cells)
    field[low:high, low:high] = 0.01
    kept = field.clone()
    kept[0, 0] = field[0, 0] = 0.02
    released = Release().apply(Matches(field), images).displacement
    assert float(released[low:high, low:high].abs().max()) < 1e-9
    assert_close(released[0, 0], kept[0, 0])
    assert released.dtype == field.dtype


def test_a_field_is_kept_where_nothing_grows() -> None:
    matches = Matches(torch.full((16, 16, 2), 0.005))
    assert Release().apply(matches, bars(0.5, 0.5)) is matches
