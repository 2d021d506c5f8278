"""Real handwritten digits, dealt into pairs and what they are held against.

Images are of the MNIST test set. Every image that is no end of a pair goes through the model's
autoencoder, whose softness is no method's fault.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, permutations
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor

from benchmarks.evidence.digit_measures import Reality
from benchmarks.record import ROOT
from diffusion_geodesics.comparison.method import Context, Method
from diffusion_geodesics.comparison.pairs import Pair
from diffusion_geodesics.comparison.rendered import EvenFrames, Renderable, eight_bits
from diffusion_geodesics.diffusion import Codec
from diffusion_geodesics.measures import Features
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.runtime.cost import Cost
from diffusion_geodesics.runtime.run import Run

DATA = Path(os.environ.get("DIFFUSION_GEODESICS_DATA", ROOT.parent / "shared" / "data"))
IMAGES = DATA / "datasets" / "mnist_t10k_0-7999.npz"
REAL = "real images"
BANK, SEED = 3400, 0
DIFFERENT = list(permutations(range(10), 2))


def digits_model(weights: Path = DATA / "weights") -> DiffusionModel:
    """The model of `examples/mnist_model.py`."""
    spec = importlib.util.spec_from_file_location("mnist_model", ROOT / "examples/mnist_model.py")
    if spec is None or spec.loader is None:
        raise SystemExit("examples/mnist_model.py is not there; run this in the repository")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.digits_model(weights)


@final
@dataclass(frozen=True, eq=False)
class Digits:
    """Real images, dealt.

    Args:
        pairs: of images, with their digits as prompts; the two kinds take turns.
        strips: by name of the pair as many held-out images as there are frames between, through
            the autoencoder: the classes of both ends, half each.
        held_out: further images that are in no strip.
        real: what is known of real digits, from the bank and from these.
    """

    pairs: Sequence[Pair]
    strips: Mapping[str, Tensor]
    held_out: int
    real: Reality


def deal(file: Path, count: int, codec: Codec, bank: int = BANK) -> Digits:
    """Deal an npz file with `images` (n, 28, 28) of bytes and `labels` into ``count`` pairs, a bank
    of ``bank`` images, and those held out."""
    if not file.is_file():
        raise SystemExit(
            f"missing: {file}; DIFFUSION_GEODESICS_DATA names the folder that holds it"
        )
    stored, random = np.load(file), np.random.default_rng(SEED)
    labels = torch.from_numpy(stored["labels"].astype(int))
    order = random.permutation(len(labels)).tolist()
    queues = {k: [i for i in order if labels[i] == k] for k in range(10)}
    same, other = cycle((k, k) for k in range(10)), cycle(random.permutation(DIFFERENT).tolist())
    classes = [tuple(next(other if n % 2 else same)) for n in range(count)]
    ends = [(queues[a].pop(), queues[b].pop()) for a, b in classes]
    images = torch.from_numpy(stored["images"]).float()[:, None].expand(-1, 3, -1, -1) / 255
    coded = torch.cat([codec.decode(codec.encode(part)) for part in images.split(500)])
    pairs = [
        Pair(f"{n:03d}-{first}-{last}", images[a], images[b], str(first), str(last))
        for n, ((a, b), (first, last)) in enumerate(zip(ends, classes, strict=True))
    ]
    used = {i for pair in ends for i in pair}
    rest = [i for i in order if i not in used]
    known, held = rest[:bank], rest[bank:]
    drawn = [cycle([i for i in held if labels[i] == k]) for k in range(10)]
    sides = [[a] * 3 + [random.choice((a, b))] + [b] * 3 for a, b in classes]
    strips = {p.name: [next(drawn[k]) for k in side] for p, side in zip(pairs, sides, strict=True)}
    taken = {i for strip in strips.values() for i in strip}
    others = [i for i in held if i not in taken]
    real = Reality.of(coded[known], labels[known], coded[others], labels[others])
    return Digits(pairs, {n: coded[strip] for n, strip in strips.items()}, len(others), real)


@final
@dataclass(frozen=True, eq=False)
class Shown(Renderable):
    """Frames that are what they are."""

    images: Tensor

    def frames(self, run: Run, features: Features, count: int) -> EvenFrames:
        return EvenFrames(eight_bits(self.images), torch.linspace(0, 1, count).double(), Cost())


@final
@dataclass(frozen=True, eq=False)
class RealImages(Method):
    """Held-out real images in place of the frames between: what all measures give for reality."""

    strips: Mapping[str, Tensor]

    def __repr__(self) -> str:
        return f"RealImages({len(self.strips)})"

    @property
    def name(self) -> str:
        return REAL

    def path(self, context: Context, pair: str) -> Renderable:
        ends = context.noised.encoded.codec.decode(context.clean).to(self.strips[pair])
        return Shown(torch.cat([ends[:1], self.strips[pair], ends[1:]]))
