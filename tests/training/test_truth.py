"""The benchmark that knows the truth: its pairs, readers and measures on exact cases."""

from __future__ import annotations

import math

import pytest
import torch

from benchmarks.truth import (
    BankReader,
    Kind,
    RegressorReader,
    Truth,
    coverage,
    nearest_position,
    true_pairs,
)
from diffusion_geodesics.measures import PooledPixels, Strip, equal_steps
from training.factors import COLOURS
from training.portraits import render
from training.regressor import Reading, Regressor


def test_pairs_differ_in_what_they_say_and_nothing_else() -> None:
    for pair in true_pairs(1):
        first, last = pair.first.tensors(), pair.last.tensors()
        changed = {k for k in first if not torch.equal(first[k], last[k])}
        if pair.kind is Kind.ALL:
            assert len(changed) > 15
            assert set(COLOURS) & changed
        else:
            assert changed == {pair.kind.factor}
    assert [p.name for p in true_pairs(2, [Kind.TURN])] == ["turn-000", "turn-001"]
    told = true_pairs(1, [Kind.SMILE])[0].pair(16, prompts=True)
    assert "smiling" in str(told.prompt_b)
    assert told.a.shape == (3, 16, 16)  # type: ignore[union-attr]


def test_coverage_is_one_for_even_steps_and_nought_for_a_jump() -> None:
    assert coverage(torch.linspace(0, 1, 9)) == pytest.approx(1.0)
    assert coverage(torch.tensor([0.0, 0.0, 0.1, 0.9, 1.0])) == 0
    half = torch.tensor([0.0, 0.25, 0.5, 1.0, 1.0])
    assert coverage(half) == pytest.approx(1.0)  # as even as five positions can be there
    assert coverage(torch.tensor([0, 0.3, 0.35, 0.4, 0.45, 0.5, 1.0])) == pytest.approx(
        0.25 / (0.5 - 1 / 6)
    )


def test_true_renderings_are_found_where_they_are() -> None:
    pair = true_pairs(1, [Kind.TURN])[0]
    t = torch.tensor([0.0, 0.25, 0.5, 1.0])
    frames = render(pair.between(t), 32)
    torch.testing.assert_close(nearest_position(pair, frames), t)
    position, drift = BankReader(positions=5).read(pair, render(pair.between(t), 64))
    torch.testing.assert_close(position, t)
    assert float(drift.abs().max()) == 0
    smiling = pair.between(t).map(lambda n, v: v + 0.58 if n == "smile" else v)
    _, drift = BankReader(positions=5).read(pair, render(smiling, 64))
    assert float(drift.mean()) > 0.1


def test_the_regressor_is_read_between_its_own_readings_of_the_ends() -> None:
    class Exact(Regressor):
        """Says that the heads are at -1 and 1, and what lies between is at 0 and 0.5."""

        def read(self, images: torch.Tensor) -> Reading:
            yaw = torch.tensor([-1.0, 1.0, -1.0, 0.0, 0.5, 1.0])
            smile = torch.tensor([0.0, 0.0, 0.0, 0.58, 0.0, 0.0])
            none = torch.zeros(6, dtype=torch.long)
            return Reading(none, none, {"yaw": yaw, "smile": smile}, {})

    pair = true_pairs(1, [Kind.TURN])[0]
    position, drift = RegressorReader(Exact()).read(pair, torch.zeros(4, 3, 32, 32))
    torch.testing.assert_close(position, torch.tensor([0.0, 0.5, 0.75, 1.0]))
    torch.testing.assert_close(drift, torch.tensor([0.0, 1.0, 0.0, 0.0]))


def test_the_truth_scores_better_than_a_cross_fade() -> None:
    pair = true_pairs(1, [Kind.TURN])[0]
    look = PooledPixels()
    even = torch.linspace(0, 1, 33, dtype=torch.float64)
    dense = render(pair.between(even), 32)
    true = render(pair.between(equal_steps(even, look(dense), 5)), 32)
    faded = torch.lerp(true[0], true[-1], torch.linspace(0, 1, 5)[:, None, None, None])
    bank = look(render(pair.between(torch.tensor([0.0, 1.0])), 32))
    measure = Truth(pair, look, BankReader(positions=5), bank)
    best, worse = (measure(Strip(f, true[[0, -1]], look(f))) for f in (true, faded))
    assert best["truth"] == math.inf or best["truth"] > 60
    assert worse["truth"] < 40
    assert best["nearest truth"] > worse["nearest truth"]
    assert best["off manifold"] < worse["off manifold"]
    assert set(best) == {q.name for q in measure.quantities}
