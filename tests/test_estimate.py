"""Predicted cost against the cost of real runs, and the settings that change it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

import diffusion_geodesics as dg
from diffusion_geodesics.apps.estimate import ADAPTIVE, estimate
from diffusion_geodesics.apps.interpolate import solver_of
from diffusion_geodesics.apps.settings import (
    Blend,
    Estimate,
    Family,
    Method,
    PathSolver,
    Settings,
)
from diffusion_geodesics.apps.telling import result_of
from diffusion_geodesics.bvp import PublishedDescent
from diffusion_geodesics.diffusion import TextInversion
from diffusion_geodesics.models import StableDiffusionModel
from tests.tiny_pipelines import tiny_pipeline

QUICK = Settings(steps=4, level=0.5, frames=3, max_steps=4, prompt_a="ab", allow_atypical=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusionModel:
    return StableDiffusionModel.from_pipeline(tiny_pipeline(tmp_path_factory.mktemp("tokenizer")))


@pytest.fixture(scope="module")
def images() -> tuple[Tensor, Tensor]:
    noise = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    smooth = torch.nn.functional.interpolate(noise, size=(40, 64), mode="bicubic").clamp(0, 1)
    return smooth[0], smooth[1]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"guidance": 2.0, "sampler": Method.HEUN, "family": Family.HLERP},
        {"estimate": Estimate.RATIO, "sampler": Method.LMS, "compare": False},
        {"estimate": Estimate.PUBLISHED, "window_nodes": 2, "flat": True},
        {"estimate": Estimate.NFSD, "window_nodes": 1, "blend": Blend.SLERP, "prompt_b": "cd"},
        {"text_inversion": TextInversion(4, check_every=2), "family": Family.SLERP},
    ],
    ids=lambda c: ",".join(c) or "default",
)
def test_a_run_costs_what_was_foretold(
    model: StableDiffusionModel, images: tuple[Tensor, Tensor], changes: dict[str, Any]
) -> None:
    settings = replace(QUICK, **changes)
    done = dg.interpolate(model, *images, settings)
    size = (int(done.inputs.shape[2]), int(done.inputs.shape[3]))
    assert size[0] < size[1], "not square"
    foretold = estimate(model, size, settings)
    assert [n for n, _ in foretold.ledger.stages] == [n for n, _ in done.ledger.stages]
    for name, cost in done.ledger.stages:
        known = foretold.ledger[name]
        if name in ADAPTIVE:
            assert 0 < cost.rows <= known.rows
            assert cost.calls <= known.calls
        else:
            assert (cost.rows, cost.calls) == (known.rows, known.calls), name
        if name not in ADAPTIVE and name != "encode":
            assert cost.tflop == pytest.approx(known.tflop, rel=0.1)
    assert done.ledger.total.tflop > 0


def test_no_run_with_default_settings_exceeds_900_rows(model: StableDiffusionModel) -> None:
    assert estimate(model, 32, Settings()).ledger.total.rows <= 900


def test_memory_and_operations(model: StableDiffusionModel) -> None:
    small, large = (estimate(model, edge, QUICK) for edge in (32, 64))
    assert small.row_seconds is None
    assert small.ledger.total.seconds == 0
    assert 3.5 * small.row_flops < large.row_flops < 8 * small.row_flops
    parts = (model.pipeline.unet, model.pipeline.vae)
    weights = sum(p.numel() * p.element_size() for m in parts for p in m.parameters())
    assert small.weights == pytest.approx(weights, rel=0.01)
    assert large.batch_bytes > small.batch_bytes
    timed = estimate(model, 32, QUICK, timed=True)
    assert timed.row_seconds is not None
    assert timed.ledger.total.seconds > timed.row_seconds
    with pytest.raises(ValueError, match="multiples"):
        estimate(model, 33, QUICK)


def test_published_settings_run_by_the_same_code(
    model: StableDiffusionModel, images: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.published(prompt_a="ab", frames=3, steps=5, compare=False)
    assert settings.solver is PathSolver.PUBLISHED
    assert estimate(model, 32, settings).ledger["solve"].rows == 2 * (2626 + 2 + 65 + 2 + 38)
    full = solver_of(replace(settings, solver=PathSolver.PUBLISHED_FULL))
    assert (solver_of(settings), full) == (PublishedDescent(), PublishedDescent(gives_up=False))
    quick = PublishedDescent(levels_of=2, steps=2)
    module = sys.modules["diffusion_geodesics.apps.interpolate"]
    monkeypatch.setattr(module, "PublishedDescent", lambda: quick)
    first, again = (dg.interpolate(model, *images, settings) for _ in range(2))
    assert first.solution is not None
    assert torch.equal(first.frames, again.frames), "the noise is seeded"
    told = result_of(first)
    assert "published-random" in str(told["settings"])
    assert any("p(x | negative)" in note and "random" in note for note in first.warnings)
    assert bool(first.solution.given_up) == any("gave levels up" in note for note in first.warnings)
    assert len(cast(list[Any], told["given_up"])) == len(first.solution.given_up)


def test_optimised_embeddings_are_kept_by_content(
    model: StableDiffusionModel, images: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    settings = replace(
        QUICK,
        family=Family.SLERP,
        text_inversion=TextInversion(3, check_every=0),
        cache=str(tmp_path / "kept"),
    )
    first = dg.interpolate(model, *images, settings)
    assert first.ledger["text"].rows == 6
    assert len(list((tmp_path / "kept").iterdir())) == 2
    again = dg.interpolate(model, *images, settings)
    assert again.ledger["text"].rows == 0
    torch.testing.assert_close(again.frames, first.frames)
    other = dg.interpolate(model, *images, replace(settings, prompt_a="cd"))
    assert other.ledger["text"].rows == 6


def test_bad_settings() -> None:
    with pytest.raises(ValueError, match="give a prompt"):
        Settings(estimate=Estimate.PUBLISHED)
    with pytest.raises(ValueError, match="published solver"):
        Settings(estimate=Estimate.PUBLISHED_RANDOM, negative="x")
    with pytest.raises(ValueError, match="window"):
        Settings(window=1.0)
    with pytest.raises(ValueError, match="window_nodes"):
        Settings(window_nodes=0)
