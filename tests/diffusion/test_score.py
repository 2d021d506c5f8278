"""Scores of a diffusion model: those of Gaussian data are known in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.diffusion import (
    ConditionLine,
    Denoiser,
    EpsilonPrediction,
    LevelScore,
    PathConditions,
    Prediction,
    RatioScore,
    VelocityPrediction,
)
from tests.conformance.denoiser import PREDICTIONS, exact_denoiser, shifts

every_prediction = pytest.mark.parametrize("prediction", PREDICTIONS, ids=str)


def points(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def parameters(*shape: int) -> Tensor:
    return torch.linspace(0, 1, math.prod(shape), dtype=torch.float64).reshape(shape)


@every_prediction
@pytest.mark.parametrize("level", [0.001, 0.3, 0.6, 1.0])
def test_the_score_of_a_gaussian_is_exact(prediction: Prediction, level: float) -> None:
    denoiser, data, _ = exact_denoiser(prediction)
    timestep = denoiser.schedule.timestep(999, level)
    x, t = points(3, 4, 5), parameters(3, 4)
    a, s = denoiser.schedule.coefficients(timestep)
    score = LevelScore(denoiser, timestep, ConditionLine(shifts(0.0), shifts(2.0)))
    exact = data.score(x, a, s, 2.0 * t[..., None])
    assert (score(t, x) - exact).abs().max() < 1e-12 * exact.abs().max()


@every_prediction
def test_the_ratio_of_two_gaussians_of_one_covariance_has_a_constant_score(
    prediction: Prediction,
) -> None:
    denoiser, data, network = exact_denoiser(prediction)
    x, t = points(2, 6, 5), parameters(6)
    timestep = denoiser.schedule.timestep(100, 0.4)
    score = RatioScore(denoiser, timestep, shifts(1.5), shifts(-0.5))
    a, s = denoiser.schedule.coefficients(timestep)
    exact = (a * 2.0 / data.variance(a, s)).expand(2, 6, 5)
    assert_close(score(t, x), exact, rtol=1e-10, atol=1e-10)
    assert network.seen == [24], "both conditions go in one batch"


def test_a_ratio_of_a_prompt_to_itself_has_no_score() -> None:
    denoiser, _, _ = exact_denoiser(EpsilonPrediction())
    score = RatioScore(denoiser, 300, shifts(1.5), shifts(1.5))
    assert torch.equal(score(parameters(4), points(4, 5)), torch.zeros(4, 5).double())


def test_a_single_point_needs_no_batch_axis() -> None:
    denoiser, data, _ = exact_denoiser(EpsilonPrediction())
    x = points(5)
    a, s = denoiser.schedule.coefficients(100)
    score = LevelScore(denoiser, 100, shifts(0.0))(torch.tensor(0.5), x)
    assert_close(score, data.score(x, a, s), rtol=1e-11, atol=1e-11)


def test_the_precision_is_that_of_the_noise_and_bounds_every_curvature() -> None:
    denoiser, data, _ = exact_denoiser(EpsilonPrediction())
    a, s = denoiser.schedule.coefficients(300)
    precision = LevelScore(denoiser, 300, shifts(0.0)).precision
    assert precision == s**-2
    assert float((1 / data.variance(a, s)).max()) < precision


def test_batches_and_pieces_change_nothing() -> None:
    denoiser, _, network = exact_denoiser(VelocityPrediction())
    x, condition = points(11, 5), shifts(*parameters(11).tolist())
    whole = denoiser.epsilon(x, 200, condition)
    pieces = Denoiser(
        type(network)(network.output, [], most=3), denoiser.schedule, denoiser.prediction
    ).epsilon(x, 200, condition)
    single = [
        denoiser.epsilon(x[k : k + 1], 200, condition.take(slice(k, k + 1))) for k in range(11)
    ]
    assert torch.equal(whole, pieces)
    assert torch.equal(whole, torch.cat(single))


@pytest.mark.parametrize("kind", ["level", "ratio"])
def test_paths_of_a_batch_have_conditions_of_their_own(kind: str) -> None:
    """Three paths in one batch score as each of them alone; `select` picks some of them."""
    denoiser, _, _ = exact_denoiser(EpsilonPrediction())
    curves = [ConditionLine(shifts(float(k)), shifts(1.0 - k)) for k in range(3)]

    def score(of: PathConditions | ConditionLine) -> LevelScore | RatioScore:
        if kind == "level":
            return LevelScore(denoiser, 300, of)
        return RatioScore(denoiser, 300, of, shifts(-2.0))

    x, t = points(4, 3, 5), parameters(4)[:, None]
    together = score(PathConditions(tuple(curves)))
    value = together(t, x)
    for k, curve in enumerate(curves):
        assert_close(value[:, k], score(curve)(t[:, 0], x[:, k]), rtol=1e-13, atol=1e-13)
    index = torch.tensor([2, 0])
    assert_close(together.select(index)(t, x[:, index]), value[:, index], rtol=1e-13, atol=1e-13)
