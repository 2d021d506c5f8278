"""The text side: a CLIP tokenizer in which every caption word is one token, and its encoder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from training.factors import WORDS

LENGTH = 32
WIDTH = 64
START, END = "<|startoftext|>", "<|endoftext|>"


def build_tokenizer(words: Sequence[str] = WORDS) -> CLIPTokenizer:
    """Byte-pair encoding learned on the caption words; any other text falls into pieces."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner = Tokenizer(
        models.BPE(unk_token=END, end_of_word_suffix="</w>", continuing_subword_prefix="")
    )
    learner.normalizer = normalizers.Lowercase()  # pyright: ignore[reportAttributeAccessIssue]
    learner.pre_tokenizer = pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(
        vocab_size=4000,
        min_frequency=1,
        show_progress=False,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        special_tokens=[],
    )
    learner.train_from_iterator([" ".join(words)] * 4, trainer)
    learned = json.loads(learner.to_str())["model"]["merges"]
    merges = [tuple(m.split(" ")) if isinstance(m, str) else (m[0], m[1]) for m in learned]
    pieces = [*alphabet, *(c + "</w>" for c in alphabet), *(a + b for a, b in merges), START, END]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    parts: dict[str, Any] = {"vocab": vocabulary, "merges": merges}
    return CLIPTokenizer(**parts, model_max_length=LENGTH)


def build_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """An untrained CLIP text model of two layers."""
    vocabulary = tokenizer.get_vocab()
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=3 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=LENGTH,
        projection_dim=WIDTH,
        bos_token_id=vocabulary[START],
        eos_token_id=vocabulary[END],
        pad_token_id=vocabulary[END],
    )
    return CLIPTextModel(config)


class Encoder:
    """Caption words to token ids by table; equal to the tokenizer on captions, and fast."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        self.table = {
            word: tokenizer(word, add_special_tokens=False).input_ids[0] for word in WORDS
        }
        self.start, self.end = tokenizer.bos_token_id, tokenizer.eos_token_id
        self.pad = tokenizer.pad_token_id

    def __call__(self, captions: Sequence[str]) -> Tensor:
        """Token ids (n, LENGTH), padded."""
        rows: list[list[int]] = []
        for text in captions:
            ids = [self.start, *(self.table[word] for word in text.split()), self.end]
            rows.append(ids + [self.pad] * (LENGTH - len(ids)))
        return torch.tensor(rows)
