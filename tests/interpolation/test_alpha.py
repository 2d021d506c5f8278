"""Images with an alpha channel: kept through the film, morphed as the colours are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.interpolation.result import InterpolationResult
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.reporting.pixels import with_alpha
from diffusion_geodesics.reporting.save import save
from tests.interpolation.test_loops import pictures

QUICK = InterpolationSettings.of(
    steps=4, level=0.5, path="slerp", frames=5, film_only=True, background="#204060"
)
GREEN = (32 / 255, 64 / 255, 96 / 255)


def clear(image: Tensor, start: int) -> Tensor:
    """RGBA: transparent before a column."""
    alpha = torch.zeros(1, *image.shape[1:])
    alpha[:, :, start:] = 1
    return torch.cat([image, alpha])


@pytest.fixture(scope="module")
def done(model: DiffusionModel) -> InterpolationResult:
    a, b = pictures(2)
    return interpolate(model, [clear(a, 8), clear(b, 16)], QUICK)


def test_the_model_sees_the_background(done: InterpolationResult) -> None:
    corner = done.pictures.images[:, :, 0, 0]
    assert_close(corner, torch.tensor([GREEN, GREEN]))


def test_alpha_goes_from_one_to_the_other(done: InterpolationResult) -> None:
    alpha = done.strip.alpha
    assert alpha is not None
    assert alpha.shape == (5, 1, *done.pictures.size)
    t = done.strip.timeline.t
    assert_close(alpha[:, 0, 0, 12], (1 - t).float(), atol=1e-6, rtol=0)
    assert bool((alpha[:, 0, :, 20] == 1).all())
    assert bool((alpha[:, 0, :, 2] == 0).all())


def test_alpha_follows_the_correspondences(model: DiffusionModel) -> None:
    a, b = pictures(2)
    natural = InterpolationSettings.of(steps=4, level=0.5, frames=5, film_only=True, strength=0)
    done = interpolate(model, [clear(a, 8), clear(b, 16)], natural)
    (segment,) = done.segments
    assert segment.matches is not None
    assert done.strip.alpha is not None
    ends = done.strip.alpha[[0, -1]]
    assert_close(ends[0, 0, 0], clear(a, 8)[3, 0])
    assert_close(ends[1, 0, 0], clear(b, 16)[3, 0])


def test_one_of_several_may_be_transparent(model: DiffusionModel) -> None:
    a, b, c = pictures(3)
    done = interpolate(model, [a, clear(b, 16), c], QUICK)
    assert done.strip.alpha is not None
    assert bool((done.strip.alpha[[0, -1]] == 1).all())
    opaque = interpolate(model, [a, b], QUICK)
    assert opaque.strip.alpha is None


def test_files_keep_it_where_they_can(done: InterpolationResult, tmp_path: Path) -> None:
    kept = save(done, tmp_path / "out")
    frame = np.asarray(Image.open(tmp_path / "out" / "frames" / "000.png"))
    assert frame.shape[2] == 4
    assert frame[0, 0, 3] == 0
    assert frame[0, 20, 3] == 255
    (note,) = [n for n in kept.notes if "transparency" in n]
    assert note.startswith("morph.mp4")
    first = np.asarray(Image.open(tmp_path / "out" / "inputs" / "000.png"))
    assert first.shape[2] == 4


def test_what_is_seen_on_the_background_is_what_was_decoded() -> None:
    images, alpha = torch.rand(2, 3, 8, 8), torch.rand(2, 1, 8, 8) * 0.9 + 0.1
    behind = torch.tensor(GREEN)[:, None, None]
    seen = images * alpha + behind * (1 - alpha)
    rgba = with_alpha(seen, alpha, GREEN)
    assert_close(rgba[:, :3], images, atol=1e-5, rtol=0)
    nothing = with_alpha(seen, torch.zeros_like(alpha), GREEN)
    assert bool(torch.isfinite(nothing).all())
