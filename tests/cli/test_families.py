"""``geodesic interpolate`` from end to end on a saved pipeline of every family."""

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

from tests.cli.conftest import Geodesic
from tests.tiny.ddpm import tiny_ddpm
from tests.tiny.dit import tiny_dit
from tests.tiny.flux import tiny_flux
from tests.tiny.pixart import tiny_pixart
from tests.tiny.sd3 import tiny_sd3

pytestmark = pytest.mark.whole

QUICK = ("--level", "0.5", "--steps", "4", "--max-steps", "2", "--frames", "3", "--film-only")

FAMILIES: dict[str, tuple[Callable[[Path], Any], str, tuple[str, ...]]] = {
    "sd3": (tiny_sd3, "32x40", ("abc", "abc")),
    "flux-dev": (tiny_flux, "32x40", ("abc", "xyz")),
    "pixart-alpha": (lambda _: tiny_pixart(), "32x40", ("a", "bcd")),
    "dit": (lambda _: tiny_dit(), "32x32", ("goldfish", "4")),
    "ddpm": (lambda _: tiny_ddpm(), "16x24", ()),
    "ddim-grey": (lambda _: tiny_ddpm(1, ddim=True), "16x16", ()),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_two_images_in_a_morph_out(geodesic: Geodesic, tmp_path: Path, family: str) -> None:
    make, size, prompts = FAMILIES[family]
    make(tmp_path / "tokenizers").save_pretrained(tmp_path / "model")
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        Image.fromarray(rng.integers(0, 255, (40, 48, 3), dtype=np.uint8)).save(tmp_path / name)
    command = ["interpolate", "a.png", "b.png", "-o", "out", "--model", "model", "--size", size]
    prompted = [word for prompt in prompts for word in ("--prompt", prompt)]
    said = geodesic(*command, *QUICK, "--device", "cpu", *prompted, cwd=tmp_path)
    assert said.status == 0, said.err
    out = tmp_path / "out"
    for name in ("strip.png", "morph.mp4", "report.html", "result.json"):
        assert (out / name).stat().st_size > 0
    height, width = map(int, size.split("x"))
    for number in range(3):
        with Image.open(out / "frames" / f"{number:03d}.png") as frame:
            assert frame.size == (width, height)
    result = json.loads((out / "result.json").read_text())
    caveat = result["model"]["caveat"]
    assert bool(caveat) == family.startswith("flux"), "only Flux.1 has no density"
    if caveat:
        assert any(caveat in warning["message"] for warning in result["warnings"])
        assert caveat in (out / "report.html").read_text()
        assert caveat in said.err
