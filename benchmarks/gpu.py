"""Stable Diffusion 2.1's architecture on an accelerator: seconds a pair, peak memory, evaluations.

Weights are random, so only costs mean something: the solver of a random network's density may
take more or fewer steps than that of a trained one. Ours by default against the published
settings, 512x512, 17 frames.

    python -m benchmarks.gpu [--device cuda] [--dtype float16] [--steps 50]
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import cyclopts
import torch
from torch import Tensor

from benchmarks.record import table
from diffusion_geodesics import interpolate
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.models import DiffusionModel, StableDiffusionModel

HEAD = ("settings", "NFE", "calls", "TFLOP", "seconds", "peak GiB")


def images(size: int) -> tuple[Tensor, Tensor]:
    """Two smooth random images."""
    noise = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(noise, size=(size, size), mode="bicubic").clamp(0, 1)
    return smooth[0], smooth[1]


def measure(
    model: DiffusionModel, name: str, settings: InterpolationSettings, size: int
) -> list[str]:
    """What a pair costs, as a row of the table."""
    on_gpu = model.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    total = interpolate(model, images(size), settings).costs.total
    seconds = time.perf_counter() - started
    peak = f"{torch.cuda.max_memory_allocated() / 2**30:.1f}" if on_gpu else "–"
    return [
        name, str(total.nfe), str(total.batches), f"{total.tflop:.1f}", f"{seconds:.1f}", peak,
    ]  # fmt: skip


def main(
    *,
    device: str = "cuda",
    dtype: Literal["float16", "bfloat16", "float32"] = "float16",
    steps: int = 50,
    frames: int = 17,
    size: int = 512,
    published: bool = True,
) -> None:
    """Measure a pair.

    Args:
        device: cuda, or cpu to try the code.
        dtype: precision of the networks.
        steps: sampling steps.
        frames: of the film.
        size: edge of the images.
        published: measure the published settings as well.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit(
            "no GPU here: nothing measured (--device cpu --steps 2 --size 64 tries the code)"
        )
    from tests.sd21 import random_sd21

    with TemporaryDirectory() as folder:
        pipeline = random_sd21(Path(folder), 512, getattr(torch, dtype)).to(device)
    model = StableDiffusionModel.from_pipeline(pipeline)
    changes = {"steps": steps, "frames": frames, "size": size}
    rows = [measure(model, "ours, default", _typical(changes), size)]
    if published:
        theirs = InterpolationSettings.preset("published", prompt="a", **changes)
        rows.append(measure(model, "published", theirs, size))
    print(table(HEAD, rows))


def _typical(changes: dict[str, int]) -> InterpolationSettings:
    return InterpolationSettings.of(allow_atypical=True, **changes)


if __name__ == "__main__":
    cyclopts.run(main)
