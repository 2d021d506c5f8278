"""From settings to objects: the one place where the names in settings become behaviour."""

from __future__ import annotations

from dataclasses import replace

import torch

from diffusion_geodesics.bvp import PreconditionedFlow, PublishedDescent
from diffusion_geodesics.diffusion import (
    DDIM,
    LMS,
    NFSD,
    SDS,
    Condition,
    ConditionArc,
    ConditionCurve,
    ConditionLine,
    Denoiser,
    Distillation,
    DistilledScore,
    DPMSolver,
    FixedWindow,
    Heun,
    LevelScore,
    NoiseSchedule,
    Published,
    RandomWindow,
    RatioScore,
    Sampler,
    TextInversion,
)
from diffusion_geodesics.framing import CentreCrop, Fit, Pad
from diffusion_geodesics.latents.settings import (
    Blend,
    BoundarySolve,
    FitMode,
    Framing,
    Inversion,
    Prompts,
    SamplerName,
    ScoreChoice,
    ScoreKind,
    SolverName,
)

ModelScore = LevelScore | RatioScore | DistilledScore
"""A score made from a denoiser."""


def fit_of(framing: Framing) -> Fit:
    """How images are brought to the working size."""
    return Pad(framing.pad_gray) if framing.fit is FitMode.PAD else CentreCrop()


def sampler_of(inversion: Inversion) -> Sampler:
    """The sampler of inversion and decoding."""
    return _SAMPLERS[inversion.sampler]


_SAMPLERS: dict[SamplerName, Sampler] = {
    SamplerName.DDIM: DDIM(),
    SamplerName.HEUN: Heun(),
    SamplerName.LMS: LMS(),
    SamplerName.DPM: DPMSolver(),
}


def solver_of(solve: BoundarySolve) -> PreconditionedFlow | PublishedDescent:
    """The boundary value solver."""
    if solve.solver is SolverName.PRECONDITIONED:
        return PreconditionedFlow(solve.intervals)
    return PublishedDescent(
        levels_of=solve.bisections,
        steps=solve.bisection_steps,
        learning_rate=solve.learning_rate,
        gives_up=solve.solver is SolverName.PUBLISHED,
    )


def text_inversion_of(prompts: Prompts) -> TextInversion | None:
    """How embeddings are optimised; None where they are not."""
    if not prompts.invert_text:
        return None
    return TextInversion(steps=prompts.invert_text, check_every=prompts.text_check_every)


def curve_of(blend: Blend, first: Condition, last: Condition) -> ConditionCurve:
    """The condition along a path, from those of its two ends."""
    match blend:
        case Blend.LERP:
            return ConditionLine(first, last)
        case Blend.SLERP:
            return ConditionArc(first, last)
        case Blend.FIRST:
            return first
        case Blend.MEAN:
            return first.lerp(last, torch.tensor([0.5]))


def rule_of(kind: ScoreKind) -> Distillation:
    """The distillation rule of a distilled score."""
    return _RULES[kind]


_RULES: dict[ScoreKind, Distillation] = {
    ScoreKind.SDS: SDS(),
    ScoreKind.NFSD: NFSD(),
    ScoreKind.PUBLISHED: Published(),
    ScoreKind.PUBLISHED_RANDOM: Published(),
}


def window_of(
    schedule: NoiseSchedule, metric: ScoreChoice, inversion: Inversion, seed: int = 0
) -> FixedWindow:
    """The time steps that a distilled score is averaged over."""
    steps, level = inversion.steps, inversion.level
    return FixedWindow.around(schedule, steps, level, metric.window, metric.window_nodes, seed)


def scores_of(
    denoiser: Denoiser,
    curve: ConditionCurve,
    metric: ScoreChoice,
    inversion: Inversion,
    *,
    negative: Condition,
    null: Condition,
    seed: int,
) -> tuple[LevelScore, ModelScore, ModelScore]:
    """The scores of a metric: of the noised density at the level, of what lengths are measured in,
    and of what the solver follows. The last two differ for a random estimate only."""
    schedule = denoiser.schedule
    level = LevelScore(denoiser, schedule.timestep(inversion.steps, inversion.level), curve)
    if metric.score is ScoreKind.LEVEL:
        return level, level, level
    if metric.score is ScoreKind.RATIO:
        ratio = RatioScore(denoiser, level.timestep, curve, negative)
        return level, ratio, ratio
    window = window_of(schedule, metric, inversion, seed)
    fixed = DistilledScore(denoiser, window, rule_of(metric.score), curve, null, negative)
    if metric.score is not ScoreKind.PUBLISHED_RANDOM:
        return level, fixed, fixed
    low, high = window.level, window.level
    if len(window.timesteps) > 1:
        low, high = window.timesteps[0], window.timesteps[-1]
    generator = torch.Generator().manual_seed(seed)
    random = RandomWindow(window.level, low, high, generator)
    return level, fixed, replace(fixed, quadrature=random)
