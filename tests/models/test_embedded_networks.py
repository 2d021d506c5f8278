"""The embedded model's networks in plain torch are diffusers', to the bit."""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor

from diffusion_geodesics.models import EmbeddedModel
from diffusion_geodesics.models.folders import EMBEDDED
from diffusion_geodesics.models.schedulers import read_scheduler

PRECISIONS = pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])


def embedded(dtype: torch.dtype) -> EmbeddedModel:
    return EmbeddedModel.load(torch.device("cpu"), dtype)


def theirs(kind: Any, part: str, dtype: torch.dtype) -> Any:
    """diffusers' network, with weights in the order that the embedded model has on a CPU."""
    network = kind.from_pretrained(EMBEDDED / part, torch_dtype=dtype).eval()
    return network.to(memory_format=torch.channels_last)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@PRECISIONS
@torch.no_grad()
def test_the_unet_gives_the_same(dtype: torch.dtype) -> None:
    mine, other = embedded(dtype).unet, theirs(UNet2DConditionModel, "unet", dtype)
    text = noise(3, 32, 64, seed=1).to(dtype)
    for height, width in ((16, 16), (12, 20)):
        x = noise(3, 8, height, width).to(dtype)
        for timestep in (1, 300.5, 999):
            expected = other(x, timestep, text, return_dict=False)[0]
            assert torch.equal(mine(x, timestep, text)[0], expected)


@torch.no_grad()
def test_so_do_its_up_blocks_and_its_other_memory_format() -> None:
    mine: Any = embedded(torch.float32).unet
    other = theirs(UNet2DConditionModel, "unet", torch.float32)
    outputs: dict[bool, list[Tensor]] = {True: [], False: []}
    for own, network in ((True, mine), (False, other)):
        network.to(memory_format=torch.contiguous_format)
        for block in network.up_blocks:
            block.register_forward_hook(lambda *a, own=own: outputs[own].append(a[-1].clone()))
        network(noise(2, 8, 16, 16), 500.0, encoder_hidden_states=noise(2, 32, 64, seed=1))
    assert len(outputs[True]) == 3
    assert all(map(torch.equal, outputs[True], outputs[False]))


@PRECISIONS
@torch.no_grad()
def test_the_autoencoder_gives_the_same(dtype: torch.dtype) -> None:
    mine, other = embedded(dtype).autoencoder, theirs(AutoencoderKL, "vae", dtype)
    x, z = noise(2, 3, 96, 160).clamp(-1, 1).to(dtype), noise(2, 8, 12, 20).to(dtype)
    assert torch.equal(mine.encode(x)[0], other.encode(x).latent_dist.mode())
    assert torch.equal(mine.decode(z)[0], other.decode(z).sample)


def test_derivatives_with_respect_to_the_latent_are_the_same() -> None:
    networks = embedded(torch.float64).unet, theirs(UNet2DConditionModel, "unet", torch.float64)
    text, slopes = noise(1, 32, 64, seed=1).double(), []
    for network in networks:
        x = noise(1, 8, 16, 16).double().requires_grad_()
        output = network(x, 500.0, encoder_hidden_states=text, return_dict=False)[0]
        slopes.append(torch.autograd.grad(output.square().sum(), x)[0])
    torch.testing.assert_close(*slopes, rtol=1e-10, atol=1e-12)
    assert float(slopes[0].abs().max()) > 1e-3


def test_the_schedule_is_the_schedulers() -> None:
    denoiser = embedded(torch.float32).denoiser(128, 128)
    scheduler = DDIMScheduler.from_pretrained(EMBEDDED / "scheduler")
    assert (denoiser.schedule, denoiser.prediction) == read_scheduler(scheduler)
