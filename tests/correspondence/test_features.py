"""Features of images from a network's activations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.correspondence import FeatureSettings, extract_features
from diffusion_geodesics.diffusion import Condition
from diffusion_geodesics.models import from_denoiser
from tests.correspondence.scenes import (
    coarse_and_fine,
    function_model,
    latents,
    length_of,
    posterior_mean,
)

LEVELS = len(FeatureSettings().levels)


@pytest.mark.parametrize(
    ("settings", "nfe", "batches"),
    [(FeatureSettings(), 24, 3), (FeatureSettings(levels=(0.3, 0.5), draws=3), 12, 2)],
)
def test_the_network_is_evaluated_as_often_as_the_settings_say(
    settings: FeatureSettings, nfe: int, batches: int
) -> None:
    evaluations: list[tuple[int, float]] = []

    def counting(x: Tensor, sigma: float, text: Tensor) -> tuple[Tensor, Tensor]:
        evaluations.append((len(x), sigma))
        return coarse_and_fine(x, sigma, text)

    model = from_denoiser(posterior_mean, (3, 16, 24), embed=length_of, features=counting)
    clean, condition = latents(model), model.encode_prompt("")
    grids = extract_features(model.denoiser(16, 24), clean, condition, steps=25, settings=settings)
    shapes = [(2, 3 * batches, 4, 6), (2, 6 * batches, 16, 24)]
    assert [tuple(g.shape) for g in grids] == shapes
    assert settings.nfe(2) == sum(n for n, _ in evaluations) == nfe
    assert settings.batches == len(evaluations) == batches
    sigmas = [sigma for _, sigma in evaluations]
    assert sigmas == sorted(set(sigmas)), "every level once, from low noise to high"
    assert settings.nfe(3) == nfe * 3 // 2


def test_features_are_standardised_and_seeded() -> None:
    model = function_model()
    denoiser, condition = model.denoiser(16, 24), model.encode_prompt("")
    clean = latents(model)
    grids = extract_features(denoiser, clean, condition, steps=25, seed=7)
    for grid in grids:
        assert grid.dtype == torch.float32
        assert_close(grid.mean((0, 2, 3)), torch.zeros(grid.shape[1]), rtol=0, atol=1e-5)
        assert float(grid.square().mean()) == pytest.approx(1, abs=1e-4)
    again = extract_features(denoiser, clean, condition, steps=25, seed=7)
    other = extract_features(denoiser, clean, condition, steps=25, seed=8)
    assert all(torch.equal(a, b) for a, b in zip(grids, again, strict=True))
    assert not torch.allclose(grids[0], other[0])


def test_constant_channels_stay_zero_and_large_channels_are_scaled_down() -> None:
    def constant(x: Tensor, sigma: float) -> tuple[Tensor]:
        return (torch.cat([x, torch.zeros_like(x), torch.zeros_like(x)], 1),)

    def large(x: Tensor, sigma: float) -> tuple[Tensor]:
        return (torch.cat([x, 1e4 * x[:, :1]], 1),)

    def mean(x: Tensor, sigma: float) -> Tensor:
        return x / (1 + sigma**2)

    powers = []
    for features in (constant, large):
        model = from_denoiser(mean, (3, 16, 24), features=features)
        (grid,) = extract_features(
            model.denoiser(16, 24), latents(model), model.encode_prompt(""), steps=25
        )
        powers.append(grid.square().mean((0, 2, 3)).unflatten(0, (LEVELS, -1)))
    quiet, scaled = powers
    assert float(quiet[:, :3].min()) > 0.5
    assert float(quiet[:, 3:].max()) == 0
    assert float((scaled[:, 3] / scaled[:, :3].median(1).values).max()) < 4.5**2


@pytest.mark.parametrize(("max_cells", "shape"), [(64, (2, 3, 32, 53)), (40, (2, 3, 24, 40))])
def test_large_grids_are_averaged(max_cells: int, shape: tuple[int, ...]) -> None:
    def mean(x: Tensor, sigma: float) -> Tensor:
        return x / (1 + sigma**2)

    model = from_denoiser(mean, (1, 96, 160), features=lambda x, sigma: (x,))
    clean = torch.randn(2, 96 * 160, generator=torch.Generator().manual_seed(0))
    (grid,) = extract_features(
        model.denoiser(96, 160),
        clean,
        model.encode_prompt(""),
        steps=25,
        settings=FeatureSettings(max_cells=max_cells),
    )
    assert grid.shape == shape


def test_images_share_the_noise_and_keep_their_conditions() -> None:
    model = function_model()
    denoiser, clean = model.denoiser(16, 24), latents(model)[:1].expand(2, -1)
    for grid in extract_features(denoiser, clean, model.encode_prompt("ab"), steps=25):
        assert torch.equal(grid[0], grid[1])
    conditions = Condition.stack([model.encode_prompt(text) for text in ("", "abcdef")])
    _, fine = extract_features(denoiser, clean, conditions, steps=25)
    text = fine.unflatten(1, (LEVELS, 6))[:, :, 3:]
    assert float(text[0].max()) < 0 < float(text[1].min()), "channels of the text, by image"
    assert torch.equal(text[0], -text[1])


def test_a_network_without_features_gives_no_grids() -> None:
    model = function_model(features=False)
    condition = model.encode_prompt("")
    assert extract_features(model.denoiser(16, 24), latents(model), condition, steps=25) == ()
