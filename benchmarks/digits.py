"""Frames between handwritten digits, by a pretrained model that nobody here trained.

The latent flow of `examples/mnist_model.py`, as the example of a user's own model, joins real
images of the MNIST test set: half of the pairs are of one class, half of two. Both classes are
conditions, mixed along the path. Every path is re-timed to equal steps in the autoencoder's
latents. FID and LPIPS need weights that are not there; what is measured instead is in
`digit_measures`.

    python -m benchmarks.digits --pairs 200

The weights and images are looked for in the folder that GEODESIC_DATA names.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from benchmarks.commit import commit
from benchmarks.digit_data import BANK, IMAGES, REAL, ROOT, SEED, Digits, RealImages, digits_model
from benchmarks.digit_density import density_check
from benchmarks.digit_measures import (
    DigitFrames,
    frechet_to,
    grey,
    jackknife,
    principal,
    told_apart,
    written,
)
from diffusion_geodesics import Settings
from diffusion_geodesics.apps.evidence import (
    Comparison,
    Geodesic,
    LatentLerp,
    LevelPath,
    MaximalDensity,
    Method,
    Pair,
    PixelBlend,
    Reel,
    Stage,
    compare,
)
from diffusion_geodesics.apps.evidence.comparison import plain_features
from diffusion_geodesics.apps.evidence.solved import solved
from diffusion_geodesics.apps.interpolate import solver_of
from diffusion_geodesics.apps.settings import Estimate, Family
from diffusion_geodesics.apps.versions import versions
from diffusion_geodesics.diffusion import Cost
from diffusion_geodesics.measures import Better, mean_estimate
from diffusion_geodesics.measures import Estimate as Mean
from diffusion_geodesics.models import DiffusionModel

RESULT = ROOT / "benchmarks" / "results" / "evidence" / "digits.json"
PICTURE = ROOT / "docs" / "images" / "evidence-digits.png"
SLERP = Family.SLERP.value
LESS = f" less {SLERP}'s"
LEVEL, STRENGTHS = 0.6, (1.0, 3.0, 10.0, 30.0)
FRAMES, FEW, CHECKED = 9, 60, 40
"""Frames of a strip; pairs at the other levels; pairs whose density is checked."""
SKIPPED = ("FID", "KID", "LPIPS", "PPL")
PAPER_STRENGTH = 33.0
"""α·d of the paper's α = 0.002 in the 16,384 dimensions of its latents."""


@final
@dataclass(frozen=True)
class Paper(Method):
    """The paper's algorithm; its negative prompt, which this model cannot take, is the empty one.

    Args:
        strength: α·d; None for their α = 0.002, which is 0.07 in 36 dimensions and 33 in theirs.
        own_level: their level, steps and inversion instead of those of the other methods.
    """

    strength: float | None = None
    own_level: bool = False

    @property
    def name(self) -> str:
        where = "at its own level" if self.own_level else "at the same level"
        return f"published {where}" + (f", α·d = {self.strength:g}" if self.strength else "")

    def reel(self, stage: Stage, pair: str) -> Reel:
        theirs = Settings.published(prompt_a="0", negative="")
        alpha = theirs.alpha if self.strength is None else self.strength / stage.ends.shape[1]
        path = {
            name: getattr(theirs, name)
            for name in ("negative", "estimate", "window", "solver", "blend")
        }
        if not self.own_level:
            own = stage.with_path(alpha=alpha, **path)
            return solved(own, self.name, solver_of(theirs))
        there = ("level", "steps", "refinements", "sampler")
        own = stage.moved(alpha=alpha, **path, **{n: getattr(theirs, n) for n in there})
        found = solved(own, self.name, solver_of(theirs))
        extra = Cost(own.cost.rows - stage.cost.rows, own.cost.calls - stage.cost.calls)
        return replace(found, candidate=None, cost=found.cost + extra)


def ratio(strength: float, guidance: float = 1.0) -> Geodesic:
    """The geodesic of p(x | class) / p(x)."""
    return Geodesic(strength, Estimate.RATIO, guidance=guidance)


def at_levels() -> list[Method]:
    """What is compared at every level."""
    families = [LevelPath(f) for f in (Family.LERP, Family.SLERP, Family.HLERP)]
    bumped = LevelPath(Family.HLERP, 2.0)
    return [*families, bumped, *(Geodesic(s) for s in STRENGTHS), ratio(1.0), ratio(3.0)]


def every_method() -> list[Method]:
    """What is compared on all pairs, besides real images."""
    more: list[Method] = [PixelBlend(), LatentLerp(), LevelPath(Family.LERP, 2.0)]
    more += [LevelPath(f, g) for f, g in ((Family.SLERP, 2.0), (Family.SLERP, 3.0))]
    more += [LevelPath(Family.HLERP, 3.0), Geodesic(1.0, guidance=2.0)]
    more += [ratio(1.0, 2.0), ratio(3.0, 2.0), ratio(10.0), ratio(10.0, 2.0), MaximalDensity()]
    return [*at_levels(), *more, Paper(), Paper(PAPER_STRENGTH), Paper(own_level=True)]


def main_settings(level: float = LEVEL) -> Settings:
    """Those of all studies; along paths the metric of strength 1 is measured."""
    return Settings(level=level, frames=FRAMES)


def measured(
    model: DiffusionModel,
    digits: Digits,
    methods: Sequence[Method],
    settings: Settings,
    pairs: Sequence[Pair],
    folder: Path | None,
) -> Comparison:
    """`compare` with the measures of digits, and real images beside the methods."""
    strips = {p.name: s for p, s in zip(digits.pairs, digits.strips, strict=True)}
    classes = {p.name: tuple(int(k) for k in p.name.split("-")[1:]) for p in digits.pairs}

    def further(pair: Pair) -> list[DigitFrames]:
        first, last = classes[pair.name]
        return [DigitFrames(digits.real, (first, last))]

    return compare(
        model, pairs, [RealImages(strips), *methods], settings, further=further, resume=folder
    )


def set_values(done: Comparison, digits: Digits) -> dict[str, dict[str, Mean]]:
    """Fréchet distance and C2ST of every method, and their differences from slerp's."""
    number = {p.name: i for i, p in enumerate(digits.pairs)}
    chosen = [number[p.name] for p in done.pairs]
    frames = {m: [p.outcomes[m].frames[1:-1] for p in done.pairs] for m in done.methods}
    look = digits.real.classifier.features
    reference = look(grey(digits.reference)).numpy().astype(float)
    spread = np.sqrt(reference.var(0).sum())
    reference = reference / spread
    deep = {m: [look(grey(f)).numpy() / spread for f in v] for m, v in frames.items()}
    plain = {m: [plain_features(f[:, :1]) for f in v] for m, v in frames.items()}
    others = [plain_features(digits.others[i][:, :1]) for i in chosen]
    mean, axes = principal([s for v in (*plain.values(), others) for s in v], 64)
    reduced = {m: [(s - mean) @ axes for s in v] for m, v in plain.items()}
    truth = [(s - mean) @ axes for s in others]
    found: dict[str, dict[str, Mean]] = {m: {} for m in done.methods}
    distances = [frechet_to(reference, deep[m]) for m in done.methods]
    rival = list(done.methods).index(SLERP)

    def values(index: np.ndarray) -> np.ndarray:
        each = np.array([distance(index) for distance in distances])
        return np.concatenate([each, each - each[rival]])

    told = jackknife(values, len(done.pairs))
    right = {m: told_apart(truth, strips) for m, strips in reduced.items()}
    for k, m in enumerate(done.methods):
        found[m] = {
            "Fréchet distance": told[k],
            "C2ST": mean_estimate(right[m].tolist(), seed=SEED),
        }
        if m != SLERP:
            found[m] |= {
                f"Fréchet distance{LESS}": told[len(distances) + k],
                f"C2ST{LESS}": mean_estimate((right[m] - right[SLERP]).tolist(), seed=SEED),
            }
    return found


def study(
    name: str, what: str, done: Comparison, digits: Digits, *, short: bool = False
) -> dict[str, Any]:
    """A comparison as it is written down: means with intervals, and wins over slerp."""
    sets = set_values(done, digits)
    quantities = [q for q in done.measured if q.name != "seconds"]
    if short:
        quantities = [q for q in quantities if q.better is not Better.NEITHER]
    rows = []
    for m in done.methods:
        means = {q.name: done.mean(m, q.name) for q in quantities} | sets[m]
        wins = {q.name: done.wins(m, q) for q in quantities}
        notes = sum(bool(p.outcomes[m].note) for p in done.pairs)
        rows.append(
            {
                "method": m,
                "values": {k: written(v) for k, v in means.items() if v.count},
                "wins": {k: written(v) for k, v in wins.items() if v is not None},
                **({"not converged": notes} if notes else {}),
            }
        )
    level = done.settings["level"]
    return {"name": name, "what": what, "pairs": len(done.pairs), "level": level, "rows": rows}


def reading(main: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
    """For each method the quantities on which its paired interval against slerp excludes a draw."""
    found = {}
    for row in main["rows"]:
        better, worse = [], []
        for name, win in row["wins"].items():
            if "low" in win and win["low"] > 0.5:
                better.append(name)
            elif "high" in win and win["high"] < 0.5:
                worse.append(name)
        for name, gap in row["values"].items():
            if name.endswith(LESS):
                better += [name.removesuffix(LESS)] if gap["high"] < 0 else []
                worse += [name.removesuffix(LESS)] if gap["low"] > 0 else []
        found[row["method"]] = {"better than slerp": better, "worse than slerp": worse}
    return found


def some(done: Comparison, keep: Callable[[int], bool], methods: Sequence[str] = ()) -> Comparison:
    """Part of a comparison: the pairs whose number is kept, and these methods or all."""
    pairs = [p for i, p in enumerate(done.pairs) if keep(i)]
    return replace(
        done, pairs=pairs, methods=[m for m in done.methods if not methods or m in methods]
    )


def compared(name: str, digits: Digits, model: DiffusionModel, work: Path) -> Comparison:
    """One of the comparisons; pairs that are finished are read from a folder in ``work``."""
    few, settings = digits.pairs[:FEW], main_settings()
    methods: Sequence[Method] = at_levels()
    if name == "main":
        few, methods = digits.pairs, every_method()
    elif name == "no class":
        few = [replace(p, prompt_a=None, prompt_b=None) for p in few]
        families = [LevelPath(f) for f in (Family.LERP, Family.SLERP, Family.HLERP)]
        methods = [*families, *(Geodesic(s) for s in STRENGTHS)]
    elif name == "quick":
        few, methods = digits.pairs, QUICK
    else:
        settings = main_settings(float(name.removeprefix("level ")))
    print(f"{name}: {len(methods)} methods on {len(few)} pairs", flush=True)
    return measured(model, digits, methods, settings, few, work / name)


def compare_aside(name: str, pairs: int, work: Path) -> None:
    """The same in a process of its own: what it finishes lies in the folder."""
    torch.set_num_threads(1)
    model = digits_model()
    compared(name, Digits.dealt(IMAGES, pairs, model.codec(28, 28)), model, work)


def run(pairs: int = 200, quick: bool = False, *, work: Path | None = None) -> dict[str, Any]:
    """All studies, as they are written to the file of results.

    Args:
        pairs: at the main level, half of them of one class.
        quick: few methods, no other levels: a look, no result.
        work: folder that keeps finished pairs, so that a run that was stopped goes on.
    """
    started, model = time.perf_counter(), digits_model()
    work = work or ROOT / "runs" / "digits" / f"{pairs}{' quick' if quick else ''}"
    digits = Digits.dealt(IMAGES, pairs, model.codec(28, 28))
    if quick:
        done = compared("quick", digits, model, work)
        return written_down(done, digits, [study("quick", ABOUT, done, digits)], started)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:  # the second core
        aside = other.submit(compare_aside, "main", pairs, work)
        parts = {
            n: compared(n, digits, model, work) for n in ("level 0.3", "level 0.8", "no class")
        }
        print(f"absolute density on {CHECKED} pairs", flush=True)
        methods = [LevelPath(Family.SLERP), *map(Geodesic, (1.0, 3.0, 30.0)), ratio(3.0)]
        checked = digits.pairs[:CHECKED]
        density = density_check(model, digits, checked, methods, main_settings(), SLERP)
        aside.result()
    done = compared("main", digits, model, work)
    names = [REAL, *(m.name for m in at_levels())]
    same, two = some(done, lambda i: not i % 2), some(done, lambda i: bool(i % 2))
    parts |= {"same class": same, "different classes": two}
    parts[f"level {LEVEL:g}"] = some(done, lambda i: i < FEW, names)
    studies = [study("main", ABOUT, done, digits)]
    studies += [study(n, f"{ABOUT}: {n}", p, digits, short=True) for n, p in parts.items()]
    draw(done, PICTURE)
    return written_down(done, digits, [*studies, density], started)


ABOUT = "pairs of real MNIST images, joined by a pretrained latent flow"
QUICK: tuple[Method, ...] = (
    LevelPath(Family.LERP),
    LevelPath(Family.SLERP),
    LevelPath(Family.HLERP, 2.0),
    Geodesic(1.0),
    ratio(3.0),
)


def written_down(
    done: Comparison, digits: Digits, studies: list[dict[str, Any]], started: float
) -> dict[str, Any]:
    """The studies with all that they depend on."""
    return {
        "commit": commit("src", "examples/mnist_model.py"),
        "settings": {
            **done.settings,
            "seed": SEED,
            "bank": BANK,
            "held out": len(digits.reference),
            "classifier's accuracy on held-out images": round(digits.real.accuracy, 4),
            "rival": SLERP,
            "skipped": [f"{name}: its weights are not there" for name in SKIPPED],
        },
        "model": dict(done.model),
        "versions": versions(),
        "seconds": round(time.perf_counter() - started),
        "studies": studies,
        "reading": reading(studies[0]),
    }


def draw(done: Comparison, file: Path) -> None:
    """The first pairs of each kind, a row a method; every frame is decoded by the model."""
    from matplotlib.figure import Figure

    pairs = [*done.pairs[0:6:2], *done.pairs[1:6:2]]
    strips = [
        [torch.cat(list(p.outcomes[m].frames[:, 0]), 1) for m in DRAWN if m in done.methods]
        for p in pairs
    ]
    figure = Figure(figsize=(13, 7.2), dpi=100)
    axes = figure.subplots(2, 3)
    for k, (axis, strip) in enumerate(zip(axes.flat, strips, strict=True)):
        axis.imshow(torch.cat(strip), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        rows = [28 * i + 14 for i in range(len(strip))]
        axis.set_yticks(rows, [m for m in DRAWN if m in done.methods] if k % 3 == 0 else [])
        axis.set_xticks([])
        axis.set_title(f"{pairs[k].name.split('-')[1]} to {pairs[k].name.split('-')[2]}")
        for side in axis.spines.values():
            side.set_visible(False)
    figure.tight_layout()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)


def write(result: dict[str, Any], file: Path) -> None:
    """The result as JSON, a row a line."""
    text = json.dumps(result, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text.replace('{"method"', '\n{"method"') + "\n", encoding="utf-8")


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="few methods, written nowhere else")
    parser.add_argument("--write", type=Path, help="file of results")
    parser.add_argument("--work", type=Path, help="folder that keeps finished pairs")
    o = parser.parse_args()
    result = run(o.pairs, o.quick, work=o.work)
    for part in result["studies"]:
        print(f"{part['name']}: {part['pairs']} pairs, level {part['level']:g}")
        for row in part["rows"]:
            print(f"  {row['method']}")
            for name, value in row["values"].items():
                win = row["wins"].get(name, {})
                told = [f"{v.get(k, math.nan):9.4g}" for v in (value, win) for k in ENTRIES]
                print(f"    {name:28}", *told)
    file = o.write or (ROOT / "runs" / "digits-quick.json" if o.quick else RESULT)
    write(result, file)
    print(f"{file}, {result['seconds']} s")


ENTRIES = ("mean", "low", "high")
DRAWN = (
    "lerp",
    SLERP,
    "hlerp",
    "hlerp + bump 2",
    "geodesic 1",
    "geodesic 30",
    "geodesic 3 ratio + bump 2",
    "string method",
    REAL,
)


if __name__ == "__main__":
    main()
