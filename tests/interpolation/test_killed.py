"""A film of six images that is killed at random moments ends bit by bit as one that was not."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from diffusion_geodesics.interpolation import segments
from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.interpolation.settings import KEPT_SEGMENTS, InterpolationSettings
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.reporting.save import save
from tests.interpolation.test_loops import pictures
from tests.runtime.sandbox import run_in_child

QUICK = InterpolationSettings.of(
    steps=4, level=0.5, frames=16, max_steps=4, allow_atypical=True, path="geodesic", film_only=True
)


def film(model: DiffusionModel, folder: Path, kill_after: float = 0.0) -> None:
    """Make the film, or be killed on the way."""
    if kill_after:
        timer = threading.Timer(kill_after, os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()
    kept = folder.with_name(f"{folder.name}.partial")
    save(interpolate(model, pictures(6), QUICK, resume=kept), folder, overwrite=True)


def contents(folder: Path) -> dict[str, bytes]:
    """The film: its frames and video, and the paths. Reports hold seconds."""
    names = ("morph.mp4", "path.safetensors", "strip.png")
    files = [*(folder / "frames").iterdir(), *(folder / name for name in names)]
    return {file.name: file.read_bytes() for file in files}


def nodes(folder: Path) -> dict[str, int]:
    """The files of finished segments, with numbers that change when they are written again."""
    kept = folder.with_name(f"{folder.name}.partial") / KEPT_SEGMENTS
    return {f.name: f.stat().st_ino for f in kept.glob("[!.]*")} if kept.exists() else {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kills", "group"),
    [
        (3, 4),
        pytest.param(20, 4, marks=pytest.mark.slow),
        pytest.param(20, 1, marks=pytest.mark.slow),
    ],
)
def test_killed_at_random_moments(
    model: DiffusionModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kills: int,
    group: int,
) -> None:
    monkeypatch.setattr(segments, "GROUP", group)
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    started = time.perf_counter()
    run_in_child(lambda: film(model, calm))
    lasting = time.perf_counter() - started
    moments, times, before = random.Random(0), 0, {}
    while times < kills:
        if run_in_child(lambda: film(model, killed, moments.uniform(0.02, lasting))):
            times += 1
        else:  # finished before it was killed: the next one begins anew
            assert contents(killed) == contents(calm)
            for file in (killed.with_name("killed.partial") / KEPT_SEGMENTS).iterdir():
                file.unlink()
            before = {}
        after = nodes(killed)
        if group == 1:
            assert before.items() <= after.items(), "a finished segment was solved again"
        before = after
    run_in_child(lambda: film(model, killed))
    assert contents(killed) == contents(calm)
