"""Latents as images: the way back down, with guidance."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.diffusion import Condition
from diffusion_geodesics.images import psnr
from diffusion_geodesics.latents.decode import decode
from diffusion_geodesics.latents.mixture import Mixed
from diffusion_geodesics.latents.settings import Inversion, SamplerName
from diffusion_geodesics.runtime.run import Run
from tests.gaussian_model import SHIFT
from tests.latents.scenes import noised


def prompt(letters: float) -> Condition:
    """A prompt of so many letters, which moves the mean."""
    return Condition((torch.full((1, 3 * 16 * 16), SHIFT * letters, dtype=torch.float64),))


@pytest.mark.parametrize("sampler", [SamplerName.DDIM, SamplerName.HEUN])
def test_images_come_back_from_their_latents(sampler: SamplerName) -> None:
    """As far as inversion refines: to 0.003 root mean square at each step."""
    inversion = Inversion(level=0.5, steps=8, refinements=20, sampler=sampler)
    here = noised(inversion=inversion)
    conditions = Condition.stack(here.encoded.conditions)
    images = decode(Run(), here.parts, inversion, here.latents, conditions)
    assert bool((psnr(images, here.encoded.images.to(images)) > 59).all())


def test_a_batch_of_frames_is_decoded_as_one_by_one_and_counted() -> None:
    run = Run()
    here = noised(run=run)
    conditions = Condition.stack(here.encoded.conditions)
    images = decode(run, here.parts, here.inversion, here.latents, conditions, stage="film")
    assert run.costs["film"].nfe == 3 * 4
    assert run.costs["film"].batches == 4
    for k in range(3):
        condition = here.encoded.conditions[k]
        alone = decode(run, here.parts, here.inversion, here.latents[k : k + 1], condition)
        assert_close(alone, images[k : k + 1])
    assert run.costs["decode"].nfe == 3 * 4


def test_of_mixtures_only_what_is_improbable_is_sampled() -> None:
    run = Run()
    here = noised(run=run)
    parts, inversion, x = here.parts, here.inversion, here.latents
    conditions = Condition.stack(here.encoded.conditions)
    plain = decode(run, parts, inversion, x, conditions)
    share = torch.zeros_like(x)
    share[1] = 1.0
    mixed = Mixed(here.encoded.clean.flip(0), share)
    shown = decode(run, parts, inversion, x, conditions, mixed=mixed, stage="mixed")
    assert run.costs["mixed"].nfe == 4
    assert_close(shown[1], plain[1])
    straight = here.encoded.codec.decode(here.encoded.clean.flip(0))
    assert_close(shown[[0, 2]], straight[[0, 2]])
    nothing = Mixed(mixed.clean, torch.zeros_like(x))
    assert_close(decode(run, parts, inversion, x, conditions, mixed=nothing), straight)


def test_guidance_moves_the_mean_beyond_the_prompt_frame_by_frame() -> None:
    """Of Gaussians, weight w between prompts of 4 and of 1 letter is one of 1 + 3 w letters."""
    run, weights = Run(), torch.tensor([1.0, 0.0, 2.0], dtype=torch.float64)
    here = noised(run=run)
    parts, inversion, x = here.parts, here.inversion, here.latents
    guided = decode(run, parts, inversion, x, prompt(4), negative=prompt(1), guidance=weights)
    assert run.costs["decode"].nfe == 4 * (1 + 1 + 2)
    for k, letters in enumerate((4.0, 1.0, 7.0)):
        alone = decode(run, parts, inversion, x[k : k + 1], prompt(letters))
        assert_close(guided[k : k + 1], alone, rtol=1e-6, atol=1e-6)
    same = decode(run, parts, inversion, x, prompt(4), negative=prompt(1), guidance=2.0)
    assert_close(same[2:], guided[2:])
