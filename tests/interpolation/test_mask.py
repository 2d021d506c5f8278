"""Masks: what is black stays bit by bit, and wrong ones are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from diffusion_geodesics.images import read_image, save_png
from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.interpolation.mask import _feathered
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.runtime.settings import SettingsError
from tests.interpolation.test_loops import pictures

QUICK = InterpolationSettings.of(steps=4, level=0.5, path="slerp", frames=5, feather=4, mask="x")
SIZE = 32


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """White in the middle columns; and white in the upper rows."""
    for name, rows, columns in (("m", slice(None), slice(8, 26)), ("b", slice(0, 20), slice(None))):
        grey = torch.zeros(1, SIZE, SIZE)
        grey[:, rows, columns] = 1
        Image.fromarray((255 * grey[0]).byte().numpy()).save(tmp_path / f"{name}.png")
    return tmp_path


@pytest.mark.whole
def test_what_is_black_stays(model: DiffusionModel, masks: Path) -> None:
    images = pictures(3, SIZE, SIZE)
    done = interpolate(model, images, QUICK, mask=masks / "m.png", loop=True, frames=6)
    black = torch.ones(SIZE, SIZE, dtype=torch.bool)
    black[:, 8:26] = False
    first = images[0][:, black]
    assert torch.equal(done.frames[:, :, black], first.expand(6, *first.shape))
    for strip in done.compared:
        for frame in strip.frames:
            assert torch.equal(frame[:, black], first)
    plain = interpolate(model, images, QUICK.updated(mask=None), loop=True, frames=6)
    inner = slice(13, 21)
    at = done.strip.timeline.keyframes[1]
    assert float((done.frames[at, ..., inner] - plain.frames[at, ..., inner]).abs().mean()) < 0.2
    assert float((done.frames[at, ..., inner] - done.frames[0, ..., inner]).abs().mean()) > 0.02
    assert torch.equal(done.pictures.images[1][:, black], first)
    assert "outside the mask" in done.pictures.notes[1]


def test_pixels_of_a_file_are_kept(model: DiffusionModel, masks: Path) -> None:
    for i, image in enumerate(pictures(2, SIZE, SIZE)):
        save_png(masks / f"{i}.png", image)
    done = interpolate(model, [masks / "0.png", masks / "1.png"], QUICK, mask=masks / "m.png")
    assert torch.equal(done.frames[2, :, :, :8], read_image(masks / "0.png").pixels[:, :, :8])


def test_a_second_mask_moves_to_the_second_image(model: DiffusionModel, masks: Path) -> None:
    images = pictures(2, SIZE, SIZE)
    images[1][:, 24:, :4] = images[0][:, 24:, :4]
    done = interpolate(model, images, QUICK, mask=masks / "m.png", mask_b=masks / "b.png")
    assert torch.equal(done.frames[0, :, :, :8], images[0][:, :, :8])
    assert torch.equal(done.frames[-1, :, 20:], images[1][:, 20:])
    both = (slice(None), slice(24, None), slice(0, 4))  # black in both masks, and the same in both
    assert all(torch.equal(frame[both], images[0][both]) for frame in done.frames)
    black = (slice(None), slice(20, None), slice(26, None))  # black in both masks
    middle = torch.lerp(images[0], images[1], float(done.strip.timeline.t[2]))
    torch.testing.assert_close(done.frames[2][black], middle[black], atol=1e-6, rtol=0)
    assert "outside" not in "".join(done.pictures.notes)


def test_the_soft_edge_lies_inside_the_white() -> None:
    grey = torch.zeros(1, 20, 20)
    grey[:, :, 10:] = 1
    soft = _feathered(grey, 4)
    assert bool((soft[:, :, :10] == 0).all())
    assert bool((soft[:, :, 14:] == 1).all())
    assert bool((soft[0, 0, 9:15].diff() > 0).all())
    assert torch.equal(_feathered(grey, 0), grey)


def written(folder: Path, pixels: Tensor) -> Path:
    save_png(folder / "wrong.png", pixels)
    return folder / "wrong.png"


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (torch.rand(1, SIZE, 20).expand(3, -1, -1), "20x32 pixels; expected a mask of the size"),
        (torch.zeros(3, SIZE, SIZE), "all black: nothing changes"),
        (torch.ones(3, SIZE, SIZE), "all white: nothing would stay"),
        (torch.rand(3, SIZE, SIZE), "has colours; expected grey"),
    ],
    ids=["size", "black", "white", "colours"],
)
def test_masks_that_cannot_be_used(
    model: DiffusionModel, tmp_path: Path, pixels: Tensor, words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        interpolate(model, pictures(2), QUICK, mask=written(tmp_path, pixels))


def test_masks_and_what_goes_with_them(model: DiffusionModel, masks: Path) -> None:
    both: dict[str, Any] = {"mask": masks / "m.png", "mask_b": masks / "b.png"}
    with pytest.raises(SettingsError, match="films of two images, and got 3"):
        interpolate(model, pictures(3), QUICK, **both)
    with pytest.raises(SettingsError, match="mask_b without mask"):
        InterpolationSettings.of(mask_b=masks / "b.png")
    with pytest.raises(SettingsError, match="feather has no effect"):
        InterpolationSettings.of(feather=3)
    clear = Image.new("LA", (SIZE, SIZE), (255, 100))
    clear.save(masks / "clear.png")
    with pytest.raises(SettingsError, match="an alpha channel"):
        interpolate(model, pictures(2), QUICK, mask=masks / "clear.png")


def test_a_mask_of_the_images_own_size_is_framed_with_it(
    model: DiffusionModel, tmp_path: Path
) -> None:
    grey = torch.zeros(3, 48, 64)
    grey[:, :, 32:] = 1
    done = interpolate(
        model, pictures(2, 48, 64), QUICK, size=(32, 32), mask=written(tmp_path, grey)
    )
    assert torch.equal(
        done.frames[:, :, :, :14], done.pictures.images[:1, :, :, :14].expand(5, -1, -1, -1)
    )
