"""The training bank: portraits rendered once, kept as shards of uint8 images with their factors.

Shard k holds `SHARD` portraits drawn from seed k: `k.npy` (n, 3, size, size) and
`k.safetensors` (factors). Both are reproducible; a shard that exists is not rendered again.
Held-out portraits come from seeds that no shard can have.

    python -m training.bank --shards 56
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.factors import Factors, concatenate, sample_factors
from training.portraits import render

RUNS = Path("runs")
SHARD = 500
HELD_OUT = 1_000_000
"""First seed of the portraits that no training step sees."""


def draw(seed: int, n: int) -> Factors:
    """n portraits of a seed."""
    return sample_factors(n, torch.Generator().manual_seed(seed))


def held_out(n: int, offset: int = 0) -> Factors:
    """n portraits that are not in the bank."""
    return draw(HELD_OUT + offset, n)


def to_bytes(images: Tensor) -> np.ndarray:
    """[0, 1] to uint8."""
    return (images * 255).round().to(torch.uint8).numpy()


def from_bytes(images: np.ndarray) -> Tensor:
    """uint8 to the networks' range [-1, 1]."""
    return torch.from_numpy(images).float() / 127.5 - 1


def write_shard(folder: Path, seed: int, size: int, count: int = SHARD) -> None:
    """Render one shard, images last and by renaming, so that a shard that exists is whole."""
    factors = draw(seed, count)
    save_file(factors.tensors(), folder / f"{seed:04d}.safetensors")
    partial = folder / f"{seed:04d}.partial"
    with partial.open("wb") as file:
        np.save(file, to_bytes(render(factors, size, chunk=2)))
    os.replace(partial, folder / f"{seed:04d}.npy")


def shards(folder: Path) -> list[Path]:
    """The complete shards, in order."""
    return sorted(folder.glob("*.npy"))


def load_images(folder: Path, limit: int | None = None) -> list[np.ndarray]:
    """The shards' images, memory-mapped."""
    return [np.load(path, mmap_mode="r") for path in shards(folder)[:limit]]


def load_factors(folder: Path, limit: int | None = None) -> Factors:
    """The factors of the complete shards."""
    return concatenate(
        [Factors(**load_file(path.with_suffix(".safetensors"))) for path in shards(folder)[:limit]]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="render the training bank")
    parser.add_argument("--shards", type=int, default=56, help=f"of {SHARD} portraits each")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--folder", type=Path, default=RUNS / "bank")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.folder.mkdir(parents=True, exist_ok=True)
    for seed in range(options.first, options.shards):
        if not (options.folder / f"{seed:04d}.npy").exists():
            write_shard(options.folder, seed, options.size)
            print(f"shard {seed + 1} of {options.shards}", flush=True)


if __name__ == "__main__":
    main()
