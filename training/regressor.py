"""A small CNN that reads factors off an image: the judge of what a sampled face shows.

It learns from renders of the bank (flipped, lightly blurred and noisy, so that an autoencoder's
softness does not throw it off) and knows nothing of the models it judges.

    python -m training.regressor --steps 2500
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import (
    avg_pool2d,
    binary_cross_entropy_with_logits,
    cross_entropy,
    interpolate,
    mse_loss,
)

from training.autoencoder import batch_index, take
from training.bank import RUNS, held_out, load_factors, load_images
from training.factors import BACKGROUND, HAIR, LOOKING, Factors, colour_index
from training.loop import Budget, Run, Schedule, generator, train
from training.portraits import render

SIDE = 64
SCALARS = ("yaw", "smile", "skin", "hair_length", "mouth_open")
SWITCHES = ("glasses", "beard", "bald")


@dataclass(frozen=True)
class Reading:
    """What an image shows. hair, background: palette positions (n,); the rest real numbers (n,)."""

    hair: Tensor
    background: Tensor
    scalars: dict[str, Tensor]
    switches: dict[str, Tensor]

    def facing(self) -> Tensor:
        """-1 left, 0 forward, 1 right."""
        return facing(self.scalars["yaw"])


def facing(yaw: Tensor) -> Tensor:
    """-1 left, 0 forward, 1 right, by the same threshold as captions."""
    return (yaw > LOOKING).long() - (yaw < -LOOKING).long()


class Regressor(nn.Module):
    """Five strided convolutions and one linear head, on images shrunk to 64 x 64."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        widths = [3, width, 2 * width, 4 * width, 4 * width, 4 * width]
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            layers += [nn.Conv2d(a, b, 3, stride=2, padding=1), nn.GroupNorm(8, b), nn.SiLU()]
        self.body = nn.Sequential(*layers, nn.Flatten())
        outputs = len(HAIR) + len(BACKGROUND) + len(SCALARS) + len(SWITCHES)
        self.head = nn.Linear(4 * width * (SIDE // 32) ** 2, outputs)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Logits of hair and background, scalars, logits of switches; images in [-1, 1]."""
        x = images
        if x.shape[-1] != SIDE:
            factor = x.shape[-1] // SIDE
            x = avg_pool2d(x, factor) if factor > 1 else interpolate(x, size=(SIDE, SIDE))
        sizes = [len(HAIR), len(BACKGROUND), len(SCALARS), len(SWITCHES)]
        return list(self.head(self.body(x)).split(sizes, dim=1))

    @torch.no_grad()
    def read(self, images: Tensor) -> Reading:
        """Factors shown by images (n, 3, h, w) in [-1, 1]."""
        hair, background, scalars, switches = self(images)
        return Reading(
            hair.argmax(1),
            background.argmax(1),
            dict(zip(SCALARS, scalars.unbind(1), strict=True)),
            dict(zip(SWITCHES, switches.sigmoid().unbind(1), strict=True)),
        )


def loss(network: Regressor, images: Tensor, factors: Factors) -> Tensor:
    """Sum of cross entropies and squared errors; the hair colour of the bald does not count."""
    hair, background, scalars, switches = network(images)
    values = factors.tensors()
    on_hair = cross_entropy(hair, colour_index(factors.hair, HAIR), reduction="none")
    return (
        (on_hair * (1 - factors.bald)).mean()
        + cross_entropy(background, colour_index(factors.background, BACKGROUND))
        + 4 * mse_loss(scalars, torch.stack([values[k] for k in SCALARS], 1))
        + binary_cross_entropy_with_logits(
            switches, torch.stack([(values[k] > 0.3).float() for k in SWITCHES], 1)
        )
    )


def agreement(reading: Reading, factors: Factors) -> dict[str, float]:
    """Share of images that show what the factors say, per attribute.

    The hair colour of the bald does not count, nor the smile of those whose caption may not tell.
    """
    haired, moody = factors.bald < 0.5, factors.smile.abs() > 0.5
    right = {
        "hair": (reading.hair == colour_index(factors.hair, HAIR))[haired],
        "background": reading.background == colour_index(factors.background, BACKGROUND),
        "facing": reading.facing() == facing(factors.yaw),
        "smile": ((reading.scalars["smile"] > 0) == (factors.smile > 0))[moody],
        "glasses": (reading.switches["glasses"] > 0.5) == (factors.glasses > 0.5),
        "beard": (reading.switches["beard"] > 0.5) == (factors.beard > 0.3),
    }
    return {name: value.float().mean().item() for name, value in right.items()}


def disturb(images: Tensor, step: int) -> Tensor:
    """Blur some images and add faint noise."""
    g = generator(step, stream=5)
    soft = interpolate(avg_pool2d(images, 2), scale_factor=2, mode="bilinear")
    share = torch.rand(len(images), 1, 1, 1, generator=g)
    return torch.lerp(images, soft, share) + 0.03 * torch.randn(images.shape, generator=g)


def fit(bank: Path, out: Path, budget: Budget, size: int) -> Regressor:
    """Train on a bank and write the averaged weights."""
    torch.manual_seed(0)
    network = Regressor()
    images: Sequence[np.ndarray] = load_images(bank)
    factors = load_factors(bank, len(images))

    def step_loss(step: int, progress: float) -> Tensor:
        shard, row, flip = batch_index(images, step, size)
        x = avg_pool2d(take(images, shard, row, flip), images[0].shape[-1] // SIDE)
        chosen = factors.select(shard * len(images[0]) + row)
        mirrored = chosen.mirror().tensors()
        seen = chosen.map(
            lambda name, v: torch.where(flip.view(-1, *[1] * (v.ndim - 1)), mirrored[name], v)
        )
        return loss(network, disturb(x, step), seen)

    run = Run.start(network, horizon=200)
    train(run, step_loss, budget, Schedule(2e-3), out.with_suffix(".state.safetensors"))
    run.load_average()
    save_file({k: v.contiguous() for k, v in network.eval().state_dict().items()}, out)
    return network


def load(path: Path) -> Regressor:
    """A trained regressor."""
    network = Regressor()
    network.load_state_dict(load_file(path))
    return network.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description="train the factor regressor")
    parser.add_argument("--bank", type=Path, default=RUNS / "bank")
    parser.add_argument("--out", type=Path, default=RUNS / "regressor.safetensors")
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--batch", type=int, default=32)
    o = parser.parse_args()
    network = fit(o.bank, o.out, Budget(o.steps), o.batch)
    factors = held_out(256)
    print(agreement(network.read(render(factors) * 2 - 1), factors))


if __name__ == "__main__":
    main()
