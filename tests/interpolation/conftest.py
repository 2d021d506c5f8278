"""A tiny random model and two smooth images that are not square."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from diffusion_geodesics.models import StableDiffusionModel
from tests.tiny_pipelines import tiny_pipeline


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusionModel:
    return StableDiffusionModel.from_pipeline(tiny_pipeline(tmp_path_factory.mktemp("tokenizer")))


@pytest.fixture(scope="session")
def images() -> tuple[Tensor, Tensor, Tensor]:
    """Three images of 64x40, whose working size is not square."""
    noise = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    smooth = torch.nn.functional.interpolate(noise, size=(40, 64), mode="bicubic").clamp(0, 1)
    return smooth[0], smooth[1], smooth[2]
