"""The benchmark that knows the truth: its pairs, how frames are read, measures on exact cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import pytest
import torch
from torch import Tensor

from benchmarks.evidence.fitting import flatten, spreads, surroundings, unflatten
from benchmarks.evidence.pairs import MOST, Kind, TruePair, true_pairs
from benchmarks.evidence.truth import Truth, coverage, cross_fade, detour, true_way
from diffusion_geodesics.diffusion import Codec
from diffusion_geodesics.measures import PooledPixels, Strip, ghosting
from training.factors import COLOURS
from training.portraits import render

SIZE = 64


@final
@dataclass(frozen=True)
class Plain(Codec):
    """Pixels as they are."""

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        return 3, SIZE, SIZE

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return 3, SIZE, SIZE

    def encode(self, images: Tensor) -> Tensor:
        return images.flatten(1)

    def decode(self, latents: Tensor) -> Tensor:
        return latents.reshape(-1, 3, SIZE, SIZE)


@pytest.fixture(scope="module")
def turn() -> TruePair:
    return true_pairs(1, [Kind.TURN])[0]


def strip(frames: Tensor) -> Strip:
    return Strip(frames, frames[[0, -1]], frames.flatten(1))


def test_pairs_differ_in_what_they_say_and_nothing_else() -> None:
    for pair in true_pairs(1):
        first, last = pair.first.tensors(), pair.last.tensors()
        changed = {k for k in first if not torch.equal(first[k], last[k])}
        if pair.kind is Kind.ALL:
            assert len(changed) > 15
            assert set(COLOURS) & changed
        else:
            assert pair.kind.factors[0] in changed
            assert changed <= set(pair.kind.factors)
    assert [p.name for p in true_pairs(2, [Kind.TURN])] == ["turn-000", "turn-001"]
    told = true_pairs(1, [Kind.SMILE])[0].pair(16, prompts=True)
    assert "smiling" in str(told.prompt_b)
    assert told.a.shape == (3, 16, 16)  # type: ignore[union-attr]


def test_a_pair_stays_the_same_however_many_there_are() -> None:
    one, many = true_pairs(1, [Kind.ALL])[0], true_pairs(MOST, [Kind.ALL])
    torch.testing.assert_close(flatten(one.last), flatten(many[0].last))
    assert len({tuple(flatten(p.first)[0].tolist()) for p in many}) == MOST
    for wrong in (0, MOST + 1):
        with pytest.raises(ValueError, match="pairs of a kind"):
            true_pairs(wrong)


def test_factors_survive_being_put_side_by_side(turn: TruePair) -> None:
    values = flatten(turn.first)
    assert values.shape == (1, len(spreads().deviation))
    for name, value in unflatten(values, turn.first).tensors().items():
        torch.testing.assert_close(value, turn.first.tensors()[name])


def test_coverage_is_one_for_even_steps_and_nought_for_a_jump() -> None:
    assert coverage(torch.linspace(0, 1, 9), 9) == pytest.approx(1.0)
    assert coverage(torch.tensor([0.0, 0.0, 0.1, 0.9, 1.0]), 5) == 0
    assert coverage(torch.tensor([]), 5) == 0
    half = torch.tensor([0.0, 0.25, 0.5, 1.0, 1.0])
    assert coverage(half, 5) == pytest.approx(1.0)  # as even as five positions can be there
    crowded = torch.tensor([0, 0.3, 0.35, 0.4, 0.45, 0.5, 1.0])
    assert coverage(crowded, 7) == pytest.approx(0.25 / (0.5 - 1 / 6))


def test_the_detour_is_one_for_the_truth_and_nought_for_a_cross_fade() -> None:
    ends = torch.tensor([[0.0, 0, 0], [4, 0, 0]])
    true = torch.tensor([[1.0, 2, 0], [3, 2, 0]])
    torch.testing.assert_close(cross_fade(true, ends), torch.tensor([[1.0, 0, 0], [3, 0, 0]]))
    outside = torch.tensor([[-1.0, 1, 0], [9, 1, 0]])
    torch.testing.assert_close(cross_fade(outside, ends), ends)
    assert detour(true, true, ends) == pytest.approx(1)
    assert detour(torch.tensor([[0.5, 0.0, 0], [2, 0, 0]]), true, ends) == pytest.approx(0)
    assert detour(torch.tensor([[1.0, 1, 5], [3, 1, 5]]), true, ends) == pytest.approx(0.5)


@pytest.mark.whole
@pytest.mark.parametrize("kind", [Kind.TURN, Kind.EXPRESSION], ids=lambda k: k.value)
def test_factors_are_read_where_they_are(kind: Kind, turn: TruePair) -> None:
    pair = turn if kind is Kind.TURN else true_pairs(1, [kind])[0]
    t = torch.tensor([0.2, 0.47, 0.9])
    look, near = PooledPixels(), surroundings(pair)
    heads = pair.between(t)
    fit = near.fit(look(render(heads, SIZE)))
    torch.testing.assert_close(fit.position, t, rtol=0, atol=0.03)
    assert float(fit.drift.max()) < 0.5
    assert float(fit.distance.max()) < 0.01
    darker = heads.map(lambda n, v: (v + 0.3).clamp(max=1) if n == "skin" else v)
    moved = near.fit(look(render(darker, SIZE)))
    skin = torch.stack([pair.first.skin[0], pair.last.skin[0]]).max()
    left = ((darker.skin - skin).clamp_min(0) / 0.3).mean()
    assert float(moved.drift.mean()) == pytest.approx(float(left), abs=0.4)
    torch.testing.assert_close(moved.position, t, rtol=0, atol=0.2)


def test_what_an_autoencoder_does_is_taken_off(turn: TruePair) -> None:
    look, near = PooledPixels(), surroundings(turn)
    frames = look(render(turn.between(near.t[[6, 12]]), SIZE))
    blurred = 0.9 * frames + 0.05
    fit = near.fit(blurred, 0.9 * near.looks + 0.05)
    torch.testing.assert_close(fit.position, near.t[[6, 12]], rtol=0, atol=0.01)
    assert float(fit.drift.max()) < 0.05 < float(near.fit(blurred).drift.min())


@pytest.mark.whole
def test_true_frames_pass_and_a_cross_fade_does_not(turn: TruePair) -> None:
    way = true_way(turn, Plain(), SIZE, 7)
    true = torch.cat([way.dense[:1], way.true, way.dense[-1:]])
    faded = torch.lerp(true[0], true[-1], torch.linspace(0, 1, 7)[:, None, None, None])
    jump = true[[0, 0, 0, 0, 6, 6, 6]]
    measure = Truth(turn, Plain())
    best, worse, none = (measure(strip(f)) for f in (true, faded, jump))
    assert set(best) == {q.name for q in measure.quantities}
    assert best["truth"] == 60 > 30 > worse["truth"]
    assert best["nearest truth"] > worse["nearest truth"]
    assert best["detour"] == pytest.approx(1)
    assert abs(worse["detour"]) < 0.05
    assert best["coverage"] > 0.95
    assert worse["coverage"] == none["coverage"] == 0
    assert best["drift"] < 0.4 < worse["drift"]
    assert best["off manifold"] < 0.01 < worse["off manifold"]
    assert none["off manifold"] < 0.001  # a repeated end is a true frame
    assert best["detour to make"] > 0.4
    ends = true[[0, -1]]
    assert float(ghosting(true[1:-1], ends).mean()) < 0.4
    assert float(ghosting(faded[1:-1], ends).mean()) > 0.99
