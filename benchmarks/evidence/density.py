r"""Absolute log densities of middle frames, by the probability flow.

What a geodesic optimises is a relative density along its own path. Here the middle frame of each
method and of the truth, as pixels, is encoded, brought to a low noise level and its log density
found in absolute terms, and so for both ends; what is reported is the middle less the mean of both
ends, in nats.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch

from benchmarks.evidence.methods import TRUTH
from benchmarks.evidence.pairs import TruePair
from benchmarks.evidence.plan import Study
from benchmarks.evidence.work import model, result_of
from benchmarks.record import Data, as_data
from diffusion_geodesics.comparison.result import PairResult
from diffusion_geodesics.image_sets.densities import image_densities
from diffusion_geodesics.image_sets.settings import DensitySettings
from diffusion_geodesics.likelihood import Trace
from diffusion_geodesics.measures import bootstrap_mean
from diffusion_geodesics.models import DiffusionModel

SETTINGS = DensitySettings.of(level=0.1, probes=6, rtol=1e-2)
"""Few probes, for an error that is a thousandth of the differences that are found."""


@final
@dataclass(frozen=True, eq=False)
class Weighing:
    """A pair whose middle frames are weighed."""

    case: TruePair
    study: Study
    folder: Path


def weigh(job: Weighing) -> Data:
    """Log densities of the middle frames of every method less the mean of the ends'; kept."""
    mark = hashlib.sha256(repr((SETTINGS, job.study.methods)).encode()).hexdigest()[:8]
    kept = job.folder / f"density-{mark}" / f"{job.case.name}.json"
    if kept.is_file():
        return json.loads(kept.read_text(encoding="utf-8"))
    pair = result_of(job.folder, job.study, job.case).pairs[0]
    found = middle_densities(model(), pair, TRUTH)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(found), encoding="utf-8")
    return found


def middle_densities(
    model: DiffusionModel, pair: PairResult, truth: str, trace: Trace | None = None
) -> Data:
    """Log densities of the middle frames of a pair less the mean of those of its ends.

    Args:
        model: whose density.
        pair: with the frames of every method.
        truth: the method whose first and last frame are the ends.
        trace: how traces are taken; by the probes of `SETTINGS` by default.
    """
    started = time.process_time()
    names = [n for n, outcome in pair.outcomes.items() if not outcome.failed]
    middles = [pair.outcomes[n].frames[len(pair.outcomes[n].frames) // 2] for n in names]
    unlike: list[torch.Tensor] = []
    place = []  # methods may agree to the last bit
    for middle in middles:
        same = [i for i, other in enumerate(unlike) if torch.equal(middle, other)]
        place.append(same[0] if same else len(unlike))
        unlike += [] if same else [middle]
    true = pair.outcomes[truth].frames
    found = image_densities(model, [true[0], true[-1], *unlike], SETTINGS, trace=trace).density
    level = 0.5 * float(found.log_prob[0] + found.log_prob[1])
    inside = found.log_prob[2:] - level
    return {
        "pair": pair.name,
        "seconds": time.process_time() - started,
        "ends": found.log_prob[:2].tolist(),
        "middle": {n: float(inside[i]) for i, n in zip(place, names, strict=True)},
        "error": float(found.standard_error.max()),
        "nfe": found.nfe,
    }


def weigh_all(jobs: Sequence[Weighing], pool: ProcessPoolExecutor) -> Data:
    """Every pair, and means by method with intervals."""
    return summary(list(pool.map(weigh, jobs)))


def summary(pairs: Sequence[Data]) -> Data:
    """Pairs, and means by method with intervals."""
    names = list(dict.fromkeys(n for p in pairs for n in p["middle"]))
    means = {
        name: as_data(bootstrap_mean([p["middle"][name] for p in pairs if name in p["middle"]]))
        for name in names
    }
    level, probes = SETTINGS.inversion.level, SETTINGS.trace.probes
    return {"pairs": list(pairs), "means": means, "level": level, "probes": probes}
