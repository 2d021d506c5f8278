"""The autoencoder: diffusers' AutoencoderKL, 8 latent channels at 1/8 of the image's side.

Loss: L1 + 4 L2 + L1 of the image gradients, the decoder fed mean + noise of up to
`NOISE` latent standard deviations, so that it forgives what a denoiser leaves over. Crops of
half the side first (cheap steps), whole images later. No attention: it works at any size.

    python -m training.autoencoder --minutes 33
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from training.bank import RUNS, from_bytes, held_out, load_images
from training.loop import Budget, Run, Schedule, add_budget, budget_of, generator, train
from training.portraits import render

CHANNELS = 8
NOISE = 0.2
CROPS_UNTIL = 0.55
"""Share of the budget spent on crops."""


def build(widths: Sequence[int] = (16, 32, 64, 64), groups: int = 8) -> AutoencoderKL:
    """An untrained autoencoder; each width after the first halves the side once."""
    n = len(widths)
    config: dict[str, Any] = {
        "block_out_channels": tuple(widths),
        "down_block_types": ("DownEncoderBlock2D",) * n,
        "up_block_types": ("UpDecoderBlock2D",) * n,
        "layers_per_block": 1,
        "latent_channels": CHANNELS,
        "norm_num_groups": groups,
        "sample_size": 128,
        "mid_block_add_attention": False,
        "scaling_factor": 1.0,
    }
    return AutoencoderKL(**config)


def encode(network: AutoencoderKL, x: Tensor) -> Tensor:
    """Posterior means of images in [-1, 1]."""
    return network.encode(x, return_dict=False)[0].mean


def decode(network: AutoencoderKL, z: Tensor) -> Tensor:
    """Images, not clamped, of latents."""
    return network.decode(cast(Any, z), return_dict=False)[0]


def batch_index(images: Sequence[np.ndarray], step: int, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """The shards, rows and flips of the n images of a step."""
    g = generator(step)
    shard = torch.randint(len(images), (n,), generator=g)
    row = torch.randint(len(images[0]), (n,), generator=g)
    return shard, row, torch.rand(n, generator=g) < 0.5


def take(
    images: Sequence[np.ndarray],
    shard: Tensor,
    row: Tensor,
    flip: Tensor,
    corner: Tensor | None = None,
    side: int = 0,
) -> Tensor:
    """Images of the bank in [-1, 1], or crops of a side at the corners (n, 2)."""
    n, size = len(shard), images[0].shape[-1]
    side = side or size  # whole images
    corners = corner.tolist() if corner is not None else [[0, 0]] * n
    places = zip(shard.tolist(), row.tolist(), corners, flip.tolist(), strict=True)
    crops = [
        images[s][r, :, y : y + side, x : x + side][:, :, :: -1 if f else 1]
        for s, r, (y, x), f in places
    ]
    return from_bytes(np.stack(crops))


def batch(images: Sequence[np.ndarray], step: int, n: int, side: int) -> Tensor:
    """n random crops of a side, half of them flipped, in [-1, 1]."""
    shard, row, flip = batch_index(images, step, n)
    room = images[0].shape[-1] - side + 1
    corner = torch.randint(room, (n, 2), generator=generator(step, stream=4))
    return take(images, shard, row, flip, corner, side)


def loss(network: AutoencoderKL, x: Tensor, step: int, rank: int = 0) -> Tensor:
    """Reconstruction through a noisy latent; a faint pull keeps the latent's scale."""
    g = generator(step, stream=100 + rank)
    mean = encode(network, x).float()
    amount = torch.rand(len(x), 1, 1, 1, generator=g) * NOISE
    spread = mean.detach().std((0, 2, 3), keepdim=True)
    z = mean + amount * spread * torch.randn(mean.shape, generator=g)
    error = decode(network, z).float() - x
    across, down = error.diff(dim=3), error.diff(dim=2)
    fidelity = error.abs().mean() + 4 * error.square().mean()
    return fidelity + across.abs().mean() + down.abs().mean() + 1e-4 * mean.square().mean()


def psnr(a: Tensor, b: Tensor) -> float:
    """Mean over images of the PSNR in dB, for images in [-1, 1]."""
    error = (a.clamp(-1, 1) - b.clamp(-1, 1)).square().mean((1, 2, 3)).clamp(min=1e-10)
    return (10 * torch.log10(4 / error)).mean().item()


@torch.no_grad()
def reconstruct(network: AutoencoderKL, x: Tensor) -> Tensor:
    """Decoded posterior means."""
    return torch.cat([decode(network, encode(network, part)) for part in x.split(8)])


def report(run: Run, x: Tensor) -> str:
    """PSNR of the averaged weights on held-out portraits; the run's own weights are kept."""
    network = run.network
    if not isinstance(network, AutoencoderKL):
        raise TypeError(f"expected an AutoencoderKL, got {type(network).__name__}")
    own = {name: p.detach().clone() for name, p in network.named_parameters()}
    run.load_average()
    network.eval()
    value = psnr(reconstruct(network, x), x)
    network.load_state_dict(own, strict=False)
    network.train()
    return f"held-out PSNR {value:.2f} dB"


def fit(bank: Path, out: Path, budget: Budget, rate: float, size: int, seed: int) -> AutoencoderKL:
    """Train on a bank and write the averaged autoencoder to a folder."""
    torch.manual_seed(seed)
    network = build()
    run = Run.start(network, horizon=300, decay=1e-4)
    images: list[np.ndarray] = []
    test = render(held_out(32), load_images(bank, 1)[0].shape[-1]) * 2 - 1

    def step_loss(step: int, progress: float) -> Tensor:
        if step % 100 == 0 or not images:
            images[:] = load_images(bank)  # the bank may still be growing
        side = images[0].shape[-1]
        if progress < CROPS_UNTIL:
            x = batch(images, step, 4 * size, side // 2)
        else:
            x = batch(images, step, size, side)
        with torch.autocast("cpu", torch.bfloat16):
            return loss(network, x[run.crew.share(len(x))], step, run.crew.rank)

    train(
        run,
        step_loss,
        budget,
        Schedule(rate, warmup=100, flat=0.5),
        out.with_suffix(".state.safetensors"),
        on_save=lambda run: report(run, test),
    )
    run.load_average()
    network.eval()
    if run.crew.rank == 0:
        network.save_pretrained(out)
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description="train the autoencoder")
    add_budget(parser, 33)
    parser.add_argument("--bank", type=Path, default=RUNS / "bank")
    parser.add_argument("--out", type=Path, default=RUNS / "autoencoder")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--batch", type=int, default=6, help="whole images; crops: four times")
    parser.add_argument("--seed", type=int, default=0)
    o = parser.parse_args()
    fit(o.bank, o.out, budget_of(o), o.rate, o.batch, o.seed)


if __name__ == "__main__":
    main()
