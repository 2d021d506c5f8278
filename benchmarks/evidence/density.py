r"""Absolute log densities of middle frames, by the probability flow.

What a geodesic optimises is a relative density along its own path. Here the middle frame of each
method and of the truth, as pixels, is encoded, brought to a low noise level and its log density
found in absolute terms, and so for both ends; what is told is the middle less the mean of both
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
from typing import Any, final

import torch

from benchmarks.evidence.plan import Study
from benchmarks.evidence.results import written
from benchmarks.evidence.work import model, result_of
from benchmarks.truth import TRUTH, TruePair
from diffusion_geodesics.apps.densities import densities
from diffusion_geodesics.apps.gallery import Place
from diffusion_geodesics.likelihood import ShiftedHutchPlusPlus
from diffusion_geodesics.measures import mean_estimate

PLACE = Place(level=0.1, steps=25, refinements=2)
PROBES = 6
"""Products of the trace's estimate: few, for a thousandth of the differences that are found."""
RTOL = 1e-2


@final
@dataclass(frozen=True, eq=False)
class Weighing:
    """A pair whose middle frames are weighed."""

    case: TruePair
    study: Study
    folder: Path


def weigh(job: Weighing) -> dict[str, Any]:
    """Log densities of the middle frames of every method less the mean of the ends'; kept."""
    made_with = repr((PLACE, PROBES, RTOL, job.study.methods))
    mark = hashlib.sha256(made_with.encode()).hexdigest()[:8]
    kept = job.folder / f"density-{mark}" / f"{job.case.name}.json"
    if kept.is_file():
        return json.loads(kept.read_text(encoding="utf-8"))
    started = time.process_time()
    pair = result_of(job.folder, job.study, job.case).pairs[0]
    names = [n for n, outcome in pair.outcomes.items() if not outcome.failed]
    middles = [pair.outcomes[n].frames[len(pair.outcomes[n].frames) // 2] for n in names]
    unlike, place = [], []  # methods may agree to the last bit
    for middle in middles:
        same = [i for i, other in enumerate(unlike) if torch.equal(middle, other)]
        place.append(same[0] if same else len(unlike))
        unlike += [] if same else [middle]
    true = pair.outcomes[TRUTH].frames
    found = densities(
        model(),
        [true[0], true[-1], *unlike],
        PLACE,
        trace=ShiftedHutchPlusPlus(PROBES),
        rtol=RTOL,
    ).density
    level = 0.5 * float(found.log_prob[0] + found.log_prob[1])
    told = {
        "pair": job.case.name,
        "seconds": time.process_time() - started,
        "ends": [float(v) for v in found.log_prob[:2]],
        "middle": {
            n: float(found.log_prob[2 + i]) - level for i, n in zip(place, names, strict=True)
        },
        "error": float(found.standard_error.max()),
        "evaluations": found.nfe,
    }
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(told), encoding="utf-8")
    return told


def weigh_all(jobs: Sequence[Weighing], pool: ProcessPoolExecutor) -> dict[str, Any]:
    """Every pair, and means by method with intervals."""
    pairs = list(pool.map(weigh, jobs))
    names = list(dict.fromkeys(n for p in pairs for n in p["middle"]))
    means = {
        name: written(mean_estimate([p["middle"][name] for p in pairs if name in p["middle"]]))
        for name in names
    }
    return {"pairs": pairs, "means": means, "level": PLACE.level, "probes": PROBES}
