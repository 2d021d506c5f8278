"""Stable Diffusion 2.1's true architecture, with random weights: its equations, and its memory.

`pytest -m slow tests/models/test_sd21_architecture.py -s` prints seconds and peak memory.
"""

import resource
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from diffusion_geodesics.diffusion import LevelScore, sample
from diffusion_geodesics.models import StableDiffusionModel
from tests.sd21 import random_sd21

pytestmark = pytest.mark.slow


def peak_gib() -> float:
    """The most memory that this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def opened(folder: Path, edge: int) -> StableDiffusionModel:
    return StableDiffusionModel.from_pipeline(random_sd21(folder, edge, torch.bfloat16))


@torch.inference_mode()
def raw_output(model: StableDiffusionModel, x: Tensor, timestep: float, text: str) -> Tensor:
    """What the U-Net gives when diffusers calls it, flat and in float32."""
    pipe, edge = model.pipeline, round((x.shape[1] / 4) ** 0.5)
    embeddings, _ = pipe.encode_prompt(text, model.device, 1, False)
    latents = x.unflatten(1, (4, edge, edge)).to(torch.bfloat16)
    output = pipe.unet(latents, timestep, encoder_hidden_states=embeddings.to(torch.bfloat16))
    return output.sample.float().flatten(1)


@pytest.mark.parametrize("edge", [512, 768])
def test_one_score_evaluation(edge: int, tmp_path: Path) -> None:
    """The score is -eps/s, with eps the output at 512 pixels and a v + s x at 768."""
    model = opened(tmp_path, edge)
    assert model.native_size == edge
    weights = sum(p.numel() for p in model.pipeline.unet.parameters())
    assert weights == 865_910_724, "the real network's count"
    denoiser = model.denoiser(edge, edge)
    timestep = denoiser.schedule.timestep(50, 0.6)
    x = torch.randn(1, 4 * (edge // 8) ** 2, generator=torch.Generator().manual_seed(0))
    score = LevelScore(denoiser, timestep, model.encode_prompt("abc"))
    started = time.perf_counter()
    value = score(torch.zeros(1), x)
    seconds = time.perf_counter() - started
    print(f"\n{edge}x{edge}: one score in {seconds:.1f} s, peak memory {peak_gib():.2f} GiB")
    a, s = denoiser.schedule.coefficients(timestep)
    output = raw_output(model, x, timestep, "abc")
    epsilon = output if edge == 512 else a * output + s * x
    torch.testing.assert_close(value, -epsilon / s, rtol=1e-5, atol=1e-5)
    assert 0.1 < float(output.std()) < 10.0, "activations neither vanish nor overflow"
    assert peak_gib() < 8.0


def test_images_go_in_and_noise_comes_down_as_in_diffusers(tmp_path: Path) -> None:
    """At 256x256, a quarter of the work: the architecture is fully convolutional."""
    model, started = opened(tmp_path, 512), time.perf_counter()
    codec, denoiser = model.codec(256, 256), model.denoiser(256, 256)
    scheduler = model.pipeline.scheduler
    images = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        pixels = (2 * images - 1).to(torch.bfloat16)
        mean = model.pipeline.vae.encode(pixels).latent_dist.mean.float().flatten(1)
    torch.testing.assert_close(codec.encode(images), 0.18215 * mean, rtol=1e-5, atol=1e-6)
    noise = torch.randn(1, denoiser.network.dim, generator=torch.Generator().manual_seed(1))
    ours = sample(denoiser, noise, model.encode_prompt("abc"), steps=2, level=1.0)
    theirs = noise
    scheduler.set_timesteps(2)
    for timestep in scheduler.timesteps:
        output = raw_output(model, theirs, float(timestep), "abc")
        theirs = scheduler.step(output, timestep, theirs).prev_sample
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert float((ours - noise).norm() / noise.norm()) > 0.1
    with torch.inference_mode():
        latents = (ours / 0.18215).unflatten(1, (4, 32, 32)).to(torch.bfloat16)
        picture = (model.pipeline.vae.decode(latents).sample.float() / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(codec.decode(ours), picture, rtol=1e-5, atol=1e-5)
    assert float(picture.std()) > 0.01, "not clamped everywhere"
    seconds = time.perf_counter() - started
    print(f"\n256x256, in and down: {seconds:.0f} s, peak memory {peak_gib():.2f} GiB")
    assert peak_gib() < 8.0
