"""Frames in between against the truth: heads whose factors are known, rendered in between.

Pairs of held-out heads differ in one factor (a turn, a smile, the length of the hair, the light)
or in all of them. What lies between two heads is the line between their factors, rendered, put
through the model's autoencoder (whose softness is no method's fault) and re-timed like every other
strip.

    python -m benchmarks.truth --pairs 4 --write runs/truth
"""

from __future__ import annotations

import argparse
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor

from diffusion_geodesics import Settings, load_model
from diffusion_geodesics.apps import Event
from diffusion_geodesics.apps.evidence import (
    Comparison,
    Method,
    Pair,
    Reel,
    Rendered,
    Stage,
    compare,
)
from diffusion_geodesics.apps.evidence.compare import CodecFeatures
from diffusion_geodesics.apps.evidence.telling import save
from diffusion_geodesics.cli.methods import read_method
from diffusion_geodesics.diffusion import Cost
from diffusion_geodesics.images import psnr
from diffusion_geodesics.measures import (
    Better,
    Features,
    Measure,
    PooledPixels,
    Quantity,
    Strip,
    equal_steps,
)
from training.bank import RUNS, held_out
from training.factors import Factors, caption, concatenate, phrases
from training.portraits import render
from training.regressor import Regressor
from training.regressor import load as load_regressor

STREAM = 17
"""Offset of the held-out heads of this benchmark."""
DENSE = 33
"""True renderings between two heads that distances are measured to."""
TRUTH = "truth"
SPREAD = {"yaw": 0.55, "smile": 0.58, "skin": 0.3, "hair_length": 0.29, "mouth_open": 0.33}
"""Standard deviations of the training distribution: the units of drift."""


class Kind(Enum):
    """What two heads differ in."""

    TURN = "turn"
    SMILE = "smile"
    HAIR = "hair"
    LIGHT = "light"
    ALL = "all"

    @property
    def factor(self) -> str | None:
        """The factor that changes; None where all do."""
        return {
            Kind.TURN: "yaw",
            Kind.SMILE: "smile",
            Kind.HAIR: "hair_length",
            Kind.LIGHT: "light",
            Kind.ALL: None,
        }[self]


@final
@dataclass(frozen=True, eq=False)
class TruePair:
    """Two heads, one portrait each, and all that lies between them."""

    name: str
    kind: Kind
    first: Factors
    last: Factors

    def between(self, t: Tensor) -> Factors:
        """The heads at parameters t in [0, 1]."""
        index = [0] * len(t)
        return self.first.select(index).interpolate(self.last.select(index), t.float())

    def pair(self, size: int, prompts: bool) -> Pair:
        """Both heads rendered, with their captions as prompts if wanted."""
        images = render(concatenate([self.first, self.last]), size)
        told = [caption(phrases(f)[0]) if prompts else None for f in (self.first, self.last)]
        return Pair(self.name, images[0], images[1], told[0], told[1])


def true_pairs(count: int, kinds: Sequence[Kind] = tuple(Kind)) -> list[TruePair]:
    """``count`` pairs of each kind, of heads that no training step saw."""
    heads = held_out(2 * count, STREAM)
    found = []
    for kind in kinds:
        for i in range(count):
            first, last = _ends(heads.select(i), heads.select(count + i), kind)
            found.append(TruePair(f"{kind.value}-{i:03d}", kind, first, last))
    return found


def _ends(head: Factors, other: Factors, kind: Kind) -> tuple[Factors, Factors]:
    if kind is Kind.TURN:
        return head.replace(yaw=math.radians(-30)), head.replace(yaw=math.radians(30))
    if kind is Kind.SMILE:
        calm = head.replace(smile=-0.9, mouth_open=0.0)
        return calm, head.replace(smile=0.9, mouth_open=0.0)
    if kind is Kind.HAIR:
        haired = head.replace(bald=0.0)
        return haired.replace(hair_length=0.05), haired.replace(hair_length=0.95)
    if kind is Kind.LIGHT:
        return head.replace(light=-0.9), head.replace(light=0.9)
    return head, other


class Reader(ABC):
    """What tells where between two heads a frame is, and how far it has drifted aside."""

    @abstractmethod
    def read(self, pair: TruePair, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Position of each frame, 0 at the first head and 1 at the last; and its drift, in
        standard deviations of the factors; NaN where it cannot tell. Both (frames,)."""


@final
@dataclass(frozen=True, eq=False)
class RegressorReader(Reader):
    """A network that reads factors off a picture; for what it has no output, the nearest true
    rendering tells the position."""

    network: Regressor

    def read(self, pair: TruePair, frames: Tensor) -> tuple[Tensor, Tensor]:
        known = render(concatenate([pair.first, pair.last]), frames.shape[-1])
        reading = self.network.read(torch.cat([known, frames]) * 2 - 1).scalars
        position = nearest_position(pair, frames)
        factor = pair.kind.factor
        if factor in reading:
            (v0, v1), values = reading[factor][:2], reading[factor][2:]
            position = (values - v0) / (v1 - v0)
        drift = torch.zeros(len(frames))
        others = [name for name in reading if name != factor]
        for name in others:
            ends, values = reading[name][:2], reading[name][2:]
            outside = torch.maximum(values - ends.max(), ends.min() - values).clamp_min(0)
            drift += outside / SPREAD[name] / len(others)
        return position, drift


@final
@dataclass(frozen=True)
class BankReader(Reader):
    """Without a network: the nearest of a small bank of renderings, true ones and ones with one
    other factor changed."""

    positions: int = 13

    def read(self, pair: TruePair, frames: Tensor) -> tuple[Tensor, Tensor]:
        t = torch.linspace(0, 1, self.positions)
        heads = pair.between(t)
        variants, drifts = [heads], [0.0]
        for name, spread in SPREAD.items():
            if name == pair.kind.factor or pair.kind is Kind.ALL:
                continue
            for sign in (-1.0, 1.0):
                moved = heads.tensors()[name] + sign * spread
                variants.append(heads.map(lambda n, v, m=moved, k=name: m if n == k else v))
                drifts.append(1.0 / (len(SPREAD) - 1))
        bank = PooledPixels()(render(concatenate(variants), 64))
        index = torch.cdist(PooledPixels()(frames), bank).argmin(1)
        drift = torch.tensor(drifts)[index // self.positions]
        return t[index % self.positions], drift


def nearest_position(pair: TruePair, frames: Tensor) -> Tensor:
    """Parameter of the nearest true rendering, in pooled pixels."""
    t = torch.linspace(0, 1, DENSE)
    bank = PooledPixels()(render(pair.between(t), frames.shape[-1]))
    return t[torch.cdist(PooledPixels()(frames), bank).argmin(1)]


def coverage(position: Tensor) -> float:
    """Share of the middle half of [0, 1] that the positions of n frames cover.

    With g the longest stretch of [1/4, 3/4] between two neighbouring positions it is
    (1/2 - g) / (1/2 - 1/(n - 1)), within [0, 1]: 1 for even steps, 0 for a jump across.
    """
    even = 1 / (len(position) - 1)
    inside = position[(position > 0.25) & (position < 0.75)].double().sort().values
    marks = torch.cat([torch.tensor([0.25]).double(), inside, torch.tensor([0.75]).double()])
    gap = float(marks.diff().max())
    return min(1.0, max(0.0, (0.5 - gap) / (0.5 - even)))


@final
@dataclass(frozen=True, eq=False)
class Truth(Measure):
    """Distances to the true frames in between, and what the frames show.

    Args:
        pair: with its factors.
        features: that strips are re-timed in.
        reader: of positions and drift.
        bank: pooled pixels of renderings of any factors, (items, coordinates).
    """

    pair: TruePair
    features: Features
    reader: Reader
    bank: Tensor

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        return (
            Quantity(
                "truth",
                Better.HIGHER,
                "dB of the frames between to the true rendering at the same fraction of its path",
                "a cross-fade scores well: look at ghosting as well",
            ),
            Quantity("nearest truth", Better.HIGHER, "dB to the nearest true rendering between"),
            Quantity(
                "off manifold",
                Better.LOWER,
                "rms distance, in pooled pixels, to the nearest rendering of any factors in a bank",
                "it rewards averages; a bank is never dense",
            ),
            Quantity(
                "coverage",
                Better.HIGHER,
                "share of the middle half of the changing factor's range that frames cover",
            ),
            Quantity(
                "drift",
                Better.LOWER,
                "how far other factors leave the range of both ends, in standard deviations",
            ),
        )

    def __call__(self, strip: Strip) -> Mapping[str, float]:
        size = strip.frames.shape[-1]
        even = torch.linspace(0, 1, DENSE, dtype=torch.float64)
        dense = render(self.pair.between(even), size)
        t = equal_steps(even, self.features(dense), len(strip.frames))
        true = render(self.pair.between(t), size)
        inner = strip.frames[1:-1]
        every = torch.stack([psnr(inner, d.expand_as(inner)) for d in dense])
        look = PooledPixels()
        near = torch.cat([self.bank, look(dense)])
        off = torch.cdist(look(inner), near).min(1).values / near.shape[1] ** 0.5
        position, drift = self.reader.read(self.pair, strip.frames)
        return {
            "truth": float(psnr(inner, true[1:-1]).mean()),
            "nearest truth": float(every.max(0).values.mean()),
            "off manifold": float(off.mean()),
            "coverage": coverage(position),
            "drift": float(drift[1:-1].mean()),
        }


@final
@dataclass(frozen=True, eq=False)
class TrueFrames(Method):
    """The truth, through the model's autoencoder: what no method can beat."""

    pairs: Mapping[str, TruePair]

    def __repr__(self) -> str:
        return f"TrueFrames({sorted(self.pairs)})"

    @property
    def name(self) -> str:
        return TRUTH

    def reel(self, stage: Stage, pair: str) -> Reel:
        true, codec, size = self.pairs[pair], stage.job.codec, stage.images.shape[-1]

        def show(t: Tensor) -> tuple[Tensor, Cost]:
            images = render(true.between(t), size)
            return codec.decode(codec.encode(images)), Cost()

        return Rendered(show)


def reader_of(weights: Path) -> Reader:
    """The regressor where its weights are, else the bank."""
    return RegressorReader(load_regressor(weights)) if weights.is_file() else BankReader()


def run(
    model_name: str,
    cases: Sequence[TruePair],
    methods: Sequence[Method],
    settings: Settings,
    *,
    prompts: bool = False,
    bank: int = 300,
    regressor: Path = RUNS / "regressor.safetensors",
    resume: Path | None = None,
) -> Comparison:
    """Every method on every pair, with the truth beside them."""
    model = load_model(model_name)
    size = model.native_size
    features, reader = CodecFeatures(model.codec(size, size)), reader_of(regressor)
    near = PooledPixels()(render(held_out(bank, STREAM + 1), 64))
    known = {c.name: c for c in cases}

    def tell(event: Event) -> None:
        print(event.stage, event.done, "of", event.of, event.detail, flush=True)

    return compare(
        model,
        [c.pair(size, prompts) for c in cases],
        [TrueFrames(known), *methods],
        settings,
        further=lambda pair: [Truth(known[pair.name], features, reader, near)],
        truth=TRUTH,
        resume=resume,
        on_event=tell,
    )


def by_kind(done: Comparison, cases: Sequence[TruePair]) -> dict[str, Comparison]:
    """The comparison of each kind of pair, and of all."""
    kinds = {c.name: c.kind.value for c in cases}
    parts = {
        kind: replace(done, pairs=[p for p in done.pairs if kinds[p.name] == kind])
        for kind in dict.fromkeys(kinds.values())
    }
    return {"all pairs": done, **parts} if len(parts) > 1 else parts


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=4, help="of each kind")
    parser.add_argument("--kinds", nargs="+", default=[k.value for k in Kind])
    parser.add_argument("--methods", nargs="+", default=["lerp", "slerp", "hlerp", "geodesic"])
    parser.add_argument("--level", type=float, default=0.4)
    parser.add_argument("--frames", type=int, default=9)
    parser.add_argument("--prompts", action="store_true", help="captions as prompts")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--write", type=Path, default=Path("runs/truth"))
    o = parser.parse_args()
    cases = true_pairs(o.pairs, [Kind(k) for k in o.kinds])
    done = run(
        o.model,
        cases,
        [read_method(m) for m in o.methods],
        Settings(level=o.level, frames=o.frames),
        prompts=o.prompts,
        resume=o.write.with_name(f"{o.write.name}.partial"),
    )
    for kind, part in by_kind(done, cases).items():
        print(kind)
        for quantity in part.measured:
            values = [part.mean(m, quantity.name).value for m in part.methods]
            print(f"  {quantity.name:16}", *(f"{v:9.3f}" for v in np.asarray(values)))
        save(part, o.write / kind.replace(" ", "-"), overwrite=True)


if __name__ == "__main__":
    main()
