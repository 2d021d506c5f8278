"""`geodesic interpolate` from end to end on a saved pipeline of every family.

One process runs all the commands, since starting one takes longer than a run.
"""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.tiny.ddpm import tiny_ddpm
from tests.tiny.dit import tiny_dit
from tests.tiny.flux import tiny_flux
from tests.tiny.pixart import tiny_pixart
from tests.tiny.sd3 import tiny_sd3

QUICK = ("--level", "0.5", "--steps", "4", "--max-steps", "2", "--frames", "3", "--no-compare")

FAMILIES: dict[str, tuple[Callable[[Path], Any], str, tuple[str, str]]] = {
    "sd3": (tiny_sd3, "32x40", ("abc", "abc")),
    "flux-dev": (tiny_flux, "32x40", ("abc", "xyz")),
    "pixart-alpha": (lambda _: tiny_pixart(), "32x40", ("a", "bcd")),
    "dit": (lambda _: tiny_dit(), "32x32", ("goldfish", "4")),
    "ddpm": (lambda _: tiny_ddpm(), "16x24", ("", "")),
    "ddim-grey": (lambda _: tiny_ddpm(1, ddim=True), "16x16", ("", "")),
}

PROGRAM = """
import json, sys, traceback
from diffusion_geodesics.cli import app
for arguments in json.load(sys.stdin):
    try:
        app(arguments, standalone_mode=False)
    except BaseException:
        traceback.print_exc()
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder that holds a model and an `out` a family; and all that was said meanwhile."""
    place = tmp_path_factory.mktemp("families")
    rng = np.random.default_rng(0)
    pictures = [str(place / f"{name}.png") for name in ("a", "b")]
    for picture in pictures:
        Image.fromarray(rng.integers(0, 255, (40, 48, 3), dtype=np.uint8)).save(picture)
    commands = []
    for name, (make, size, (prompt_a, prompt_b)) in FAMILIES.items():
        make(place / name / "tokenizers").save_pretrained(place / name / "model")
        command = ["interpolate", *pictures, "--model", str(place / name / "model"), *QUICK]
        command += ["--device", "cpu", "--size", size, "-o", str(place / name / "out")]
        commands.append([*command, "--prompt-a", prompt_a, "--prompt-b", prompt_b])
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        timeout=500,
        check=False,
    )
    return place, ran.stdout + ran.stderr


@pytest.mark.parametrize("family", FAMILIES)
def test_two_images_in_a_morph_out(runs: tuple[Path, str], family: str) -> None:
    place, said = runs
    out, (_, size, _) = place / family / "out", FAMILIES[family]
    assert out.is_dir(), said
    for name in ("strip.png", "morph.mp4", "report.html", "result.json"):
        assert (out / name).stat().st_size > 0
    height, width = map(int, size.split("x"))
    for number in range(3):
        with Image.open(out / "frames" / f"{number:03d}.png") as frame:
            assert frame.size == (width, height)
    result = json.loads((out / "result.json").read_text())
    assert result["model"]["id"] == str(place / family / "model")
    caveat = result["model"]["caveat"]
    assert bool(caveat) == family.startswith("flux"), "only Flux.1 has no density"
    if caveat:
        assert any(caveat in warning for warning in result["warnings"])
        assert caveat in (out / "report.html").read_text()
        assert caveat in said.replace("\n", " ")
