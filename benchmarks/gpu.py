"""Stable Diffusion 2.1's architecture on an accelerator: seconds a pair, peak memory, evaluations.

Weights are random, so only costs mean something: the solver of a random network's density may
take more or fewer steps than that of a trained one. Ours by default against the published
settings, 512x512, 17 frames.

    python -m benchmarks.gpu [--device cuda] [--dtype float16] [--steps 50] [--size 512]
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchmarks.sd21 import pipeline
from diffusion_geodesics import Settings, interpolate
from diffusion_geodesics.models import StableDiffusionModel


@dataclass(frozen=True)
class Row:
    """What a pair cost."""

    settings: str
    rows: int
    calls: int
    tflop: float
    seconds: float
    gigabytes: float


def images(size: int) -> tuple[Tensor, Tensor]:
    """Two smooth random images."""
    noise = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.interpolate(noise, size=(size, size), mode="bicubic").clamp(0, 1)
    return smooth[0], smooth[1]


def run(model: StableDiffusionModel, name: str, settings: Settings, size: int) -> Row:
    """One pair."""
    on_gpu = model.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    done = interpolate(model, *images(size), settings)
    seconds = time.perf_counter() - started
    peak = torch.cuda.max_memory_allocated() / 2**30 if on_gpu else float("nan")
    total = done.ledger.total
    return Row(name, total.rows, total.calls, total.tflop, seconds, peak)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try the code")
    parser.add_argument("--dtype", default="float16", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--steps", type=int, default=50, help="sampling steps")
    parser.add_argument("--frames", type=int, default=17)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--ours-only", action="store_true", help="leave the published settings out")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("no GPU here: nothing measured (--device cpu --steps 2 --size 64 tries the code)")
        return 1
    dtype = getattr(torch, options.dtype if options.device != "cpu" else "float32")
    model = StableDiffusionModel.from_pipeline(pipeline(options.device, dtype))
    changes = {"steps": options.steps, "frames": options.frames, "size": options.size}
    variants = {"ours, default": replace(Settings(allow_atypical=True), **changes)}
    if not options.ours_only:
        variants["published"] = Settings.published(prompt_a="a", **changes)
    print(
        "| settings | rows | calls | TFLOP | seconds | peak GiB |\n|---|---:|---:|---:|---:|---:|"
    )
    for name, settings in variants.items():
        row = run(model, name, settings, options.size)
        print(
            f"| {row.settings} | {row.rows} | {row.calls} | {row.tflop:.1f} | {row.seconds:.1f} "
            f"| {row.gigabytes:.1f} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
