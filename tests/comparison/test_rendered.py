"""Frames at equal feature steps, whatever the pace of a path."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.comparison.rendered import Fixed, Rendered, eight_bits
from diffusion_geodesics.measures import PooledPixels
from diffusion_geodesics.runtime.cost import Counts
from diffusion_geodesics.runtime.run import Run
from tests.comparison.scenes import fade
from tests.gaussian_model import picture

A, B = picture(1, 32, 32), picture(2, 32, 32)


@given(pace=st.floats(1, 4))
@settings(max_examples=15)
def test_re_timing_makes_steps_equal_whatever_the_pace(pace: float) -> None:
    def render(t: Tensor) -> Tensor:
        return torch.lerp(A, B, (t**pace).float()[:, None, None, None])

    film = Rendered(render).frames(Run(), PooledPixels(), 9)
    steps = PooledPixels()(film.frames).diff(dim=0).norm(dim=1)
    assert float(steps.max() / steps.min()) < 1.15
    assert (float(film.t[0]), float(film.t[-1])) == (0.0, 1.0)
    assert_close(film.frames[[0, -1]], eight_bits(torch.stack([A, B])))
    shown = eight_bits(render(film.t))
    assert_close(film.frames, shown, rtol=0, atol=1.01 / 255)


def test_the_cost_is_that_of_the_frames_had_their_places_been_known() -> None:
    run = Run()

    def render(t: Tensor) -> Tensor:
        with run.stage("decode"):
            run.meter.add(Counts(nfe=10 * len(t), batches=1))
        return torch.lerp(A, B, t.float()[:, None, None, None])

    film = Rendered(render).frames(run, PooledPixels(), 9)
    assert (film.cost.nfe, film.cost.batches) == (90, 1)
    assert run.costs["decode"].nfe == 10 * (9 + 2 * 7), "what was really spent"


def test_frames_that_are_there_are_chosen_not_blended() -> None:
    frames = fade(A, B, 41)
    crowded = torch.cat([frames[:1].expand(5, -1, -1, -1), frames])
    film = Fixed(crowded).frames(Run(), PooledPixels(), 5)
    assert_close(film.frames, eight_bits(fade(A, B, 5)), rtol=0, atol=0.02)
    assert film.cost.nfe == 0
    assert all(any(torch.equal(f, g) for g in eight_bits(crowded)) for f in film.frames)
    few = Fixed(fade(A, B, 3)).frames(Run(), PooledPixels(), 5)
    assert len(few.frames) == 5
    assert len({float(t) for t in few.t}) == 3


@given(st.lists(st.floats(-0.5, 1.5), min_size=12, max_size=12))
def test_images_are_rounded_to_256_levels(values: list[float]) -> None:
    x = torch.tensor(values, dtype=torch.float64).reshape(1, 3, 2, 2)
    found = eight_bits(x)
    assert found.dtype == torch.float32
    assert torch.equal(found, eight_bits(found))
    assert float((found - x.clamp(0, 1)).abs().max()) <= 0.5 / 255 + 1e-6
    levels = found * 255
    assert_close(levels, levels.round(), rtol=0, atol=1e-4)


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 2"):
        Rendered(lambda t: fade(A, B, len(t))).frames(Run(), PooledPixels(), 1)
