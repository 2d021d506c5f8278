"""The instruments of the evaluation: DDIM both ways, the judge, the card."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from training.autoencoder import psnr
from training.card import ATTRIBUTES, card
from training.denoiser import build_scheduler
from training.evaluate import LEVELS, Report, sharpness
from training.factors import BACKGROUND, HAIR, colour_index, sample_factors
from training.regressor import SCALARS, SWITCHES, Reading, Regressor, agreement, facing
from training.sampling import Sampler


def gaussian_sampler(spread: float) -> Sampler:
    """DDIM with the exact noise prediction of a Gaussian of mean 0."""
    alphas = build_scheduler().alphas_cumprod

    def unet(x: Tensor, t: int, encoder_hidden_states: Tensor) -> SimpleNamespace:
        share = float(alphas[t])
        return SimpleNamespace(sample=x * (1 - share) ** 0.5 / (share * spread**2 + 1 - share))

    return Sampler(cast(Any, SimpleNamespace(unet=unet)))


def test_levels_are_shares_of_the_schedule():
    sampler = gaussian_sampler(1.0)
    assert sampler.times[:2] == [1, 21]
    assert [sampler.top(level) for level in (0.3, 0.6, 1.0)] == [16, 31, 50]
    assert sampler.times[sampler.top(0.6) - 1] == 601


def test_inversion_with_corrections_is_undone_by_denoising():
    sampler = gaussian_sampler(0.5)
    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    states = torch.zeros(3, 1)
    up = sampler.invert(x, 0.6, states, corrections=8)
    torch.testing.assert_close(sampler.denoise(up, 0.6, states), x, atol=1e-5, rtol=1e-5)
    plain = sampler.denoise(sampler.invert(x, 0.6, states), 0.6, states)
    torch.testing.assert_close(plain, x, atol=0.05, rtol=0.05)


def test_noise_of_a_gaussian_is_denoised_to_its_spread():
    sampler = gaussian_sampler(0.5)
    x = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0))
    assert sampler.denoise(x, 1.0, torch.zeros(4000, 1)).std() == pytest.approx(0.5, rel=0.1)


def test_facing_uses_the_captions_threshold():
    assert facing(torch.tensor([-0.5, 0.1, 0.5])).tolist() == [-1, 0, 1]


def test_agreement_is_one_for_a_perfect_reading_and_ignores_the_hair_of_the_bald():
    factors = sample_factors(30, torch.Generator().manual_seed(0))
    values = factors.tensors()
    hair = colour_index(factors.hair, HAIR)
    reading = Reading(
        torch.where(factors.bald > 0.5, (hair + 1) % len(HAIR), hair),
        colour_index(factors.background, BACKGROUND),
        {name: values[name] for name in SCALARS},
        {name: values[name] for name in SWITCHES},
    )
    assert set(agreement(reading, factors).values()) == {1.0}
    wrong = agreement(Reading(hair + 1, *list(vars(reading).values())[1:]), factors)
    assert wrong["hair"] == 0
    assert wrong["background"] == 1


def test_the_judge_reads_images_of_any_size():
    reading = Regressor(8).eval().read(torch.zeros(2, 3, 128, 128))
    assert reading.hair.shape == (2,)
    assert set(reading.scalars) == set(SCALARS)


def test_psnr_and_sharpness():
    x = torch.zeros(1, 3, 8, 8)
    assert psnr(x, x + 0.2) == pytest.approx(20, abs=1e-3)
    assert sharpness(x) == 0
    x[..., ::2] = 1
    assert sharpness(x) == pytest.approx(0.5)


def test_the_card_tells_every_figure():
    shares: Report = dict.fromkeys((*ATTRIBUTES, "sharpness ratio"), 0.875)
    vae = ("psnr", "psnr, latent noise 0.1", "psnr, latent noise 0.2", "psnr at 256")
    kinds = [(text, how) for text in ("captioned", "bare") for how in ("plain", "2 corrections")]
    names = ("psnr", "sharpness ratio", "yaw error", *ATTRIBUTES)
    report = {
        "autoencoder": {**dict.fromkeys(vae, 32.5), "sharpness ratio": 0.9},
        "judge": {f"renders, {name}": 1.0 for name in ATTRIBUTES},
        "renoising": {
            "psnr, no noise": 32.5,
            **{f"level {level}, {name}": 0.5 for level in LEVELS for name in names},
        },
        "guidance 3": shares,
        "inversion": {f"{a}, level {v}, {b}": 0.123 for a, b in kinds for v in LEVELS},
    }
    text = card(report, "28,000 portraits.", Path("model"))
    for figure in ("32.5 dB", "| guidance 3 | 88 %", "0.12 dB", "28,000 portraits."):
        assert figure in text
