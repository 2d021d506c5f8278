"""The gate keeps displacements that explain what differs and removes all others."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from diffusion_geodesics.correspondence import Gate
from tests.correspondence.scenes import shifted, smooth

ALIKE = torch.ones(1, 2, 1, 8, 8)
"""Features that are the same everywhere."""


def test_what_explains_the_pixels_stays_and_the_rest_goes() -> None:
    """The left half of the image is shifted, the right half is not; the field shifts all."""
    still = smooth(3, 64, 64, over=5)
    moved = shifted(smooth(3, 64, 68, seed=1, over=5), 4, 0)
    pixels = 0.5 + 0.1 * torch.where(torch.arange(64) < 32, moved, still)[None]
    field = torch.zeros(1, 2, 64, 64)
    field[:, 0] = 2 * 2 / 64
    gated = Gate().apply(field, ALIKE, pixels)
    inner = slice(8, -8)
    assert_close(gated[0, 0, inner, 8:20], field[0, 0, inner, 8:20], rtol=1e-2, atol=0)
    assert float(gated[0, 0, inner, 44:-8].max()) < 0.01 * 4 / 64
    assert float(gated[:, 1].abs().max()) == 0


def test_a_gain_in_features_is_enough() -> None:
    features = shifted(smooth(16, 16, 18), 2, 0)[None]
    pixels = torch.full((1, 2, 3, 64, 64), 0.5)
    field = torch.zeros(1, 2, 64, 64)
    field[:, 0] = 2 / 16
    gated = Gate().apply(field, features, pixels)
    assert_close(gated[0, :, 8:-8, 8:-8], field[0, :, 8:-8, 8:-8], rtol=1e-2, atol=0)
    assert float(Gate(min_feature_gain=10.0).apply(field, features, pixels).abs().max()) < 1e-3


def test_a_displacement_that_spoils_nearly_as_much_as_it_explains_goes() -> None:
    """Three of five rows are shifted, the others are not; the field shifts all."""
    still = smooth(3, 65, 65, over=5)
    moved = shifted(smooth(3, 65, 69, seed=1, over=5), 4, 0)
    rows = (torch.arange(65) % 5 < 3)[:, None]
    pixels = 0.5 + 0.1 * torch.where(rows, moved, still)[None]
    field = torch.zeros(1, 2, 65, 65)
    field[:, 0] = 2 * 2 / 65
    inner = (slice(None), 0, slice(16, -16), slice(16, -16))
    kept = Gate(min_gain=0.0).apply(field, ALIKE, pixels)
    assert float(kept[inner].mean()) > 0.7 * float(field.max())
    removed = Gate().apply(field, ALIKE, pixels)
    assert float(removed[inner].mean()) < 0.05 * float(field.max())
