"""The density of the middle of paths, checked with something other than what was optimised.

Absolute log densities by the probability flow, with the exact trace and without a class, of the
middle of each path: as a clean latent, and where it is at the noise level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.digit_data import REAL, SEED, Digits
from benchmarks.digit_measures import written
from diffusion_geodesics import Settings
from diffusion_geodesics.apps.evidence import Method, Pair, Rendered, Stage, set_stage
from diffusion_geodesics.diffusion import sample
from diffusion_geodesics.likelihood import (
    CentralDifferences,
    DenoiserNoise,
    ExactTrace,
    FlowResult,
    log_density,
)
from diffusion_geodesics.measures import mean_estimate
from diffusion_geodesics.models import DiffusionModel

CLEAN = 0.05
"""Noise to signal that counts as clean."""
KINDS = ("log p clean", "log p at the level")


def density_check(
    model: DiffusionModel,
    digits: Digits,
    pairs: Sequence[Pair],
    methods: Sequence[Method],
    settings: Settings,
    rival: str,
) -> dict[str, Any]:
    """log p of the middle of every method's path, and less that of the rival; as a study.

    Cost: per point 72 rows an evaluation of the flow, which takes about 65.
    """
    names = [REAL, *(m.name for m in methods)]
    points: dict[str, dict[str, list[Tensor]]] = {k: {n: [] for n in names} for k in KINDS}
    strips = {p.name: s for p, s in zip(digits.pairs, digits.strips, strict=True)}
    for pair in pairs:
        own = replace(settings, prompt_a=pair.prompt_a or "", prompt_b=pair.prompt_b)
        stage = set_stage(model, pair.a, pair.b, own)
        middle = strips[pair.name][len(strips[pair.name]) // 2]
        points[KINDS[0]][REAL].append(stage.job.codec.encode(middle[None]).double())
        for method in methods:
            clean, noisy = middle_of(method, stage, pair.name)
            points[KINDS[0]][method.name].append(clean)
            points[KINDS[1]][method.name].append(noisy)
    denoiser = model.denoiser(28, 28)
    field, schedule = DenoiserNoise(denoiser, model.encode_prompt("")), denoiser.schedule
    a, s = schedule.coefficients(schedule.timestep(settings.steps, settings.level))
    values: dict[str, dict[str, Tensor]] = {n: {} for n in names}
    worst = 0.0
    for kind, sigma, scale in ((KINDS[0], CLEAN, field.scale(CLEAN)), (KINDS[1], s / a, 1.0)):
        for name, listed in points[kind].items():
            if not listed:
                continue
            found = log_density(
                field,
                scale * torch.cat(listed).float(),
                sigma,
                trace=ExactTrace(),
                derivative=CentralDifferences(),
                rtol=1e-3,
            )
            if found.result is not FlowResult.converged:
                raise RuntimeError(f"{kind} of {name}: {found.result.value}")
            worst = max(worst, float(found.error.max()))
            values[name][kind] = found.log_prob.double()
    what = (
        "log p without a class of the middle of the path, in nats: of the clean latent (noise to "
        f"signal {CLEAN}), and at the noise level. Wins: denser than {rival}'s. Largest error of "
        f"the flow {worst:.2g} nats"
    )
    rows = [_row(name, value, values[rival], rival) for name, value in values.items()]
    study = {"name": "absolute density", "what": what, "pairs": len(pairs)}
    return {**study, "level": settings.level, "rows": rows}


def middle_of(method: Method, stage: Stage, pair: str) -> tuple[Tensor, Tensor]:
    """The point half-way along a path, as a clean latent and at the noise level, (1, dim) each.

    Raises:
        ValueError: a method that has no path at this level.
    """
    reel = method.reel(stage, pair)
    if not isinstance(reel, Rendered) or reel.candidate is None:
        raise ValueError(f"{method.name} has no path whose density could be checked")
    half = torch.tensor([0.5], dtype=torch.float64)
    noisy, settings = reel.candidate.latent(half), stage.settings
    clean, _ = sample(
        stage.job.denoiser,
        noisy,
        stage.job.curve.at(half),
        steps=settings.steps,
        level=settings.level,
        sampler=settings.sampler.sampler,
        negative=stage.job.negative,
        guidance=float(getattr(method, "guidance", 1.0)),
    )
    return clean, noisy


def _row(
    name: str, value: dict[str, Tensor], rivals: dict[str, Tensor], rival: str
) -> dict[str, Any]:
    values, wins = {}, {}
    for kind, of in value.items():
        values[kind] = written(mean_estimate(of.tolist(), seed=SEED))
        if name != rival:
            gap = of - rivals[kind]
            values[f"{kind} less {rival}'s"] = written(mean_estimate(gap.tolist(), seed=SEED))
            wins[kind] = written(mean_estimate((gap > 0).double().tolist(), seed=SEED))
    return {"method": name, "values": values, "wins": wins}
