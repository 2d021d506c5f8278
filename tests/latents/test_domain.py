"""What a model's own images are like, and what is foreign to it."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from diffusion_geodesics.latents.domain import (
    SAMPLES,
    Domain,
    DomainStatistics,
    denoising_error,
    learn_domain,
)
from diffusion_geodesics.latents.encode import ModelParts
from diffusion_geodesics.latents.settings import Inversion
from diffusion_geodesics.runtime.run import Run
from tests.gaussian_model import gaussian_data, gaussian_model

SPREAD = 0.4
"""So narrow that images, whose pixels end at 0 and 1, hold all of it."""
DATA, MODEL = gaussian_data(spread=SPREAD), gaussian_model(spread=SPREAD)
INVERSION = Inversion(level=0.5, steps=40, refinements=10)


def some(mean: float, width: float) -> Tensor:
    return mean + width * torch.linspace(-1, 1, 16)


def test_limits_are_five_standard_deviations_or_a_fixed_margin() -> None:
    wide = Domain(DomainStatistics(some(36, 10), some(0.26, 0.1), some(0.94, 0.2)))
    spread = [5 * float(v.std()) for v in (wide.own.psnr, wide.own.denoising, wide.own.energy)]
    assert wide.limits == pytest.approx(
        (36 - spread[0], 0.26 + spread[1], 0.94 - spread[2], 0.94 + spread[2]), rel=1e-5
    )
    narrow = Domain(DomainStatistics(some(36, 0), some(0.26, 0), some(0.94, 0)))
    assert narrow.limits == pytest.approx((26, 0.26 * 1.15, 0.94 * 0.75, 0.94 * 1.25), rel=1e-5)


def test_images_are_foreign_by_their_medians_and_each_reason_is_named() -> None:
    domain = Domain(DomainStatistics(some(36, 1), some(0.26, 0.02), some(0.94, 0.03)))
    near = DomainStatistics(some(31, 1), some(0.25, 0.02), some(0.87, 0.03))
    assert domain.foreign(near) == ()
    far = domain.foreign(DomainStatistics(some(21, 1), some(0.7, 0.02), some(1.45, 0.03)))
    assert [reason.split(" (")[0] for reason in far] == [
        "the autoencoder reproduces them at 20.9 dB",
        "noise cannot be told from them: denoising error 0.70",
        "their latents carry 1.45 of the noise that the level implies",
    ]
    (only,) = domain.foreign(DomainStatistics(near.psnr, near.denoising, some(0.4, 0.01)))
    assert "carry 0.40" in only
    nothing = torch.full((3,), math.nan)
    assert len(domain.foreign(DomainStatistics(nothing, nothing, nothing))) == 3


def test_the_denoising_error_is_the_posterior_spread_of_a_gaussian() -> None:
    """Var(x0 | x) = std² s² / (a² std² + s²), coordinate by coordinate."""
    parts = ModelParts.of(Run(), MODEL, (16, 16))
    level = parts.level(INVERSION)
    noise = torch.randn(64, len(DATA.mean), generator=torch.Generator().manual_seed(5)).double()
    clean = DATA.mean + DATA.std * noise
    found = denoising_error(parts, clean, MODEL.encode_prompt(""), INVERSION)
    variance = DATA.std**2 * level.sigma**2 / DATA.variance(level.a, level.sigma)
    assert float(found.square().mean().sqrt()) == pytest.approx(
        float(variance.mean().sqrt()), rel=0.02
    )


def slope(steps: int, level: float) -> Tensor:
    """How DDIM stretches each coordinate on its way down from a level: a step has the slope
    a' a std² / v + s' s / v, with the variance v of the noised data."""
    schedule = MODEL.denoiser(16, 16).schedule
    rungs = [*map(schedule.coefficients, schedule.ladder(steps, level)), schedule.clean]
    found = torch.ones_like(DATA.std)
    for (a, s), (b, r) in pairwise(rungs):
        found = found * (b * a * DATA.std**2 + r * s) / DATA.variance(a, s)
    return found


def test_the_domain_of_a_gaussian_model_is_the_gaussian() -> None:
    parts = ModelParts.of(Run(), MODEL, (16, 16))
    found = learn_domain(parts, MODEL.encode_prompt(""), INVERSION).own
    assert len(found.psnr) == len(found.denoising) == len(found.energy) == SAMPLES
    level = parts.level(INVERSION)
    a, s, variance = level.a, level.sigma, DATA.variance(level.a, level.sigma)
    drawn = slope(20, 1.0)
    error = (s**2 / variance * drawn).square() + (a * DATA.std**2 * s / variance).square()
    assert float(found.denoising.mean()) == pytest.approx(float(error.mean().sqrt()), rel=0.02)
    inverted = drawn / slope(40, 0.5)
    energy = (s * inverted / variance).square().mean().sqrt()
    assert float(found.energy.mean()) == pytest.approx(float(energy), rel=0.05)
    again = learn_domain(parts, MODEL.encode_prompt(""), INVERSION).own
    assert torch.equal(again.energy, found.energy), "the noise is seeded"


def test_images_of_another_kind_are_foreign_to_it() -> None:
    parts = ModelParts.of(Run(), MODEL, (16, 16))
    condition = MODEL.encode_prompt("")
    domain = learn_domain(parts, condition, INVERSION)
    far = DATA.mean + 3.0 * torch.ones(4, len(DATA.mean), dtype=torch.float64)
    error = denoising_error(parts, far, condition, INVERSION)
    own = domain.own
    assert domain.foreign(own) == ()
    (reason,) = domain.foreign(DomainStatistics(own.psnr, error, own.energy))
    assert "denoising error" in reason


def test_an_autoencoder_that_loses_nothing_makes_nothing_foreign() -> None:
    """As that of a model on pixels: its own reconstructions are infinitely good."""
    exact = torch.full((16,), math.inf)
    domain = Domain(DomainStatistics(exact, some(0.26, 0.02), some(0.94, 0.03)))
    assert domain.limits[0] == 90.0
    assert domain.foreign(domain.own) == ()
    (reason,) = domain.foreign(DomainStatistics(some(50, 1), some(0.26, 0.02), some(0.94, 0.03)))
    assert "reproduces them at" in reason
