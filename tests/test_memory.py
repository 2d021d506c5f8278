"""Little memory: batches cut short and weights kept elsewhere change nothing but the time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import diffusion_geodesics as dg
from diffusion_geodesics.apps import Interpolation, Settings
from diffusion_geodesics.models import StableDiffusionModel
from tests.tiny_pipelines import tiny_pipeline

QUICK = Settings(
    steps=5, level=0.4, frames=4, max_steps=2, compare=False, allow_atypical=True, carried=False
)


@pytest.fixture(scope="module")
def images() -> tuple[Tensor, Tensor]:
    """Twice and three times the model's own edge."""
    noise = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    smooth = torch.nn.functional.interpolate(noise, size=(64, 96), mode="bicubic").clamp(0, 1)
    return smooth[0], smooth[1]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusionModel:
    return StableDiffusionModel.from_pipeline(tiny_pipeline(tmp_path_factory.mktemp("tokenizer")))


@pytest.fixture(scope="module")
def plain(model: StableDiffusionModel, images: tuple[Tensor, Tensor]) -> Interpolation:
    return dg.interpolate(model, *images, QUICK, size=(64, 96))


def test_batches_are_halved_until_they_fit(
    model: StableDiffusionModel, images: tuple[Tensor, Tensor], plain: Interpolation
) -> None:
    seen: list[int] = []

    def hungry(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        rows = (given[0] if given else named["sample"]).shape[0]
        seen.append(rows)
        if rows > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")

    hook = model.pipeline.unet.register_forward_pre_hook(hungry, with_kwargs=True)
    tight = dg.interpolate(model, *images, QUICK, size=(64, 96))
    hook.remove()
    assert max(seen) > 3
    assert plain.frames.shape == (4, 3, 64, 96)
    torch.testing.assert_close(tight.frames, plain.frames, rtol=0, atol=1e-4)
    assert tight.ledger.total.rows == plain.ledger.total.rows, "a piece tried again is one row"


def test_weights_kept_elsewhere_are_brought_when_they_are_needed(
    tmp_path: Path, images: tuple[Tensor, Tensor], plain: Interpolation
) -> None:
    from accelerate import cpu_offload

    pipe = tiny_pipeline(tmp_path)
    for part in (pipe.unet, pipe.vae, pipe.text_encoder):
        cpu_offload(part, torch.device("cpu"))
    assert next(pipe.unet.parameters()).is_meta
    offloaded = StableDiffusionModel.from_pipeline(pipe)
    done = dg.interpolate(offloaded, *images, QUICK, size=(64, 96))
    torch.testing.assert_close(done.frames, plain.frames, rtol=0, atol=1e-5)
    assert done.model_hash == plain.model_hash, "of the same weights"
