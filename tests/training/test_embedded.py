"""The shipped model: small, untampered, loadable."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline

from training.autoencoder import decode, encode, psnr
from training.bank import held_out
from training.export import EMBEDDED, SUMS, digest, weight_files
from training.portraits import render

FOLDER = Path(__file__).parents[2] / EMBEDDED


@pytest.fixture(scope="module")
def pipeline():
    return StableDiffusionPipeline.from_pretrained(FOLDER)


def test_it_is_small_and_finished():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= 20e6
    assert not (FOLDER / "INTERIM").exists()
    assert "## Measured" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_its_weights_are_the_ones_that_were_measured():
    lines = (FOLDER / SUMS).read_text(encoding="utf-8").splitlines()
    assert lines == [
        f"{digest(p)}  {p.relative_to(FOLDER).as_posix()}" for p in weight_files(FOLDER)
    ]


def test_it_needs_no_safety_checker_and_loads_in_single_precision(pipeline):
    assert pipeline.safety_checker is None
    for part in (pipeline.vae, pipeline.unet, pipeline.text_encoder):
        assert {p.dtype for p in part.parameters()} == {torch.float32}


def test_held_out_portraits_survive_the_autoencoder(pipeline):
    x = render(held_out(6, 9)) * 2 - 1
    with torch.no_grad():
        z = encode(pipeline.vae, x)
        assert psnr(decode(pipeline.vae, z), x) > 30
    assert z.shape == (6, 8, 16, 16)
    assert abs(z.mean()) < 0.3
    assert 0.7 < z.std() < 1.2


def test_the_unet_predicts_noise_and_listens_to_captions(pipeline):
    x = render(held_out(4, 9)) * 2 - 1
    g = torch.Generator().manual_seed(0)
    share = float(pipeline.scheduler.alphas_cumprod[400])
    tokens = pipeline.tokenizer(
        ["", "a portrait of a person red background"], padding="max_length", return_tensors="pt"
    ).input_ids
    with torch.no_grad():
        noise = torch.randn(4, 8, 16, 16, generator=g)
        noisy = share**0.5 * encode(pipeline.vae, x) + (1 - share) ** 0.5 * noise
        bare, told = (
            pipeline.unet(noisy, 400, state.expand(4, -1, -1)).sample
            for state in pipeline.text_encoder(tokens).last_hidden_state.split(1)
        )
    assert (bare - noise).square().mean() < 0.25
    assert (bare - told).abs().mean() > 1e-3
