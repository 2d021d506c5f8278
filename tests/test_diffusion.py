"""Diffusion against exact Gaussians: scores, inversion, sampling, memory, mistakes."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

import pytest
import torch
from torch import Tensor

from diffusion_geodesics.diffusion import (
    ChunkedBatches,
    Condition,
    ConditionLine,
    Cost,
    Denoiser,
    DiscreteSchedule,
    EpsilonPrediction,
    GuidedScore,
    Ledger,
    LevelScore,
    Network,
    NonFiniteError,
    OutOfMemoryError,
    Prediction,
    RatioScore,
    Spacing,
    VelocityPrediction,
    guidance_bump,
    invert,
    sample,
)
from tests.conformance.denoiser import PREDICTIONS, exact_denoiser, scaled_linear, shifts

every_prediction = pytest.mark.parametrize("prediction", PREDICTIONS, ids=str)


def points(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def parameters(*shape: int) -> Tensor:
    return torch.linspace(0, 1, math.prod(shape), dtype=torch.float64).reshape(shape)


# Scores


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
@pytest.mark.parametrize("weight", [-0.5, 0.0, 1.0, 2.5])
def test_guided_score_follows_its_formula(prediction: Prediction, weight: float) -> None:
    denoiser, data, network = exact_denoiser(prediction)
    x, t = points(7, 5), parameters(7)
    timestep = denoiser.schedule.timestep(100, 0.5)
    score = GuidedScore(
        denoiser, timestep, ConditionLine(shifts(1.0), shifts(3.0)), shifts(0.0), weight
    )
    a, s = denoiser.schedule.coefficients(timestep)
    given, without = data.score(x, a, s, 1.0 + 2.0 * t[:, None]), data.score(x, a, s)
    torch.testing.assert_close(
        score(t, x), without + weight * (given - without), rtol=1e-11, atol=1e-11
    )
    assert network.seen == [7 * score.rows_per_point]
    assert score.true_density == (weight in (0.0, 1.0))


@every_prediction
def test_ratio_score_is_the_difference_of_two_scores(prediction: Prediction) -> None:
    denoiser, data, network = exact_denoiser(prediction)
    x, t = points(2, 6, 5), parameters(6)
    timestep = denoiser.schedule.timestep(100, 0.4)
    score = RatioScore(denoiser, timestep, shifts(1.5), shifts(-0.5))
    a, s = denoiser.schedule.coefficients(timestep)
    exact = data.score(x, a, s, 1.5) - data.score(x, a, s, -0.5)
    torch.testing.assert_close(score(t, x), exact, rtol=1e-11, atol=1e-11)
    assert network.seen == [24], "both conditions go in one call"
    assert score.rows_per_point == 2


def test_a_single_point_needs_no_batch_axis() -> None:
    denoiser, data, _ = exact_denoiser(EpsilonPrediction())
    x = points(5)
    a, s = denoiser.schedule.coefficients(100)
    score = LevelScore(denoiser, 100, shifts(0.0))(torch.tensor(0.5), x)
    torch.testing.assert_close(score, data.score(x, a, s), rtol=1e-11, atol=1e-11)


def test_precision_bounds_the_curvature_of_the_noised_density() -> None:
    denoiser, data, _ = exact_denoiser(EpsilonPrediction())
    score = LevelScore(denoiser, 300, shifts(0.0))
    assert score.precision is not None
    assert float((1 / data.variance(*denoiser.schedule.coefficients(300))).max()) < score.precision


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


# Inversion and sampling


@pytest.mark.parametrize(
    ("prediction", "alpha_to_one"), [(p, k % 2 == 0) for k, p in enumerate(PREDICTIONS)], ids=str
)
def test_inversion_converges_to_the_exact_flow_at_first_order(
    prediction: Prediction, alpha_to_one: bool
) -> None:
    denoiser, data, _ = exact_denoiser(prediction, final_alpha_is_one=alpha_to_one)
    x0, schedule = points(4, 5), denoiser.schedule
    errors = []
    for steps in (100, 200):
        x, _ = invert(denoiser, x0, shifts(0.5), steps=steps, level=0.6, refinements=0)
        end = schedule.coefficients(schedule.timestep(steps, 0.6))
        errors.append(float((x - data.flow(x0, schedule.clean, end, 0.5)).abs().max()))
    assert errors[-1] < 0.05
    assert 0.8 < math.log2(errors[0] / errors[1]) < 1.3


@every_prediction
@pytest.mark.parametrize("refinements", [0, 1, 2])
def test_sampling_undoes_inversion_at_the_stated_order(
    prediction: Prediction, refinements: int
) -> None:
    denoiser, _, _ = exact_denoiser(prediction)
    x0, c = points(4, 5), shifts(0.5)
    errors = []
    for steps in (40, 80):
        x, _ = invert(
            denoiser, x0, c, steps=steps, level=0.6, refinements=refinements, tolerance=0.0
        )
        back, _ = sample(denoiser, x, c, steps=steps, level=0.6)
        errors.append(float((back - x0).abs().max()))
    assert errors[0] < (0.05, 0.02, 0.005)[refinements]
    assert math.log2(errors[0] / errors[1]) > 1.5 + refinements


def test_refined_to_the_end_the_round_trip_is_exact() -> None:
    denoiser, _, _ = exact_denoiser(EpsilonPrediction())
    x0, c = points(4, 5), shifts(0.5)
    x, cost = invert(denoiser, x0, c, steps=10, level=0.6, refinements=30, tolerance=1e-14)
    back, _ = sample(denoiser, x, c, steps=10, level=0.6)
    assert (back - x0).abs().max() < 1e-12
    assert 4 * 6 * 5 < cost.rows < 4 * 6 * 31


def test_refining_only_what_moves_is_cheap_and_row_by_row() -> None:
    denoiser, _, network = exact_denoiser(EpsilonPrediction())
    x0, c = points(4, 5) * torch.tensor([[0.1], [1.0], [2.0], [5.0]]), shifts(0.5)
    plain, _ = invert(denoiser, x0, c, steps=50, level=0.4, refinements=0)
    network.seen.clear()
    refined, cost = invert(denoiser, x0, c, steps=50, level=0.4)
    assert cost == Cost(sum(network.seen), len(network.seen), cost.seconds)
    assert cost.rows < 2 * 4 * 20
    errors = [
        float((sample(denoiser, x, c, steps=50, level=0.4)[0] - x0).abs().max())
        for x in (plain, refined)
    ]
    assert errors[1] < 0.3 * errors[0]
    for k in range(4):
        alone, _ = invert(denoiser, x0[k : k + 1], c, steps=50, level=0.4)
        assert torch.equal(alone, refined[k : k + 1])


def test_per_row_guidance_equals_evaluating_everything_and_skips_what_it_can() -> None:
    denoiser, _, network = exact_denoiser(VelocityPrediction())
    x, weight = points(5, 5), torch.tensor([1.0, 0.0, 3.0, 1.0, -1.0], dtype=torch.float64)
    given, without = shifts(*range(5)), shifts(-1.0)
    mixed, cost = sample(denoiser, x, given, steps=10, level=0.5, negative=without, guidance=weight)
    assert network.seen == [7] * 5
    assert cost.rows == 35
    assert cost.calls == 5
    for k, w in enumerate(weight.tolist()):
        alone, _ = sample(
            denoiser,
            x[k : k + 1],
            given.take(slice(k, k + 1)),
            steps=10,
            level=0.5,
            negative=without,
            guidance=w + 1e-15 * (w in (0.0, 1.0)),
        )
        torch.testing.assert_close(mixed[k : k + 1], alone, rtol=1e-11, atol=1e-11)


def test_unguided_rows_need_no_negative_condition() -> None:
    denoiser, _, network = exact_denoiser(EpsilonPrediction())
    _, cost = sample(denoiser, points(3, 5), shifts(0.0), steps=10, level=0.3)
    assert network.seen == [3, 3, 3]
    assert cost.rows == 9
    with pytest.raises(ValueError, match="negative condition"):
        sample(denoiser, points(3, 5), shifts(0.0), steps=10, level=0.3, guidance=2.0)


def test_guidance_bump_is_exactly_one_at_both_ends() -> None:
    bump = guidance_bump(torch.linspace(0, 1, 17), 3.0)
    assert bump[0] == bump[-1] == 1.0
    assert float(bump[8]) == pytest.approx(3.0)


def test_progress_is_told_step_by_step() -> None:
    denoiser, _, _ = exact_denoiser(EpsilonPrediction())
    told: list[tuple[int, int]] = []
    x, _ = invert(
        denoiser, points(1, 5), shifts(0.0), steps=10, level=0.3, on_step=lambda *a: told.append(a)
    )
    sample(denoiser, x, shifts(0.0), steps=10, level=0.3, on_step=lambda *a: told.append(a))
    assert told == [(1, 3), (2, 3), (3, 3)] * 2


def test_zero_terminal_noise_ratio_samples_from_pure_noise() -> None:
    betas = torch.linspace(0.01, 0.02, 1000, dtype=torch.float64)
    alphas = torch.cumprod(1 - betas, 0)
    schedule = DiscreteSchedule((*alphas.tolist()[:-1], 0.0), 1.0, Spacing.TRAILING)
    network = Fake(lambda x: -x)
    x, _ = sample(
        Denoiser(network, schedule, VelocityPrediction()), points(2, 4), ONE, steps=5, level=1.0
    )
    assert x.isfinite().all()


# Schedules


def test_grid_and_ladder_meet() -> None:
    schedule = scaled_linear()
    assert schedule.timesteps(50)[:2] == (981, 961)
    assert schedule.timesteps(50)[-1] == 1
    assert schedule.ladder(50, 0.3) == schedule.timesteps(50)[-15:]
    assert schedule.timestep(50, 1.0) == 981
    assert schedule.ladder(50, 1e-6) == (1,)
    a, s = schedule.coefficients(500)
    assert a**2 + s**2 == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.coefficients(1000), "0 to 999"),
        (lambda s: s.timesteps(0), "1 to 1000"),
        (lambda s: s.timesteps(1000), "fewer steps"),
        (lambda s: s.ladder(50, 0.0), r"\(0, 1\]"),
        (lambda s: s.ladder(50, math.nan), r"\(0, 1\]"),
        (lambda s: DiscreteSchedule(()), "empty schedule"),
        (lambda s: DiscreteSchedule((1.5,)), r"outside \[0, 1\]"),
    ],
)
def test_schedules_refuse_what_they_do_not_have(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(scaled_linear())


# Conditions


def test_conditions_interpolate_row_by_row_and_keep_their_ends() -> None:
    a, b = (
        Condition((points(1, 3, 4), points(1, 2))),
        Condition((points(1, 3, 4, seed=1), points(1, 2, seed=1))),
    )
    line = ConditionLine(a, b).at(torch.tensor([0.0, 0.25, 1.0]))
    assert torch.equal(line.parts[0][0], a.parts[0][0])
    assert torch.equal(line.parts[1][2], b.parts[1][0])
    torch.testing.assert_close(line.parts[0][1], 0.75 * a.parts[0][0] + 0.25 * b.parts[0][0])
    assert Condition.stack([a, b, a]).rows == 3


def test_conditions_refuse_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Condition(())
    with pytest.raises(ValueError, match="same rows"):
        Condition((points(2, 3), points(3, 3)))
    with pytest.raises(ValueError, match="expected 1 or 5"):
        shifts(1.0, 2.0).expand(5)
    with pytest.raises(ValueError, match="same model"):
        shifts(1.0).lerp(shifts(1.0, dim=4), torch.tensor([0.5]))
    with pytest.raises(ValueError, match="one row each"):
        ConditionLine(shifts(1.0, 2.0), shifts(1.0))


# Memory, precision, mistakes

ONE = Condition((torch.zeros(1, 1),))


@final
@dataclass(frozen=True)
class Fake(Network):
    """Any function as a network on 4 coordinates."""

    function: Callable[[Tensor], Tensor]
    most: int = 256
    seen: list[int] = field(default_factory=list)

    @property
    def dim(self) -> int:
        return 4

    @property
    def batches(self) -> ChunkedBatches:
        return ChunkedBatches(1, torch.device("cpu"), self.most)

    def __call__(self, x: Tensor, timestep: float, condition: Condition) -> Tensor:
        self.seen.append(x.shape[0])
        return self.function(x)


def fake_denoiser(network: Fake) -> Denoiser:
    return Denoiser(network, scaled_linear(), EpsilonPrediction())


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_pieces_are_halved_when_memory_runs_out(error: type[Exception]) -> None:
    def hungry(x: Tensor) -> Tensor:
        if len(x) > 3:
            raise error("MPS backend out of memory")
        return 2 * x

    network, x = Fake(hungry), points(16, 4)
    assert torch.equal(fake_denoiser(network).epsilon(x, 10, ONE), 2 * x)
    assert network.seen == [16, 8, 4, 2, 2, 2, 2, 2, 2, 2, 2]


def test_a_single_row_that_does_not_fit_is_an_error_that_says_so() -> None:
    def starving(x: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(OutOfMemoryError, match="smaller image size"):
        fake_denoiser(Fake(starving)).epsilon(points(5, 4), 10, ONE)


def test_other_errors_of_a_network_pass_through() -> None:
    def broken(x: Tensor) -> Tensor:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        fake_denoiser(Fake(broken)).epsilon(points(5, 4), 10, ONE)


def test_pieces_fit_into_the_memory_that_is_free() -> None:
    assert ChunkedBatches(1 << 60, torch.device("cpu")).rows == 1
    assert ChunkedBatches(1, torch.device("cpu"), 64).rows == 64


def test_half_precision_networks_keep_geometry_in_full() -> None:
    network = Fake(lambda x: x.bfloat16() * 0.5)
    for dtype in (torch.float32, torch.float64):
        x = points(3, 4).to(dtype)
        value = fake_denoiser(network).epsilon(x, 10, ONE)
        assert value.dtype == dtype
        torch.testing.assert_close(value, 0.5 * x, rtol=0.01, atol=0.01)


def test_results_may_be_changed_in_place_and_differentiated_through() -> None:
    value = fake_denoiser(Fake(lambda x: x)).epsilon(points(3, 4), 10, ONE)
    assert not value.is_inference()
    value += 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_non_finite_outputs_are_refused_with_a_cause(bad: float) -> None:
    denoiser = fake_denoiser(Fake(lambda x: torch.where(x > 0, bad, x)))
    with pytest.raises(NonFiniteError, match="--dtype float32"):
        denoiser.epsilon(torch.eye(4), 10, ONE)
    with pytest.raises(NonFiniteError, match="given to it were not finite"):
        fake_denoiser(Fake(lambda x: x)).epsilon(torch.full((1, 4), math.nan), 10, ONE)


def test_wrong_inputs_are_refused() -> None:
    denoiser = fake_denoiser(Fake(lambda x: x))
    with pytest.raises(ValueError, match="takes 4"):
        denoiser.epsilon(points(2, 5), 10, ONE)
    with pytest.raises(ValueError, match="float32 or float64"):
        denoiser.epsilon(points(2, 4).half(), 10, ONE)
    with pytest.raises(ValueError, match="0 to 999"):
        denoiser.epsilon(points(2, 4), 1000, ONE)
    with pytest.raises(ValueError, match="expected 1 or 3"):
        denoiser.epsilon(points(3, 4), 10, ONE.expand(2))
    with pytest.raises(ValueError, match="refinements"):
        invert(denoiser, points(1, 4), ONE, steps=5, level=1.0, refinements=-1)


# Costs


def test_costs_add_up_by_stage() -> None:
    ledger = Ledger().add("inversion", Cost(30, 15, 1.0, 2.0)).add("solve", Cost(400, 12, 4.0))
    ledger = ledger.add("inversion", Cost(2, 1, 0.5, 0.5))
    assert ledger["inversion"] == Cost(32, 16, 1.5, 2.5)
    assert ledger["decode"] == Cost()
    assert ledger.as_dict() == {
        "rows": 432,
        "solver_rows": 400,
        "calls": 28,
        "seconds": 5.5,
        "tflop": 2.5,
        "stages": {
            "inversion": {"rows": 32, "calls": 16, "seconds": 1.5, "tflop": 2.5},
            "solve": {"rows": 400, "calls": 12, "seconds": 4.0, "tflop": 0.0},
        },
    }
