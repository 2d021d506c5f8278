"""The text side: a CLIP tokenizer in which every caption word is one token, and its encoder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from training.factors import WORDS

LENGTH = 32
WIDTH = 64
START, END = "<|startoftext|>", "<|endoftext|>"


def learn_merges(words: Sequence[str]) -> list[tuple[str, str]]:
    """Byte-pair merges that make each word one piece: always the most frequent pair, and among
    equals the first in the alphabet, so that the same words give the same tokens everywhere."""
    pieces = [[*word[:-1], word[-1] + "</w>"] for word in words]
    merges: list[tuple[str, str]] = []
    while counts := Counter(pair for word in pieces for pair in pairwise(word)):
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        pieces = [_merge(word, best) for word in pieces]
    return merges


def _merge(word: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for piece in word:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged


def build_tokenizer(words: Sequence[str] = WORDS) -> CLIPTokenizer:
    """Byte-pair encoding learned on the caption words; any other text falls into pieces."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = learn_merges(words)
    pieces = [*alphabet, *(c + "</w>" for c in alphabet), *(a + b for a, b in merges), START, END]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    parts: dict[str, Any] = {"vocab": vocabulary, "merges": merges}
    return CLIPTokenizer(**parts, model_max_length=LENGTH)


def kept_tokenizer(folder: Path) -> CLIPTokenizer:
    """The tokenizer a run was started with; a new one if the folder is not there."""
    return CLIPTokenizer.from_pretrained(folder) if folder.exists() else build_tokenizer()


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
