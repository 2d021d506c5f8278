"""Frames between handwritten digits, by a pretrained model that nobody here trained.

The latent flow of `examples/mnist_model.py`, as the example of a user's own model, joins real
images of the MNIST test set: half of the pairs are of one class, half of two. Both classes are
conditions, mixed along the path. Every path is re-timed to equal steps in the autoencoder's
latents. FID and LPIPS need weights that are not there; what is measured instead is in
`digit_measures`. The weights and images are looked for in the folder that DIFFUSION_GEODESICS_DATA
names.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from benchmarks.evidence.density import middle_densities, summary
from benchmarks.evidence.digit_data import BANK, IMAGES, REAL, RealImages, deal, digits_model
from benchmarks.evidence.digit_measures import DigitFrames
from benchmarks.evidence.figures import save_strips
from benchmarks.evidence.results import Table, described
from benchmarks.evidence.work import kept_folder
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

SETTINGS = ComparisonSettings.of(level=0.6, frames=9)
PAIRS, CHECKED = 80, 24
"""Pairs, and those whose density is checked."""
PAPER_STRENGTH = 33.0
"""α·d of the paper's α = 0.002 in the 16,384 dimensions of its latents."""
# fmt: off
METHODS = (
    "lerp", "slerp", "hlerp", "hlerp:bump=2", "geodesic", "geodesic:strength=3",
    "geodesic:strength=10", "geodesic:strength=30", "geodesic:score=ratio",
    "geodesic:strength=3,score=ratio", "pixel", "latent", "lerp:bump=2", "slerp:bump=2",
    "slerp:bump=3", "hlerp:bump=3", "geodesic:bump=2", "geodesic:score=ratio,bump=2",
    "geodesic:strength=3,score=ratio,bump=2", "geodesic:strength=10,score=ratio",
    "geodesic:strength=10,score=ratio,bump=2", "string",
)
QUICK = ("lerp", "slerp", "hlerp:bump=2", "geodesic", "geodesic:strength=3,score=ratio")
WEIGHED = ("slerp", "geodesic", "geodesic:strength=3,score=ratio")
"""Methods whose middle images get an absolute density."""
DRAWN = ("lerp", "slerp", "hlerp", "hlerp + bump 2", "geodesic 1", "geodesic 30", REAL)
# fmt: on


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


def run(pairs: int = PAIRS, *, quick: bool = False, picture: Path | None = None) -> Data:
    """All studies, as they are written to the file of results; finished pairs are kept.

    Args:
        pairs: half of them of one class.
        quick: few methods and pairs: a look, no result.
        picture: file for strips of some pairs.
    """
    started, model = time.perf_counter(), digits_model()
    digits = deal(IMAGES, 8 if quick else pairs, model.codec(28, 28))
    methods = [read_method(n) for n in (QUICK if quick else METHODS)]

    def further(pair: Pair) -> list[DigitFrames]:
        first, last = (int(k) for k in pair.name.split("-")[1:])
        return [DigitFrames(digits.real, (first, last))]

    done = compare(
        model,
        digits.pairs,
        [RealImages(digits.strips), *methods, *([] if quick else paper())],
        SETTINGS,
        further=further,
        truth=REAL,
        resume=kept_folder() / "digits",
    )
    if picture is not None:
        shown = [*done.pairs[0:6:2], *done.pairs[1:6:2]]
        save_strips([(p, [m for m in DRAWN if m in done.methods]) for p in shown], picture)
    studies = [
        study("main", "", done),
        study("same class", ": same class", replace(done, pairs=done.pairs[::2])),
        study("different classes", ": different classes", replace(done, pairs=done.pairs[1::2])),
        density_study(model, done),
    ]
    return {
        "commit": commit("src", "examples/mnist_model.py"),
        "settings": {
            **SETTINGS.as_nested(),
            "bank": BANK,
            "held out": digits.held_out,
            "classifier's accuracy on held-out images": round(digits.real.accuracy, 4),
        },
        "model": model.info.as_dict(),
        "versions": versions(),
        "seconds": round(time.perf_counter() - started),
        "studies": studies,
        "reading": reading(studies[0]),
    }


def study(name: str, what: str, done: ComparisonResult) -> Data:
    """A comparison as it is written down: means with intervals, and wins over slerp and lerp."""
    about = f"pairs of real MNIST images, joined by a pretrained latent flow{what}"
    return described(name, about, Table.of([done]))


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
