"""Prompt embeddings optimised for each image, and kept on disk by what they were made from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from diffusion_geodesics.latents.encode import Encoded, encode
from diffusion_geodesics.latents.pictures import load_pictures
from diffusion_geodesics.latents.settings import Framing, Prompts
from diffusion_geodesics.latents.text_embeddings import optimise_embeddings
from diffusion_geodesics.runtime.run import Run
from tests.gaussian_model import gaussian_data, gaussian_model, picture

MODEL, DATA = gaussian_model(), gaussian_data()


def encoded(run: Run, count: int = 2, **prompts: object) -> Encoded:
    pictures = load_pictures(MODEL, [picture(k) for k in range(count)], Framing())
    return encode(run, MODEL, pictures, Prompts.model_validate(prompts))


def embeddings(found: Encoded) -> torch.Tensor:
    return torch.cat([c.parts[0] for c in found.conditions])


def test_nothing_changes_where_it_is_not_asked_for() -> None:
    run = Run()
    before = encoded(run)
    assert optimise_embeddings(run, before, "hash") is before
    assert run.costs["text"].nfe == 0


def test_each_image_gets_the_embedding_that_explains_it_better() -> None:
    """The best shift of the mean is the image less the mean; ten steps of 0.005 go towards it."""
    run = Run()
    before = encoded(run, invert_text=10, text_check_every=0)
    found = optimise_embeddings(run, before, "hash")
    best = before.clean - DATA.mean
    moved = embeddings(found).double()
    assert float((moved.sign() == best.sign()).double().mean()) > 0.8
    assert float(moved.abs().max()) < 0.06
    assert run.costs["text"].nfe == 10 * 2
    assert torch.equal(found.clean, before.clean)


def test_what_was_found_is_kept_by_image_model_and_method(tmp_path: Path) -> None:
    cache = tmp_path / "kept"
    settings = {"invert_text": 3, "text_check_every": 0, "cache": cache}
    run = Run()
    first = optimise_embeddings(run, encoded(run, **settings), "hash")
    kept = {f: f.read_bytes() for f in cache.rglob("*") if f.is_file()}
    assert kept
    again = Run()
    second = optimise_embeddings(again, encoded(again, **settings), "hash")
    assert torch.equal(embeddings(second), embeddings(first))
    assert again.costs["text"].nfe == 0
    third = Run()
    optimise_embeddings(third, encoded(third, 3, **settings), "hash")
    assert third.costs["text"].nfe == 3, "only the new image"
    other = Run()
    optimise_embeddings(other, encoded(other, **settings), "another model")
    assert other.costs["text"].nfe == 3 * 2
    longer = Run()
    optimise_embeddings(longer, encoded(longer, **(settings | {"invert_text": 4})), "hash")
    assert longer.costs["text"].nfe == 4 * 2
    assert all(f.read_bytes() == content for f, content in kept.items()), "nothing is rewritten"


def test_a_prompt_is_part_of_the_key(tmp_path: Path) -> None:
    run = Run()
    settings = {"invert_text": 2, "text_check_every": 0, "cache": tmp_path}
    before = encoded(run, **settings)
    optimise_embeddings(run, before, "hash")
    prompted = replace(before, conditions=(MODEL.encode_prompt("abc"),) * 2)
    optimise_embeddings(run, prompted, "hash")
    assert run.costs["text"].nfe == 2 * 2 * 2
    optimise_embeddings(run, prompted, "hash")
    optimise_embeddings(run, before, "hash")
    assert run.costs["text"].nfe == 2 * 2 * 2, "both are kept"


@pytest.mark.parametrize("stage", ["text"])
def test_progress_is_reported_step_by_step(stage: str) -> None:
    seen: list[tuple[int, int]] = []
    run = Run(lambda e: seen.append((e.done, e.total)) if e.stage == stage else None)
    optimise_embeddings(run, encoded(run, invert_text=2, text_check_every=0), "hash")
    assert seen == [(0, 2), (1, 2), (2, 2)]
