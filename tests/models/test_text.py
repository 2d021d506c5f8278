"""Prompts: cut tokens are counted as the text encoder's input shows, unknown ones are said."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from diffusion_geodesics.models import DiffusionModel, ModelError, from_pipeline
from tests.tiny.flux import tiny_flux
from tests.tiny.pixart import tiny_pixart
from tests.tiny.sd3 import tiny_sd3
from tests.tiny.sdxl import tiny_sdxl
from tests.tiny_pipelines import TOKENS, tiny_pipeline

LETTERS = "abcdefghijklmnopqrstuvwxyz"
TEXT_FAMILIES: dict[str, Callable[[Path], Any]] = {
    "sd": tiny_pipeline,
    "sdxl": tiny_sdxl,
    "sd3": tiny_sd3,
    "flux": tiny_flux,
    "pixart": lambda _: tiny_pixart(),
}


@pytest.fixture(scope="module", params=TEXT_FAMILIES)
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> DiffusionModel:
    pipe = TEXT_FAMILIES[request.param](tmp_path_factory.mktemp(request.param))
    return from_pipeline(pipe)


def spaced(count: int) -> str:
    """A prompt of as many tokens, for tokenizers that spell; with marks two more for CLIP."""
    return " ".join(LETTERS[k % 26] for k in range(count))


def fed(model: Any, text: str) -> dict[str, int]:
    """How many tokens each text encoder was fed that are no padding, by its tokenizer's name."""
    counts: dict[str, int] = {}
    handles = []
    for reader in model.family.readers:
        tokenizer = getattr(model.pipeline, reader.tokenizer)

        def count(_module: Any, args: Any, kwargs: Any, name: str = reader.tokenizer) -> None:
            ids = args[0] if args else kwargs["input_ids"]
            end = getattr(model.pipeline, name).eos_token_id
            counts[name] = int((ids[0] == end).nonzero()[0]) + 1

        assert tokenizer is not None
        encoder = getattr(model.pipeline, reader.encoder)
        handles.append(encoder.register_forward_pre_hook(count, with_kwargs=True))
    model.encode_prompt(text)
    for handle in handles:
        handle.remove()
    return counts


@pytest.mark.parametrize("length", [1, TOKENS - 2, TOKENS - 1, 40, 700])
def test_the_cut_tokens_are_those_that_no_encoder_is_fed(
    model: DiffusionModel, length: int
) -> None:
    notes = model.prompt_notes(spaced(length))
    cut = {}
    for name, kept in fed(model, spaced(length)).items():
        tokenizer = getattr(model.pipeline, name)  # type: ignore[attr-defined]
        lost = len(tokenizer(spaced(length)).input_ids) - kept
        if lost:
            cut[name] = (kept, lost)
    assert len(notes) == len(cut)
    for (name, (kept, lost)), note in zip(cut.items(), notes, strict=True):
        assert f"and {name} keeps {kept}: the last {lost} are cut off" in note
    if length == 1:
        assert notes == ()
    if length == 700:
        assert len(notes) == len(model.family.readers)  # type: ignore[attr-defined]


def test_one_letter_too_many_is_one_cut_token(tmp_path: Path) -> None:
    model = from_pipeline(tiny_pipeline(tmp_path))
    assert model.prompt_notes(spaced(TOKENS - 2)) == ()
    (note,) = model.prompt_notes(spaced(TOKENS - 1))
    assert note == (
        f"the prompt has {TOKENS + 1} tokens, marks of its ends included, and tokenizer keeps "
        f"{TOKENS}: the last 1 are cut off"
    )
    same, other = (model.encode_prompt(spaced(TOKENS - 2) + end).parts[0] for end in (" x", " y"))
    assert torch.equal(same, other), "the letter is really not read"


def test_the_libraries_log_nothing(
    model: DiffusionModel, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    model.prompt_notes(spaced(700))
    model.encode_prompt(spaced(700))
    said = capfd.readouterr()
    assert said.out + said.err == ""


def test_their_levels_are_put_back(model: DiffusionModel) -> None:
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    levels = [log.get_verbosity() for log in (diffusers_logging, transformers_logging)]
    model.encode_prompt("abc")
    with pytest.raises(ModelError):
        model.encode_prompt("\u4e00")
    assert levels == [log.get_verbosity() for log in (diffusers_logging, transformers_logging)]


def test_prompts_that_no_tokenizer_knows_are_refused(model: DiffusionModel) -> None:
    for text in ("\u4e00\u4e8c", "\U0001f600"):
        with pytest.raises(ModelError, match="knows no token of the prompt") as caught:
            model.encode_prompt(text)
        assert repr(text) in str(caught.value)


def test_prompts_that_are_no_text_are_refused(model: DiffusionModel) -> None:
    for ask in (model.encode_prompt, model.prompt_notes):
        with pytest.raises(ModelError, match=r"'caf\\udce9', which is not Unicode text"):
            ask("caf\udce9")


def test_tokens_beyond_the_encoders_are_refused(tmp_path: Path) -> None:
    pipe: Any = tiny_pipeline(tmp_path)
    pipe.tokenizer.add_tokens(["qqq"])
    model = from_pipeline(pipe)
    assert model.encode_prompt("a q").rows == 1
    with pytest.raises(ModelError, match="'a qqq' beyond the 54 that the text encoder has"):
        model.encode_prompt("a qqq")
    pipe.text_encoder.config.vocab_size = 20
    with pytest.raises(ModelError, match="of tokens up to 51 for a text_encoder of 20"):
        from_pipeline(pipe)


def test_unknown_tokens_are_counted(model: DiffusionModel) -> None:
    notes = model.prompt_notes("ab \u4e00 c")
    assert len(notes) == len(model.family.readers)  # type: ignore[attr-defined]
    assert all("of the prompt's tokens are unknown to tokenizer" in note for note in notes)
    assert model.encode_prompt("ab \u4e00 c").rows == 1


def test_blank_prompts_say_nothing(model: DiffusionModel) -> None:
    assert model.prompt_notes("") == model.prompt_notes("  ") == ()
    assert model.encode_prompt("  ").rows == 1


def test_textual_inversions_count_all_their_vectors(tmp_path: Path) -> None:
    pipe = tiny_pipeline(tmp_path)
    vectors: Any = torch.randn(9, 16, generator=torch.Generator().manual_seed(0))
    pipe.load_textual_inversion(vectors, token="qqq")
    model = from_pipeline(pipe)
    assert model.prompt_notes("a qqq") == ()
    (note,) = model.prompt_notes("a qqq qqq")
    assert "the prompt has 21 tokens" in note
