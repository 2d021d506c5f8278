"""Predicted cost against the cost of real runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.bvp import PublishedDescent
from diffusion_geodesics.interpolation.estimate import ADAPTIVE, estimate
from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.latents.choices import solver_of
from diffusion_geodesics.latents.settings import SolverName
from diffusion_geodesics.models import DiffusionModel, StableDiffusionModel, load_model

QUICK = InterpolationSettings.of(steps=4, level=0.5, frames=5, prompt="ab")
SOLVED = {"max_steps": 4, "allow_atypical": True}
Images = tuple[Tensor, Tensor, Tensor]


@pytest.mark.whole
@pytest.mark.parametrize(
    ("keyframes", "changes"),
    [
        (2, SOLVED),
        (3, SOLVED),
        (2, {"strength": 0.0}),
        (2, {"strength": 0.0, "film_only": True}),
        (3, {"guidance": 2.0, "sampler": "heun", "path": "hlerp"}),
        (2, {"score": "ratio", "sampler": "lms", "film_only": True, **SOLVED}),
        (2, {"score": "published", "window_nodes": 2, "flat": True, **SOLVED}),
        (2, {"score": "nfsd", "window_nodes": 1, **SOLVED}),
        (3, {"invert_text": 4, "text_check_every": 2, "path": "slerp"}),
    ],
    ids=lambda c: ",".join(c) if isinstance(c, dict) else str(c),
)
def test_a_run_costs_what_was_predicted(
    model: DiffusionModel, images: Images, keyframes: int, changes: dict[str, Any]
) -> None:
    settings = QUICK.updated(**changes)
    done = interpolate(model, images[:keyframes], settings)
    height, width = done.pictures.size
    assert height != width
    sized = settings.updated(size=(height, width))
    predicted = estimate(model, sized, keyframes=keyframes).costs
    assert [n for n, _ in predicted.stages] == [n for n, _ in done.costs.stages]
    for name, cost in done.costs.stages:
        known = predicted[name]
        if name in ADAPTIVE:
            assert 0 < cost.nfe <= known.nfe
            assert cost.batches <= known.batches
        else:
            assert (cost.nfe, cost.batches) == (known.nfe, known.batches), name
        if name not in ADAPTIVE and name != "encode":
            assert cost.tflop == pytest.approx(known.tflop, rel=0.1)
    assert done.costs.total.tflop > 0


def test_no_run_with_default_settings_exceeds_what_is_documented(model: DiffusionModel) -> None:
    whole = estimate(model, InterpolationSettings.of(size=32)).costs
    assert whole.total.nfe == 656
    assert whole["geodesic"].nfe == 193 <= 200
    alone = estimate(model, InterpolationSettings.of(size=32, film_only=True)).costs
    beside = sum(whole[stage].nfe for stage in ("geodesic", "measure", "compare"))
    assert alone.total.nfe == whole.total.nfe - beside


def test_a_draft_takes_at_most_90_evaluations() -> None:
    embedded = load_model("embedded")
    assert estimate(embedded, InterpolationSettings.preset("draft")).costs.total.nfe <= 90


def test_memory_and_operations(model: StableDiffusionModel) -> None:
    small, large = (estimate(model, QUICK.updated(size=edge)) for edge in (32, 64))
    assert small.seconds_each is None
    assert small.costs.total.seconds == 0
    each, larger = small.operations.evaluation, large.operations.evaluation
    assert 3.5 * each < larger < 8 * each
    parts = (model.pipeline.unet, model.pipeline.vae)
    weights = sum(p.numel() * p.element_size() for m in parts for p in m.parameters())
    assert small.weights == pytest.approx(weights, rel=0.01)
    assert large.batch_bytes > small.batch_bytes
    timed = estimate(model, QUICK.updated(size=32), timed=True)
    assert timed.seconds_each is not None
    assert timed.costs.total.seconds > timed.seconds_each
    with pytest.raises(ValueError, match="multiples"):
        estimate(model, QUICK.updated(size=33))
    with pytest.raises(ValueError, match="at least 2"):
        estimate(model, QUICK, keyframes=1)


def test_the_published_solver(model: DiffusionModel) -> None:
    settings = InterpolationSettings.preset(
        "published", prompt="ab", frames=3, steps=5, film_only=True, size=32
    )
    assert settings.solve.solver is SolverName.PUBLISHED
    assert estimate(model, settings).costs["solve"].nfe == 2 * (5966 + 2 + 65 + 2 + 38)
    full = solver_of(settings.updated(solver=SolverName.PUBLISHED_FULL).solve)
    assert solver_of(settings.solve) == PublishedDescent()
    assert full == PublishedDescent(gives_up=False)


@pytest.mark.whole
def test_optimised_embeddings_are_kept_by_content(
    model: DiffusionModel, images: Images, tmp_path: Path
) -> None:
    settings = QUICK.updated(
        path="slerp", invert_text=3, text_check_every=0, cache=str(tmp_path / "kept")
    )
    first = interpolate(model, images[:2], settings)
    assert first.costs["text"].nfe == 6
    again = interpolate(model, images[:2], settings)
    assert again.costs["text"].nfe == 0
    assert_close(again.frames, first.frames)
    other = interpolate(model, images[:2], settings.updated(prompt="cd"))
    assert other.costs["text"].nfe == 6
    third = interpolate(model, images[1:], settings)
    assert third.costs["text"].nfe == 3, "the image in common is known"
    assert torch.isfinite(third.frames).all()
