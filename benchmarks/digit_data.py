"""Real handwritten digits, dealt into pairs and what they are held against.

Images are of the MNIST test set. Every image that is no end of a pair goes through the model's
autoencoder, whose softness is no method's fault.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, permutations
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor

from benchmarks.digit_measures import Reality
from diffusion_geodesics.apps.evidence import Method, Pair, Reel, Stage
from diffusion_geodesics.apps.evidence.reel import Film, eight_bits
from diffusion_geodesics.diffusion import Codec, Cost
from diffusion_geodesics.measures import Features
from diffusion_geodesics.models import DiffusionModel

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("GEODESIC_DATA", ROOT.parent / "shared" / "data"))
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
        strips: for each pair as many held-out images as there are frames between, through the
            autoencoder: the classes of both ends, half each.
        others: the same again, of other images.
        reference: all held-out images that ``strips`` leaves, through the autoencoder.
        real: what is known of real digits.
    """

    pairs: Sequence[Pair]
    strips: Sequence[Tensor]
    others: Sequence[Tensor]
    reference: Tensor
    real: Reality

    @staticmethod
    def dealt(file: Path, count: int, codec: Codec, bank: int = BANK) -> Digits:
        """From an npz file with `images` (n, 28, 28) of bytes and `labels`; ``bank`` of the images
        go into the bank."""
        if not file.is_file():
            raise SystemExit(f"missing: {file}; set GEODESIC_DATA to the folder that holds it")
        stored, random = np.load(file), np.random.default_rng(SEED)
        labels = stored["labels"].astype(int)
        order = random.permutation(len(labels)).tolist()
        queues = {k: [i for i in order if labels[i] == k] for k in range(10)}
        same, other = (
            cycle((k, k) for k in range(10)),
            cycle(random.permutation(DIFFERENT).tolist()),
        )
        classes = [tuple(next(other if n % 2 else same)) for n in range(count)]
        ends = [(queues[a].pop(), queues[b].pop()) for a, b in classes]
        images = torch.from_numpy(stored["images"]).float()[:, None].expand(-1, 3, -1, -1) / 255
        used = {i for pair in ends for i in pair}
        rest = [i for i in order if i not in used]
        known, held = rest[:bank], rest[bank:]
        coded = {}
        for part in torch.tensor(rest).split(500):
            coded |= dict(zip(part.tolist(), codec.decode(codec.encode(images[part])), strict=True))
        drawn = [cycle([i for i in held if labels[i] == k]) for k in range(10)]
        strips, others, taken = [], [], set()
        for first, last in classes:
            sides = [first] * 3 + [random.choice((first, last))] + [last] * 3
            for found in (strips, others):
                index = [next(drawn[k]) for k in sides]
                found.append(torch.stack([coded[i] for i in index]))
                taken |= set(index) if found is strips else set()
        told = torch.from_numpy(labels)
        reference = [i for i in held if i not in taken]
        kept = torch.stack([coded[i] for i in reference])
        real = Reality.of(
            torch.stack([coded[i] for i in known]), told[known], kept, told[reference]
        )
        pairs = [
            Pair(f"{n:03d}-{first}-{last}", images[a], images[b], str(first), str(last))
            for n, ((a, b), (first, last)) in enumerate(zip(ends, classes, strict=True))
        ]
        return Digits(pairs, strips, others, kept, real)


@final
@dataclass(frozen=True, eq=False)
class Shown(Reel):
    """Frames that are what they are."""

    frames: Tensor

    def film(self, features: Features, count: int) -> Film:
        return Film(eight_bits(self.frames), torch.linspace(0, 1, count).double(), Cost())


@final
@dataclass(frozen=True, eq=False)
class RealImages(Method):
    """Held-out real images in place of the frames between: what all measures give for reality."""

    strips: dict[str, Tensor]

    def __repr__(self) -> str:
        return f"RealImages({len(self.strips)})"

    @property
    def name(self) -> str:
        return REAL

    def reel(self, stage: Stage, pair: str) -> Reel:
        ends = stage.job.codec.decode(stage.clean).to(self.strips[pair])
        return Shown(torch.cat([ends[:1], self.strips[pair], ends[1:]]))
