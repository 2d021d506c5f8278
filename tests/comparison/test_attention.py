"""Attention interpolation as a method: its ends are those of slerp, and both ends are paid for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.comparison.at_level import AtLevel
from diffusion_geodesics.comparison.attention import AttentionInterpolation
from diffusion_geodesics.comparison.compare import compare, context_of
from diffusion_geodesics.comparison.method import Context, Method
from diffusion_geodesics.comparison.pairs import Pair
from diffusion_geodesics.comparison.rendered import Rendered
from diffusion_geodesics.comparison.settings import ComparisonSettings
from diffusion_geodesics.diffusion import memory
from diffusion_geodesics.images import load_image
from diffusion_geodesics.models import DiffusionModel, from_pipeline, load_model
from tests.comparison.scenes import MODEL, QUICK, pair
from tests.gaussian_model import picture
from tests.tiny_pipelines import tiny_pipeline

SETTINGS = ComparisonSettings.of(steps=4, level=0.5, refinements=0, frames=3, prompt=("ab", "cd"))
EITHER = pytest.mark.parametrize("inner", [False, True])


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = tiny_pipeline(tmp_path_factory.mktemp("tokenizer"))
    made.unet.to(torch.float64)
    return made


@pytest.fixture(scope="module")
def model(pipe: Any) -> DiffusionModel:
    return from_pipeline(pipe)


@pytest.fixture(scope="module")
def here(model: DiffusionModel) -> Context:
    return context_of(model, Pair("p", picture(1, 32, 32), picture(2, 32, 32)), SETTINGS)


def rendered(method: Method, here: Context) -> Rendered:
    found = method.path(here, "pair")
    assert isinstance(found, Rendered)
    return found


@EITHER
def test_the_frames_begin_and_end_at_the_images(here: Context, inner: bool) -> None:
    t = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    before = here.run.costs["decode"]
    frames = rendered(AttentionInterpolation(inner), here).render(t)
    cost = here.run.costs["decode"] - before
    before = here.run.costs["decode"]
    plain = rendered(AtLevel(), here).render(t)
    usual = here.run.costs["decode"] - before
    assert_close(frames[[0, 2]], plain[[0, 2]], rtol=0, atol=1e-5)
    assert float((frames[1] - plain[1]).abs().max()) > 1e-4
    assert usual.nfe == 3 * 2
    assert cost.nfe == 5 * 2, "both ends run beside the frames"
    assert cost.batches == usual.batches


def test_frames_do_not_depend_on_those_beside_them(here: Context) -> None:
    t = torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64)
    found = rendered(AttentionInterpolation(), here)
    together = found.render(t)
    alone = torch.cat([found.render(u[None]) for u in t])
    assert_close(together, alone, rtol=0, atol=1e-5)


def test_its_path_is_that_of_slerp(here: Context) -> None:
    t = torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64)
    found = AttentionInterpolation().path(here, "pair").latent_path
    slerp = AtLevel().path(here, "pair").latent_path
    assert found is not None
    assert slerp is not None
    assert torch.equal(found.latent(t), slerp.latent(t))


def test_the_networks_own_attention_is_put_back(pipe: Any, here: Context) -> None:
    before = dict(pipe.unet.attn_processors)
    rendered(AttentionInterpolation(), here).render(torch.linspace(0, 1, 3))
    assert pipe.unet.attn_processors == before


def test_a_batch_cut_by_memory_is_refused(
    pipe: Any, here: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dict(pipe.unet.attn_processors)
    row = here.noised.encoded.denoiser.network.batches.bytes_per_row
    monkeypatch.setattr(memory, "free_bytes", lambda device: 5 * row)
    with pytest.raises(ValueError, match=r"got 3 of 7 rows.*fewer frames"):
        rendered(AttentionInterpolation(), here).render(torch.linspace(0, 1, 5))
    assert pipe.unet.attn_processors == before


def test_other_networks_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="attention interpolation cannot be had from this model"):
        compare(MODEL, [pair()], [AttentionInterpolation()], QUICK)


def test_names_say_what_is_interpolated() -> None:
    assert AttentionInterpolation().name == "attention interpolation"
    assert AttentionInterpolation(inner=True).name == "attention interpolation inner"
    assert not AttentionInterpolation().prompted


@pytest.mark.whole
def test_the_embedded_model_compares_with_it() -> None:
    examples = Path(__file__).parents[2] / "examples"
    first, last = (load_image(examples / f"portrait_{k}.png") for k in "ab")
    done = compare(
        load_model("embedded", device="cpu"),
        [Pair("heads", first, last)],
        [AttentionInterpolation()],
        steps=4, level=0.5, frames=3,
    )  # fmt: skip
    outcome = done.pairs[0].outcomes["attention interpolation"]
    assert not outcome.failed
    assert not outcome.note
    error = (outcome.frames[[0, -1]] - done.pairs[0].ends).abs().mean()
    step = (outcome.frames[1] - outcome.frames[[0, -1]]).abs().mean()
    assert float(error) < 0.05 < float(step)
