"""Images out: 8 bits and back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from diffusion_geodesics.images import load_image, save_png, to_uint8
from tests.images.samples import EDGE, WIDTH, gradient, saved


def test_eight_bits_survive_a_round_trip(tmp_path: Path) -> None:
    pixels = gradient()
    image = load_image(saved(tmp_path, Image.fromarray(pixels)))
    assert image.shape == (3, EDGE, WIDTH)
    assert image.dtype == torch.float32
    assert (to_uint8(image) == pixels).all()
    save_png(tmp_path / "b.png", image)
    assert torch.equal(load_image(tmp_path / "b.png"), image)
    assert torch.equal(load_image(Image.fromarray(pixels)), image)


def test_values_are_rounded_and_clipped() -> None:
    image = torch.tensor([-1.0, 0.499 / 255, 0.501 / 255, 2.0]).reshape(1, 2, 2).expand(3, 2, 2)
    assert to_uint8(image)[..., 0].tolist() == [[0, 0], [1, 255]]


def test_the_home_directory_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    save_png("~/a.png", torch.zeros(3, EDGE, EDGE))
    assert load_image("~/a.png").shape == (3, EDGE, EDGE)
    assert (tmp_path / "a.png").is_file()
