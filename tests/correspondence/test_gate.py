"""The gate keeps displacements that explain what differs and removes all others."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from diffusion_geodesics.correspondence import Gate
from tests.correspondence.scenes import shifted, smooth


def test_what_explains_the_pixels_stays_and_the_rest_goes() -> None:
    """The left half of the image is shifted, the right half is not; the field shifts all."""
    still = smooth(3, 64, 64, over=5)
    moved = shifted(smooth(3, 64, 68, seed=1, over=5), 4, 0)
    pixels = 0.5 + 0.1 * torch.where(torch.arange(64) < 32, moved, still)[None]
    features = torch.ones(1, 2, 1, 8, 8)
    field = torch.zeros(1, 2, 64, 64)
    field[:, 0] = 2 * 2 / 64
    gated = Gate().apply(field, features, pixels)
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


def test_a_displacement_that_spoils_as_much_as_it_explains_goes() -> None:
    """A mark that is in the first image only, and a field that moves it onto the second's."""
    pixels = torch.zeros(1, 2, 3, 64, 64)
    pixels[:, :, :, 28:36, 40:48] = 1.0
    pixels[:, 0, :, 28:36, 16:24] = 1.0
    field = torch.zeros(1, 2, 64, 64)
    field[:, 0, 24:40, 8:40] = 12 * 2 / 64
    features = torch.ones(1, 2, 1, 8, 8)
    spoils = Gate().apply(field, features, pixels)
    assert float(spoils.abs().max()) < 0.1 * float(field.max())
    allowed = Gate(min_gain=0.0001).apply(field, features, pixels)
    assert float(allowed.abs().max()) > 0.5 * float(field.max())
