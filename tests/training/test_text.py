"""The tokenizer and the fast encoder of captions."""

from __future__ import annotations

import pytest
import torch

from training.factors import WORDS, caption, phrases, sample_factors
from training.text import LENGTH, Encoder, build_encoder, build_tokenizer, learn_merges


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


def test_every_caption_word_is_one_token(tokenizer):
    assert [word for word in WORDS if len(tokenizer.tokenize(word)) != 1] == []


def test_the_same_words_give_the_same_tokens():
    merges = learn_merges(WORDS)
    assert merges == learn_merges(WORDS)
    assert learn_merges(["aab", "ab"]) == [("a", "b</w>"), ("a", "ab</w>")]


def test_other_text_falls_into_pieces_without_unknowns(tokenizer):
    assert len(tokenizer.tokenize("xylophone!")) > 1
    ids = tokenizer("Ünïcode, ok?").input_ids
    assert max(ids) < len(tokenizer)


def test_the_fast_encoder_equals_the_tokenizer(tokenizer):
    factors = sample_factors(40, torch.Generator().manual_seed(0))
    captions = ["", *(caption(told) for told in phrases(factors))]
    expected = tokenizer(
        captions, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
    ).input_ids
    assert torch.equal(Encoder(tokenizer)(captions), expected)


def test_the_text_model_takes_the_ids(tokenizer):
    model = build_encoder(tokenizer).eval()
    with torch.no_grad():
        states = model(Encoder(tokenizer)(["a portrait of a person", ""])).last_hidden_state
    assert states.shape == (2, LENGTH, 64)
