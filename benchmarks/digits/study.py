"""What is compared on handwritten digits, and the studies that come of it.

The latent flow of `examples/mnist_model.py`, as the example of a user's own model, joins real
images of the MNIST test set: half of the pairs are of one class, half of two. Both classes are
conditions, mixed along the path. Every path is re-timed to equal steps in the autoencoder's
latents. FID and LPIPS need weights that are not there; what is measured instead is in `measures`.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path

import torch

from benchmarks.digits.data import (
    BANK,
    IMAGES,
    REAL,
    SEED,
    Digits,
    RealImages,
    deal,
    digits_model,
)
from benchmarks.digits.measures import DigitFrames
from benchmarks.evidence.density import middle_densities, summary
from benchmarks.evidence.results import Table, described
from benchmarks.evidence.work import KEPT, fingerprint, processes
from benchmarks.record import Data, commit
from diffusion_geodesics.cli.methods import read_method
from diffusion_geodesics.comparison.at_level import AtLevel, PublishedMethod
from diffusion_geodesics.comparison.compare import BASELINE, compare
from diffusion_geodesics.comparison.method import Method
from diffusion_geodesics.comparison.pairs import Pair
from diffusion_geodesics.comparison.result import ComparisonResult
from diffusion_geodesics.comparison.settings import ComparisonSettings
from diffusion_geodesics.interpolation.paths import Geodesic
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.likelihood import ExactTrace
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.runtime.versions import versions

LEVEL, FRAMES = 0.6, 9
PAIRS, FEW, CHECKED = 80, 40, 24
"""Pairs at the main level, at the others, and of those whose density is checked."""
PAPER_STRENGTH = 33.0
"""α·d of the paper's α = 0.002 in the 16,384 dimensions of its latents."""
NO_CLASS = ("lerp", "slerp", "hlerp", "geodesic", *(f"geodesic:strength={s}" for s in (3, 10, 30)))
AT_LEVELS = (*NO_CLASS, "hlerp:bump=2", "geodesic:score=ratio", "geodesic:strength=3,score=ratio")
EVERY = (
    *AT_LEVELS, "pixel", "latent", "lerp:bump=2", "slerp:bump=2", "slerp:bump=3", "hlerp:bump=3",
    "geodesic:bump=2", "geodesic:score=ratio,bump=2", "geodesic:strength=3,score=ratio,bump=2",
    "geodesic:strength=10,score=ratio", "geodesic:strength=10,score=ratio,bump=2", "string",
)  # fmt: skip
QUICK = ("lerp", "slerp", "hlerp:bump=2", "geodesic", "geodesic:strength=3,score=ratio")
WEIGHED = ("slerp", "geodesic", "geodesic:strength=30", "geodesic:strength=3,score=ratio")
"""Methods whose middle images get an absolute density."""
OTHERS = ("level 0.3", "level 0.8", "no class")
ABOUT = "pairs of real MNIST images, joined by a pretrained latent flow"
DRAWN = (
    "lerp", BASELINE, "hlerp", "hlerp + bump 2", "geodesic 1", "geodesic 30",
    "geodesic 3 ratio + bump 2", "string method", REAL,
)  # fmt: skip


def paper() -> list[Method]:
    """The paper's algorithm; its negative prompt, which this model cannot take, is the empty one.

    At the level of all others with its own α, with the α that is as strong here as theirs is in
    theirs, and at its own level, steps and inversion.
    """
    theirs, strong = (
        InterpolationSettings.preset("published", prompt="0", negative="", **changes)
        for changes in ({}, {"strength": PAPER_STRENGTH})
    )
    label = f"published at the same level, α·d = {PAPER_STRENGTH:g}"
    return [
        PublishedMethod(same_level=True, settings=theirs),
        AtLevel(Geodesic(strong.metric, strong.solve, label=label)),
        PublishedMethod(settings=theirs),
    ]


def compared(
    name: str, digits: Digits, model: DiffusionModel, work: Path, steps: int = 25
) -> ComparisonResult:
    """One of the comparisons; pairs that are finished are read from a folder in ``work``."""
    pairs, level, names = digits.pairs[:FEW], LEVEL, AT_LEVELS
    if name in ("main", "quick"):
        pairs, names = digits.pairs, EVERY if name == "main" else QUICK
    elif name == "no class":
        pairs, names = [replace(p, prompt_a=None, prompt_b=None) for p in pairs], NO_CLASS
    else:
        level = float(name.removeprefix("level "))
    methods = [read_method(n) for n in names] + (paper() if name == "main" else [])
    print(f"{name}: {len(methods)} methods on {len(pairs)} pairs", flush=True)

    def further(pair: Pair) -> list[DigitFrames]:
        first, last = (int(k) for k in pair.name.split("-")[1:])
        return [DigitFrames(digits.real, (first, last))]

    return compare(
        model,
        pairs,
        [RealImages(digits.strips), *methods],
        ComparisonSettings.of(level=level, frames=FRAMES, steps=steps),
        further=further,
        truth=REAL,
        resume=work / name,
    )


def compare_aside(name: str, pairs: int, work: Path) -> None:
    """The same in a process of its own: what it finishes lies in the folder."""
    model = digits_model()
    compared(name, deal(IMAGES, pairs, model.codec(28, 28)), model, work)


def run(
    pairs: int = PAIRS, *, quick: bool = False, pool_size: int = 2, picture: Path | None = None
) -> Data:
    """All studies, as they are written to the file of results.

    Args:
        pairs: at the main level, half of them of one class.
        quick: few methods and pairs, no other levels: a look, no result.
        pool_size: processes.
        picture: file for strips of some pairs.
    """
    started, model, pairs = time.perf_counter(), digits_model(), min(pairs, 8) if quick else pairs
    work = KEPT / fingerprint() / f"digits-{pairs}"
    digits = deal(IMAGES, pairs, model.codec(28, 28))
    if quick:
        done = compared("quick", digits, model, work)
        return written_down(done, digits, [study("quick", "", done)], started)
    with processes(pool_size) as pool:
        aside = partial(compare_aside, pairs=pairs, work=work)
        list(pool.map(aside, ("main", *OTHERS)))
    parts = {name: compared(name, digits, model, work) for name in ("main", *OTHERS)}
    done = parts.pop("main")
    parts["same class"] = replace(done, pairs=done.pairs[::2])
    parts["different classes"] = replace(done, pairs=done.pairs[1::2])
    studies = [study("main", "", done), *(study(n, f": {n}", p) for n, p in parts.items())]
    studies.append(density_study(model, done))
    if picture is not None:
        draw(done, picture)
    return written_down(done, digits, studies, started)


def study(name: str, what: str, done: ComparisonResult) -> Data:
    """A comparison as it is written down: means with intervals, and wins over slerp and lerp."""
    return described(name, f"{ABOUT}{what}", Table.of([done]))


def density_study(model: DiffusionModel, done: ComparisonResult) -> Data:
    """Absolute log densities of middle images without a class, with the exact trace."""
    names = [REAL, *(read_method(n).name for n in WEIGHED)]
    pairs = [replace(p, outcomes={n: p.outcomes[n] for n in names}) for p in done.pairs[:CHECKED]]
    found = summary([middle_densities(model, p, REAL, ExactTrace()) for p in pairs])
    rows = [{"method": n, "values": {"log p": v}, "wins": {}} for n, v in found["means"].items()]
    what = "log p without a class of the middle image less the mean of both ends, in nats"
    about = {"name": "absolute density", "what": what, "pairs": len(pairs)}
    return about | {"level": found["level"], "rows": rows}


def reading(main: Data) -> dict[str, dict[str, list[str]]]:
    """For each method the quantities on which its paired interval against slerp excludes a draw."""
    found = {}
    for row in main["rows"]:
        known = {q: win for q, win in row["wins"].items() if win["low"] is not None}
        found[row["method"]] = {
            f"better than {BASELINE}": [q for q, win in known.items() if win["low"] > 0.5],
            f"worse than {BASELINE}": [q for q, win in known.items() if win["high"] < 0.5],
        }
    return found


def written_down(
    done: ComparisonResult, digits: Digits, studies: list[Data], started: float
) -> Data:
    """The studies with all that they depend on."""
    assert done.settings is not None
    assert done.model is not None
    return {
        "commit": commit("src", "examples/mnist_model.py"),
        "settings": {
            **done.settings.as_nested(),
            "seed": SEED,
            "bank": BANK,
            "held out": len(digits.reference),
            "classifier's accuracy on held-out images": round(digits.real.accuracy, 4),
        },
        "model": done.model.as_dict(),
        "versions": versions(),
        "seconds": round(time.perf_counter() - started),
        "studies": studies,
        "reading": reading(studies[0]),
    }


def draw(done: ComparisonResult, file: Path) -> None:
    """The first pairs of each kind, a row a method; every frame is decoded by the model."""
    from matplotlib.figure import Figure
    from PIL import Image

    pairs = [*done.pairs[0:6:2], *done.pairs[1:6:2]]
    names = [m for m in DRAWN if m in done.methods]
    figure = Figure(figsize=(11, 6.2), dpi=100)
    for k, (axis, pair) in enumerate(zip(figure.subplots(2, 3).flat, pairs, strict=True)):
        strip = [torch.cat(list(pair.outcomes[m].frames[:, 0]), 1) for m in names]
        axis.imshow(torch.cat(strip), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        rows = [28 * i + 14 for i in range(len(strip))]
        axis.set_yticks(*((rows, names) if k % 3 == 0 else ([], [])))
        axis.set_xticks([])
        axis.set_title(" to ".join(pair.name.split("-")[1:]))
        for side in axis.spines.values():
            side.set_visible(False)
    figure.tight_layout()
    drawn = BytesIO()
    figure.savefig(drawn)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.open(drawn).convert("L").quantize(16).save(file, optimize=True)
