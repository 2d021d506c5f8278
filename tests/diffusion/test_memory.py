"""Little memory: batches cut short and weights kept elsewhere change nothing but the time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from diffusion_geodesics.diffusion import ChunkedBatches, OutOfMemoryError
from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.interpolation.result import InterpolationResult
from diffusion_geodesics.interpolation.settings import InterpolationSettings, PathName
from diffusion_geodesics.models import DiffusionModel, from_pipeline
from tests.diffusion.networks import NOTHING, FunctionNetwork
from tests.tiny_pipelines import tiny_pipeline

QUICK = InterpolationSettings.of(
    path=PathName.GEODESIC,
    steps=4,
    level=0.5,
    frames=4,
    intervals=(4,),
    max_steps=1,
    film_only=True,
    allow_atypical=True,
    size=(32, 48),
)


def points(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError, RuntimeError])
def test_pieces_are_halved_when_memory_runs_out(error: type[Exception]) -> None:
    def hungry(x: Tensor) -> Tensor:
        if len(x) > 3:
            raise error("MPS backend out of memory")
        return 2 * x

    network, x = FunctionNetwork(hungry), points(16, 4)
    assert torch.equal(network.denoiser().epsilon(x, 10, NOTHING), 2 * x)
    assert network.seen == [16, 8, 4, 2, 2, 2, 2, 2, 2, 2, 2]


def test_a_single_row_that_does_not_fit_is_an_error_that_says_so() -> None:
    def starving(x: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(OutOfMemoryError, match="smaller image size"):
        FunctionNetwork(starving).denoiser().epsilon(points(5, 4), 10, NOTHING)


def test_other_errors_of_a_network_pass_through() -> None:
    def broken(x: Tensor) -> Tensor:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        FunctionNetwork(broken).denoiser().epsilon(points(5, 4), 10, NOTHING)


def test_pieces_fit_into_the_memory_that_is_free() -> None:
    assert ChunkedBatches(1 << 60, torch.device("cpu")).rows == 1
    assert ChunkedBatches(1, torch.device("cpu"), 64).rows == 64


@pytest.fixture(scope="module")
def images() -> list[Tensor]:
    """As high as the model's own images, and wider."""
    noise = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    smooth = torch.nn.functional.interpolate(noise, size=(32, 48), mode="bicubic").clamp(0, 1)
    return list(smooth)


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tiny_pipeline(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def model(pipe: Any) -> DiffusionModel:
    return from_pipeline(pipe)


@pytest.fixture(scope="module")
def plain(model: DiffusionModel, images: list[Tensor]) -> InterpolationResult:
    return interpolate(model, images, QUICK)


def test_a_job_in_little_memory_gives_the_same_frames_at_the_same_cost(
    pipe: Any, model: DiffusionModel, images: list[Tensor], plain: InterpolationResult
) -> None:
    seen: list[int] = []

    def hungry(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        rows = (given[0] if given else named["sample"]).shape[0]
        seen.append(rows)
        if rows > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")

    hook = pipe.unet.register_forward_pre_hook(hungry, with_kwargs=True)
    tight = interpolate(model, images, QUICK)
    hook.remove()
    assert max(seen) > 3
    assert plain.strip.frames.shape == (4, 3, 32, 48)
    torch.testing.assert_close(tight.strip.frames, plain.strip.frames, rtol=0, atol=1e-4)
    counted, again = plain.costs.total, tight.costs.total
    assert (again.nfe, again.batches) == (counted.nfe, counted.batches), "retries do not count"


def test_weights_kept_elsewhere_are_brought_when_they_are_needed(
    tmp_path: Path, images: list[Tensor], plain: InterpolationResult
) -> None:
    from accelerate import cpu_offload

    pipe = tiny_pipeline(tmp_path)
    for part in (pipe.unet, pipe.vae, pipe.text_encoder):
        cpu_offload(part, torch.device("cpu"))
    assert next(pipe.unet.parameters()).is_meta
    done = interpolate(from_pipeline(pipe), images, QUICK)
    torch.testing.assert_close(done.strip.frames, plain.strip.frames, rtol=0, atol=1e-5)
    assert done.model.hash == plain.model.hash, "of the same weights"
