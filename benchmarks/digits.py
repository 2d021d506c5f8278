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
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from benchmarks.commit import commit
from benchmarks.digit_data import BANK, IMAGES, REAL, ROOT, SEED, Digits, RealImages, digits_model
from benchmarks.digit_density import density_check
from benchmarks.digit_measures import DigitFrames
from benchmarks.digit_methods import (
    LEVEL,
    QUICK,
    SLERP,
    STRENGTHS,
    at_levels,
    every_method,
    main_settings,
    ratio,
)
from benchmarks.digit_study import reading, some, study
from diffusion_geodesics import Settings
from diffusion_geodesics.apps.evidence import (
    Comparison,
    Geodesic,
    LevelPath,
    Method,
    Pair,
    compare,
)
from diffusion_geodesics.apps.settings import Family
from diffusion_geodesics.apps.versions import versions
from diffusion_geodesics.models import DiffusionModel

RESULT = ROOT / "benchmarks" / "results" / "evidence" / "digits.json"
PICTURE = ROOT / "docs" / "images" / "evidence-digits.png"
FEW, CHECKED = 40, 24
"""Pairs at the other levels; pairs whose density is checked."""
SKIPPED = ("FID", "KID", "LPIPS", "PPL")


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
    from PIL import Image

    pairs = [*done.pairs[0:6:2], *done.pairs[1:6:2]]
    strips = [
        [torch.cat(list(p.outcomes[m].frames[:, 0]), 1) for m in DRAWN if m in done.methods]
        for p in pairs
    ]
    figure = Figure(figsize=(11, 6.2), dpi=100)
    axes = figure.subplots(2, 3)
    for k, (axis, strip) in enumerate(zip(axes.flat, strips, strict=True)):
        axis.imshow(torch.cat(strip), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        rows = [28 * i + 14 for i in range(len(strip))]
        shown = [m for m in DRAWN if m in done.methods]
        axis.set_yticks(*((rows, shown) if k % 3 == 0 else ([], [])))
        axis.set_xticks([])
        axis.set_title(f"{pairs[k].name.split('-')[1]} to {pairs[k].name.split('-')[2]}")
        for side in axis.spines.values():
            side.set_visible(False)
    figure.tight_layout()
    drawn = BytesIO()
    figure.savefig(drawn)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.open(drawn).convert("L").quantize(16).save(file, optimize=True)


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
