"""`geodesic interpolate` from end to end on a saved pipeline of every family.

The command is called as the function that it is; how it is parsed is tested elsewhere.
"""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from diffusion_geodesics.cli.interpolate import interpolate
from tests.tiny.ddpm import tiny_ddpm
from tests.tiny.dit import tiny_dit
from tests.tiny.flux import tiny_flux
from tests.tiny.pixart import tiny_pixart
from tests.tiny.sd3 import tiny_sd3

FAMILIES: dict[str, tuple[Callable[[Path], Any], str, tuple[str, str]]] = {
    "sd3": (tiny_sd3, "32x40", ("abc", "abc")),
    "sd3 without t5": (lambda folder: tiny_sd3(folder, t5=False), "32x32", ("", "")),
    "flux dev": (tiny_flux, "32x40", ("abc", "xyz")),
    "flux schnell": (lambda folder: tiny_flux(folder, guidance=False), "32x32", ("", "")),
    "pixart alpha": (lambda _: tiny_pixart(), "32x40", ("a", "bcd")),
    "pixart sigma": (lambda _: tiny_pixart(sigma=True), "32x32", ("abc", "abc")),
    "dit": (lambda _: tiny_dit(), "32x32", ("1", "4")),
    "ddpm": (lambda _: tiny_ddpm(), "16x24", ("", "")),
    "ddim grey": (lambda _: tiny_ddpm(1, ddim=True), "16x16", ("", "")),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_two_images_in_a_morph_out(tmp_path: Path, family: str) -> None:
    make, size, prompts = FAMILIES[family]
    make(tmp_path / "tokenizers").save_pretrained(tmp_path / "model")
    rng = np.random.default_rng(0)
    pictures = [tmp_path / f"{name}.png" for name in ("a", "b")]
    for picture in pictures:
        Image.fromarray(rng.integers(0, 255, (40, 48, 3), dtype=np.uint8)).save(picture)
    out = tmp_path / "out"
    interpolate(
        *pictures,
        out,
        model=str(tmp_path / "model"),
        prompt_a=prompts[0],
        prompt_b=prompts[1],
        device="cpu",
        level=0.5,
        steps=4,
        max_steps=2,
        frames=3,
        size=size,
        compare=False,
    )
    for name in ("strip.png", "morph.mp4", "report.html", "result.json"):
        assert (out / name).stat().st_size > 0
    edges = [int(edge) for edge in size.split("x")]
    for number in range(3):
        with Image.open(out / "frames" / f"{number:03d}.png") as frame:
            assert frame.size == (edges[1], edges[0])
    assert json.loads((out / "result.json").read_text())["model"]["id"] == str(tmp_path / "model")
