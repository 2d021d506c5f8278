"""Factors: batches, mirrors, in-betweens and captions."""

from __future__ import annotations

import random

import pytest
import torch

from training.factors import (
    BACKGROUND,
    HAIR,
    MIRRORED,
    WORDS,
    Factors,
    caption,
    concatenate,
    phrases,
    sample_factors,
)


def draw(n: int, seed: int = 0) -> Factors:
    return sample_factors(n, torch.Generator().manual_seed(seed))


def equal(a: Factors, b: Factors) -> bool:
    others = b.tensors()
    return all(torch.equal(value, others[name]) for name, value in a.tensors().items())


def test_sampling_is_reproducible_and_seeds_differ():
    assert equal(draw(5), draw(5))
    assert not equal(draw(5), draw(5, seed=1))


def test_shapes_are_checked():
    good = draw(3).tensors()
    with pytest.raises(ValueError, match="smile"):
        Factors(**(good | {"smile": torch.zeros(2)}))
    with pytest.raises(ValueError, match="hair"):
        Factors(**(good | {"hair": torch.zeros(3)}))


def test_replace_refuses_unknown_factors():
    with pytest.raises(ValueError, match="moustache"):
        draw(1).replace(moustache=1.0)


def test_select_and_concatenate_undo_each_other():
    factors = draw(4)
    assert equal(concatenate([factors.select(i) for i in range(4)]), factors)
    assert equal(factors.select([2, 0]), factors.select(torch.tensor([2, 0])))


def test_interpolation_is_linear_and_keeps_the_ends():
    a, b = draw(3), draw(3, seed=1)
    assert equal(a.interpolate(b, 0.0), a)
    assert equal(a.interpolate(b, 1.0), b)
    middle = a.interpolate(b, torch.full((3,), 0.5))
    torch.testing.assert_close(middle.yaw, (a.yaw + b.yaw) / 2)
    torch.testing.assert_close(middle.hair, (a.hair + b.hair) / 2)
    with pytest.raises(ValueError, match="3 portraits with 2"):
        a.interpolate(draw(2), 0.5)


def test_mirroring_twice_changes_nothing_and_once_only_what_has_a_side():
    factors = draw(6)
    mirrored = factors.mirror()
    assert equal(mirrored.mirror(), factors)
    for name, value in mirrored.tensors().items():
        same = torch.equal(value, factors.tensors()[name])
        assert same == (name not in MIRRORED), name


def test_captions_say_what_the_factors_say():
    factors = draw(1).replace(
        yaw=-0.8,
        smile=0.9,
        mouth_open=0.0,
        hair=torch.tensor(HAIR["red"]),
        hair_length=0.9,
        glasses=1.0,
        beard=0.0,
        bald=0.0,
        skin=0.9,
        background=torch.tensor(BACKGROUND["green"]),
        shirt=torch.tensor((0.15, 0.33, 0.78)),
    )
    assert caption(phrases(factors)[0]) == (
        "a portrait of a smiling person with long red hair with glasses looking left "
        "blue shirt green background dark skin"
    )
    assert "with no hair" in caption(phrases(factors.replace(bald=1.0))[0])


def test_a_mirrored_caption_swaps_left_and_right_only():
    swap = {"left": "right", "right": "left"}
    factors = draw(64)
    for told, mirrored in zip(phrases(factors), phrases(factors.mirror()), strict=True):
        words = [swap.get(word, word) for word in caption(told).split()]
        assert caption(mirrored).split() == words


def test_dropping_phrases_leaves_a_shorter_caption_of_known_words():
    told = phrases(draw(1))[0]
    assert caption(told, random.Random(0), 1.0) == "a portrait of a person"
    assert caption(told, random.Random(0), 0.0) == caption(told)
    for seed in range(20):
        words = caption(told, random.Random(seed), 0.5).split()
        assert set(words) <= set(WORDS)
        assert len(words) <= len(caption(told).split())
