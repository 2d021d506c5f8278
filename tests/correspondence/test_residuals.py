"""Residuals of displaced images, and the filters before them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.correspondence.residuals import (
    box_mean,
    charbonnier,
    feature_residual,
    high_pass,
    join_features,
    pixel_residual,
)
from tests.correspondence.scenes import shifted, smooth


def residuals(field: Tensor, features: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    return feature_residual(field, features), pixel_residual(field, pixels, 0.02)


def test_the_true_displacement_leaves_no_residual() -> None:
    pixels, cells = (
        shifted(smooth(3, 16, 20), 4, 0)[None],
        shifted(smooth(8, 16, 20, 1), 4, 0)[None],
    )
    field = torch.zeros(1, 2, 16, 16)
    field[:, 0] = 2 * 2 / 16  # 2 of 16 cells in either image
    inner = (slice(None), slice(None), slice(2, -2))
    for found in residuals(field, cells, pixels):
        assert_close(found[inner], torch.zeros(1, 16, 12), rtol=0, atol=1e-5)
    for found in residuals(torch.zeros_like(field), cells, pixels):
        assert float(found[inner].mean()) > 0.3


def test_residuals_of_pairs_are_those_of_each() -> None:
    generator = torch.Generator().manual_seed(0)
    field = 0.1 * torch.randn(3, 2, 6, 8, generator=generator)
    features = torch.randn(3, 2, 5, 3, 4, generator=generator)
    pixels = torch.rand(3, 2, 3, 6, 8, generator=generator)
    together = residuals(field, features, pixels)
    for k in range(3):
        one = slice(k, k + 1)
        alone = residuals(field[one], features[one], pixels[one])
        for a, b in zip(together, alone, strict=True):
            assert_close(a[one], b)


def test_the_penalty_is_quadratic_below_its_corner_and_linear_above() -> None:
    small, large = torch.tensor(1e-4), torch.tensor(10.0)
    assert float(charbonnier(small**2, 0.02)) == pytest.approx(1e-8 / 0.04, rel=1e-2)
    assert float(charbonnier(large**2, 0.02)) == pytest.approx(10 - 0.02, abs=1e-4)


@pytest.mark.parametrize(("side", "edge"), [(32, 7), (64, 11), (128, 21)])
def test_the_box_is_a_fraction_of_the_shorter_edge(side: int, edge: int) -> None:
    spot = torch.zeros(1, 1, side, side + 8)
    spot[..., side // 2, side // 2] = 1
    mean = box_mean(spot, 0.16)[0, 0]
    assert int((mean > 0).any(0).sum()) == int((mean > 0).any(1).sum()) == edge
    assert float(mean.sum()) == pytest.approx(1, abs=1e-4)
    assert_close(box_mean(torch.ones(1, 1, 7, 9), 0.5), torch.ones(1, 1, 7, 9))


def test_the_high_pass_removes_light_and_keeps_detail() -> None:
    light = torch.linspace(0, 1, 64).expand(1, 2, 3, 64, 64)
    assert float(high_pass(light, 1 / 8)[..., 4:-4].abs().max()) < 1e-5
    wave = (torch.arange(64.0) * torch.pi / 2).sin().expand(1, 2, 3, 64, 64)
    kept = high_pass(wave, 1 / 8)[..., 4:-4]
    assert float((kept - wave[..., 4:-4]).abs().max()) < 0.15


def pair_of_grids() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 5, s, s, generator=generator) for s in (4, 8)]


def test_joined_features_keep_the_angles_between_cells() -> None:
    grids = pair_of_grids()
    joined = join_features(grids, channels=48, cells=16)
    assert joined.shape == (2, 10, 8, 8)
    assert_close(joined.norm(dim=1), torch.full((2, 8, 8), 2**0.5))
    fine = join_features(grids[1:], channels=48, cells=16)
    unit = torch.nn.functional.normalize(grids[1])
    expected = torch.einsum("ncyx,ncvu->nyxvu", unit, unit)
    assert_close(torch.einsum("ncyx,ncvu->nyxvu", fine, fine), expected, rtol=0, atol=1e-5)


def test_coarse_features_weigh_more_where_asked() -> None:
    joined = join_features(pair_of_grids(), channels=48, cells=16, coarse_weight=2.0)
    assert_close(joined.norm(dim=1), torch.full((2, 8, 8), 5**0.5))
    assert join_features(pair_of_grids(), channels=3, cells=16).shape == (2, 3, 8, 8)
