"""From the names in settings to the objects behind them."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.bvp import PreconditionedFlow, PublishedDescent
from diffusion_geodesics.diffusion import (
    DDIM,
    LMS,
    NFSD,
    SDS,
    Condition,
    Denoiser,
    DistilledScore,
    DPMSolver,
    EpsilonPrediction,
    FixedWindow,
    Heun,
    LevelScore,
    Published,
    RandomWindow,
    RatioScore,
    Sampler,
    TextInversion,
)
from diffusion_geodesics.framing import CentreCrop, Pad
from diffusion_geodesics.latents.choices import (
    ModelScore,
    curve_of,
    fit_of,
    sampler_of,
    scores_of,
    solver_of,
    text_inversion_of,
)
from diffusion_geodesics.latents.settings import (
    Blend,
    FitMode,
    Framing,
    Inversion,
    Metric,
    Prompts,
    SamplerName,
    ScoreKind,
    Solve,
    SolverName,
)
from tests.conformance.denoiser import exact_denoiser, shifts

INVERSION = Inversion(level=0.6, steps=50)
DENOISER: Denoiser = exact_denoiser(EpsilonPrediction())[0]


def scores(**metric: object) -> tuple[LevelScore, ModelScore, ModelScore]:
    return scores_of(
        DENOISER,
        shifts(1.0),
        Metric.model_validate(metric),
        INVERSION,
        negative=shifts(-1.0),
        null=shifts(0.0),
        seed=7,
    )


def test_fits() -> None:
    assert fit_of(Framing()) == CentreCrop()
    assert fit_of(Framing(fit=FitMode.PAD, pad_gray=0.25)) == Pad(0.25)


@pytest.mark.parametrize(
    ("name", "sampler"),
    [
        (SamplerName.DDIM, DDIM()),
        (SamplerName.HEUN, Heun()),
        (SamplerName.LMS, LMS()),
        (SamplerName.DPM, DPMSolver()),
    ],
)
def test_samplers(name: SamplerName, sampler: Sampler) -> None:
    assert sampler_of(Inversion(sampler=name)) == sampler


def test_solvers() -> None:
    assert solver_of(Solve(intervals=(8, 16))) == PreconditionedFlow((8, 16))
    assert solver_of(Solve(solver=SolverName.PUBLISHED)) == PublishedDescent()
    full = solver_of(Solve(solver=SolverName.PUBLISHED_FULL))
    assert full == PublishedDescent(gives_up=False)


def test_text_inversion_is_that_of_the_settings_or_none() -> None:
    assert text_inversion_of(Prompts()) is None
    found = text_inversion_of(Prompts(invert_text=40, text_check_every=5))
    assert found == TextInversion(steps=40, check_every=5)


def test_curves_of_conditions_keep_their_ends_or_one_of_them() -> None:
    a = Condition((torch.eye(3, dtype=torch.float64)[None],))
    b = Condition((2 * torch.eye(3, dtype=torch.float64).roll(1, 0)[None],))
    t = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    first, last = a.parts[0][0], b.parts[0][0]
    expected = {
        Blend.LERP: (first, 0.5 * (first + last), last),
        Blend.SLERP: (first, 1.5 * 0.5**0.5 * (first + 0.5 * last), last),
        Blend.FIRST: (first, first, first),
        Blend.MEAN: (0.5 * (first + last),) * 3,
    }
    for blend, rows in expected.items():
        found = curve_of(blend, a, b).at(t).parts[0]
        assert_close(found, torch.stack(rows), msg=blend.value)


def test_the_level_alone_is_one_score_for_everything() -> None:
    level, lengths, search = scores()
    assert level is lengths is search
    assert level.timestep == DENOISER.schedule.timestep(50, 0.6)


def test_a_ratio_is_measured_and_followed_and_the_level_kept_for_densities() -> None:
    level, lengths, search = scores(score=ScoreKind.RATIO)
    assert isinstance(level, LevelScore)
    assert isinstance(lengths, RatioScore)
    assert lengths is search
    assert torch.equal(lengths.negative.at(torch.zeros(1)).parts[0], shifts(-1.0).parts[0])


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (ScoreKind.SDS, SDS()),
        (ScoreKind.NFSD, NFSD()),
        (ScoreKind.PUBLISHED, Published()),
        (ScoreKind.PUBLISHED_RANDOM, Published()),
    ],
)
def test_distilled_scores_have_their_rule_and_a_window_of_the_seed(
    kind: ScoreKind, rule: object
) -> None:
    _, lengths, search = scores(score=kind, window=0.2, window_nodes=5)
    assert isinstance(lengths, DistilledScore)
    assert isinstance(search, DistilledScore)
    assert lengths.rule == rule
    window = FixedWindow.around(DENOISER.schedule, 50, 0.6, 0.2, 5, seed=7)
    assert lengths.quadrature == window
    if kind is not ScoreKind.PUBLISHED_RANDOM:
        assert search is lengths
        return
    random = search.quadrature
    assert isinstance(random, RandomWindow)
    assert (random.low, random.high) == (window.timesteps[0], window.timesteps[-1])
    assert random.level == window.level


def test_a_random_window_of_one_node_is_the_level() -> None:
    _, _, search = scores(score=ScoreKind.PUBLISHED_RANDOM, window_nodes=1)
    assert isinstance(search, DistilledScore)
    assert isinstance(search.quadrature, RandomWindow)
    assert search.quadrature.low == search.quadrature.high == search.quadrature.level
