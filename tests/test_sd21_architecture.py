"""Stable Diffusion 2.1's true architecture, with random weights: it runs, and in how much memory.

`pytest -m slow tests/test_sd21_architecture.py -s` prints seconds and peak memory.
"""

import resource
import sys
import time
from pathlib import Path

import pytest
import torch

from diffusion_geodesics.apps import Settings, interpolate
from diffusion_geodesics.diffusion import LevelScore
from diffusion_geodesics.models import StableDiffusionModel
from tests.sd21 import random_sd21

pytestmark = pytest.mark.slow


def peak_gib() -> float:
    """The most memory that this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


@pytest.mark.parametrize("edge", [512, 768])
def test_one_score_evaluation(edge: int, tmp_path: Path) -> None:
    model = StableDiffusionModel.from_pipeline(random_sd21(tmp_path, edge, torch.bfloat16))
    assert model.native_size == edge
    weights = sum(p.numel() for p in model.pipeline.unet.parameters())
    assert weights == 865_910_724, "the real network's count"
    denoiser = model.denoiser(edge, edge)
    x = torch.randn(1, 4 * (edge // 8) ** 2, generator=torch.Generator().manual_seed(0))
    score = LevelScore(denoiser, denoiser.schedule.timestep(50, 0.6), model.encode_prompt("abc"))
    started = time.perf_counter()
    value = score(torch.zeros(1), x)
    seconds = time.perf_counter() - started
    print(f"\n{edge}x{edge}: one score in {seconds:.1f} s, peak memory {peak_gib():.2f} GiB")
    assert value.shape == x.shape
    assert value.dtype == torch.float32
    assert peak_gib() < 8.0


def test_an_interpolation_from_end_to_end(tmp_path: Path) -> None:
    """At 256x256, a quarter of the work: the architecture is fully convolutional."""
    model = StableDiffusionModel.from_pipeline(random_sd21(tmp_path, 512, torch.bfloat16))
    images = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    settings = Settings(
        frames=3,
        steps=4,
        level=0.5,
        refinements=0,
        max_steps=1,
        intervals=(4,),
        size=256,
        compare=False,
        allow_atypical=True,  # random weights know no typical set
    )
    started = time.perf_counter()
    morph = interpolate(model, images[0], images[1], settings)
    print(
        f"\n256x256, 3 frames: {time.perf_counter() - started:.0f} s, "
        f"{morph.ledger.total.rows} rows, peak memory {peak_gib():.2f} GiB"
    )
    assert morph.film.frames.shape == (3, 3, 256, 256)
    assert bool(morph.film.frames.isfinite().all())
