"""Prompts: what a tokenizer cuts off or does not know, and that it is the text encoder's own."""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.families import TextReader
from diffusion_geodesics.models.locks import exclusive
from diffusion_geodesics.models.quiet import quiet

_PROBES = (*"abcdefghijklmnopqrstuvwxyz", "cat", "zebra", "a portrait of two old dogs")
"""Texts of which any tokenizer for English knows some tokens."""


@contextmanager
def reading(pipe: Any, readers: Sequence[TextReader], text: str) -> Iterator[None]:
    """Within, the pipeline encodes a prompt: alone, without gradients and without log lines.

    `ModelError` for a pipeline without the components that read prompts, and for a prompt of which
    no tokenizer knows a single token.
    """
    needed = [reader for reader in readers if reader.required]
    names = [name for reader in needed for name in (reader.encoder, reader.tokenizer)]
    missing = [name for name in names if getattr(pipe, name, None) is None]
    if missing:
        raise ModelError(
            f"got a prompt for a pipeline without {', '.join(missing)}; load it with them, or "
            "make a Condition from embeddings that were kept"
        )
    check_characters(text)
    with exclusive(pipe), quiet("diffusers", "transformers"), torch.inference_mode():
        present = [(getattr(pipe, r.encoder, None), t) for r, t, _ in _present(pipe, readers)]
        check_known([(t, encoder.config) for encoder, t in present if encoder is not None], text)
        yield


def text_notes(pipe: Any, readers: Sequence[TextReader], text: str) -> tuple[str, ...]:
    """What a pipeline's tokenizers cut off or do not know of a prompt, a sentence each."""
    if not text or not readers:
        return ()
    check_characters(text)
    with exclusive(pipe), quiet("diffusers", "transformers"):
        notes = []
        for reader, tokenizer, limit in _present(pipe, readers):
            convert = getattr(pipe, "maybe_convert_prompt", None)  # textual inversions
            written = convert(text, tokenizer) if convert else text
            notes += tokenizer_notes(tokenizer, written, limit, reader.tokenizer)
        return tuple(notes)


def tokenizer_notes(tokenizer: Any, text: str, limit: int, name: str) -> tuple[str, ...]:
    """What a tokenizer called ``name`` cuts off or does not know of a prompt, of which the text
    encoder is given ``limit`` tokens. The caller has silenced its log lines, here and below."""
    if not text.strip():
        return ()
    notes = []
    count = len(tokenizer(text, truncation=False).input_ids)
    if count > limit:
        notes.append(
            f"the prompt has {count} tokens, marks of its ends included, and {name} keeps {limit}: "
            f"the last {count - limit} are cut off"
        )
    unknown = _body(tokenizer, text).count(tokenizer.unk_token_id)
    if unknown:
        notes.append(f"{unknown} of the prompt's tokens are unknown to {name}")
    return tuple(notes)


def check_tokenizers(pipe: Any, readers: Sequence[TextReader]) -> None:
    """Check every tokenizer of a pipeline against its text encoder; see `check_tokenizer`."""
    if not readers:
        return
    with exclusive(pipe), quiet("diffusers", "transformers"):
        for reader, tokenizer, _ in _present(pipe, readers):
            encoder = getattr(pipe, reader.encoder, None)
            if encoder is not None:
                check_tokenizer(tokenizer, encoder.config, reader)


def check_tokenizer(tokenizer: Any, encoder: Any, reader: TextReader) -> None:
    """Check that a tokenizer is complete and belongs to the text encoder of a configuration.

    `ModelError` if its vocabulary is less than half of the encoder's, if it makes tokens that the
    encoder does not have, if it knows no token of English text, so that different prompts would be
    the same to it, or if it does not say how many tokens the encoder reads.
    """
    name = reader.tokenizer
    rows = getattr(encoder, "vocab_size", None)
    if rows and len(tokenizer) < rows / 2:
        raise ModelError(
            f"got a {name} of {len(tokenizer)} tokens for a {reader.encoder} of {rows}: files of "
            "the tokenizer are missing, or it belongs to another model; save or download it again"
        )
    known = {token for text in _PROBES for token in _body(tokenizer, text)}
    if rows and max(known, default=0) >= rows:
        raise ModelError(
            f"got a {name} of tokens up to {max(known)} for a {reader.encoder} of {rows}: it "
            "belongs to another model; save or download it again"
        )
    if len(known - {tokenizer.unk_token_id, *tokenizer.all_special_ids}) < 2:
        raise ModelError(
            f"got a {name} that gives different prompts the same tokens ({_PROBES[-2]!r} and "
            f"{_PROBES[-3]!r}, for example): its vocabulary is damaged; save or download it again"
        )
    positions = getattr(encoder, "max_position_embeddings", None)
    if not reader.capped and positions and tokenizer.model_max_length > positions:
        raise ModelError(
            f"got a {name} without a limit (model_max_length) for a {reader.encoder} that reads "
            f"{positions} tokens: tokenizer_config.json is missing or belongs to another model"
        )


def check_known(pairs: Sequence[tuple[Any, Any]], text: str) -> None:
    """Check that a prompt's tokens are the text encoders' and that some are known, by pairs of
    tokenizers and the configurations of their text encoders.

    `ModelError` if a token is beyond an encoder's vocabulary, or if no tokenizer knows a single
    one.
    """
    if not text.strip() or not pairs:
        return
    for tokenizer, encoder in pairs:
        rows = getattr(encoder, "vocab_size", None)
        if rows and max(_body(tokenizer, text), default=0) >= rows:
            raise ModelError(
                f"the tokenizer makes tokens of the prompt {text!r} beyond the {rows} that the "
                "text encoder has: it belongs to another model; save or download it again"
            )
    if not any(_known_text(tokenizer, text) for tokenizer, _ in pairs):
        raise ModelError(
            f"the tokenizer knows no token of the prompt {text!r}, so that it is the same to it as "
            "others; write it in the words and letters that the model was trained with"
        )


def check_characters(text: str) -> None:
    """`ModelError` unless a prompt is Unicode text, which command lines in other encodings
    are not."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ModelError(
            f"got the prompt {text!a}, which is not Unicode text; write it in UTF-8"
        ) from error


def _known_text(tokenizer: Any, text: str) -> str:
    """What a tokenizer knows of a text, without what it does not."""
    known = [token for token in _body(tokenizer, text) if token != tokenizer.unk_token_id]
    return tokenizer.decode(known, skip_special_tokens=True).strip()


def _present(pipe: Any, readers: Sequence[TextReader]) -> Iterator[tuple[TextReader, Any, int]]:
    """The readers that a pipeline has, with their tokenizers and how many tokens they keep."""
    for reader in readers:
        tokenizer = getattr(pipe, reader.tokenizer, None)
        if tokenizer is None:
            continue
        limit = int(tokenizer.model_max_length)
        if reader.capped:
            signature = inspect.signature(pipe.encode_prompt)
            limit = int(signature.parameters["max_sequence_length"].default)
        yield reader, tokenizer, limit


def _body(tokenizer: Any, text: str) -> list[int]:
    """A text's tokens, without those that mark its beginning and end."""
    return tokenizer(text, truncation=False, add_special_tokens=False).input_ids
