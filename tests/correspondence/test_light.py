"""Cross-fades in linear light, where light is all that differs."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.correspondence.light import chromatic_angle, cross_fade
from diffusion_geodesics.srgb import from_linear, to_linear

HALF = torch.full((1, 1, 1, 1), 0.5, dtype=torch.float64)


def flat(*colour: float) -> Tensor:
    return torch.tensor(colour, dtype=torch.float64)[None, :, None, None]


def pictures(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, 3, 3, 4, 5, generator=generator, dtype=torch.float64)


def test_one_surface_under_two_lights_is_lit_by_their_mean() -> None:
    surface = flat(0.8, 0.8, 0.8)
    bright, dark = from_linear(surface * 0.9), from_linear(surface * 0.1)
    assert_close(cross_fade(bright, dark, HALF), from_linear(surface * 0.5))
    assert float(cross_fade(bright, dark, HALF).mean()) > float((bright + dark).mean() / 2)


def test_a_shadow_is_light_and_a_line_is_not() -> None:
    """Both make a surface of one chromaticity brighter by the same factor."""
    surface = torch.full((1, 3, 64, 64), 0.2, dtype=torch.float64)
    shadow, line = surface.clone(), surface.clone()
    shadow[..., :32] *= 3
    line[..., 31:33] *= 3
    lit, before = from_linear(surface * 2), from_linear(surface)
    assert_close(cross_fade(lit, before, HALF), from_linear(surface * 1.5))
    shaded = cross_fade(from_linear(shadow), before, HALF)
    light = from_linear((shadow + surface) / 2)
    assert_close(shaded[..., :24], light[..., :24], rtol=0, atol=1e-6)
    drawn = cross_fade(from_linear(line), before, HALF)
    fade = (from_linear(line) + before) / 2
    assert_close(drawn, fade, rtol=0, atol=0.004)


def test_another_surface_fades_by_its_values() -> None:
    red, blue = flat(0.9, 0.1, 0.1), flat(0.1, 0.1, 0.9)
    assert float(chromatic_angle(to_linear(red), to_linear(blue))) > 1
    assert_close(cross_fade(red, blue, HALF), (red + blue) / 2)


def test_images_without_colour_fade_by_their_values() -> None:
    dark, bright = flat(0.1), flat(0.9)
    assert_close(cross_fade(dark, bright, HALF), flat(0.5))


@given(st.integers(0, 1000), st.floats(0, 1))
def test_what_every_cross_fade_is(seed: int, share: float) -> None:
    first, last = pictures(seed)
    w = torch.full((3, 1, 1, 1), share, dtype=torch.float64)
    found = cross_fade(first, last, w)
    assert_close(found, cross_fade(last, first, 1 - w), rtol=0, atol=1e-6)
    assert bool((found >= torch.minimum(first, last) - 1e-6).all())
    assert bool((found <= torch.maximum(first, last) + 1e-6).all())
    assert_close(cross_fade(first, last, torch.zeros_like(w)), first, rtol=0, atol=1e-6)
    assert_close(cross_fade(first, last, torch.ones_like(w)), last, rtol=0, atol=1e-6)
    assert_close(cross_fade(first, first, w), first, rtol=0, atol=1e-6)
