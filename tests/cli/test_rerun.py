"""A run is repeated from its folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from tests.cli.conftest import Geodesic

pytestmark = pytest.mark.whole

QUICK = ("--steps", "4", "--level", "0.5", "--model", "model")


@pytest.fixture
def run(geodesic: Geodesic, folder: Path, tmp_path: Path) -> Path:
    """The folder of a run."""
    out = tmp_path / "first"
    command = ["interpolate", "a.png", "b.png", "-o", out, "--frames", "3", "--strength", "0.5"]
    assert geodesic(*command, *QUICK, cwd=folder).status == 0
    return out


def test_the_same_run_again_from_anywhere(geodesic: Geodesic, run: Path) -> None:
    said = geodesic("rerun", run, cwd=run)
    assert said.status == 0, said.err
    again = run.with_name("first-2")
    before, after = (json.loads((f / "result.json").read_text()) for f in (run, again))
    for name in ("length", "log_density", "settings", "keyframe_psnr"):
        assert after[name] == before[name]
    for number in range(3):
        frames = [Image.open(f / "frames" / f"{number:03d}.png") for f in (run, again)]
        assert ImageChops.difference(*frames).getbbox() is None


def test_with_options_changed(geodesic: Geodesic, run: Path) -> None:
    other = run.with_name("other")
    said = geodesic("rerun", run, "-o", other, "--path", "slerp", "--frames", "4", cwd=run)
    assert said.status == 0, said.err
    told = json.loads((other / "result.json").read_text())
    assert told["path"] == "slerp"
    assert told["settings"]["film"]["frames"] == 4
    assert told["settings"]["inversion"]["steps"] == 4
    assert "max_steps" not in told["settings"]["solve"], "slerp needs no solver"


def test_folders_that_are_no_runs(geodesic: Geodesic, folder: Path, tmp_path: Path) -> None:
    assert "no settings.toml" in geodesic("rerun", folder, cwd=tmp_path).error
    (tmp_path / "settings.toml").write_text('job = "bake"\n')
    assert "of the job 'bake'" in geodesic("rerun", tmp_path, cwd=tmp_path).error
