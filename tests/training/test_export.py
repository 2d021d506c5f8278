"""Export: a folder diffusers loads as it is, with the outputs of the networks that went in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from safetensors.torch import load_file

from training.autoencoder import build, decode, encode
from training.denoiser import Denoiser, build_unet
from training.export import EMPTY_PROMPT, SUMS, assemble, digest, load_denoiser, weight_files, write
from training.loop import Run
from training.text import Encoder, build_encoder, build_tokenizer

WIDTHS = (8, 16, 16)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory):
    """A tiny untrained model, its folder, and its outputs in single precision."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    state = folder / "state.safetensors"
    tokenizer = build_tokenizer()
    network = Denoiser(build_unet(WIDTHS), build_encoder(tokenizer))
    for p in network.parameters():
        p.data = p.data.half().float()  # half precision loses nothing then
    Run.start(network).save(state)
    denoiser = load_denoiser(state, tokenizer, WIDTHS)
    autoencoder = build((8, 8, 8, 8)).eval()
    for p in autoencoder.parameters():
        p.data = p.data.half().float()
    outputs = run(autoencoder, denoiser)
    write(assemble(autoencoder, denoiser, tokenizer), folder / "pipeline")
    return folder / "pipeline", outputs


@torch.no_grad()
def run(autoencoder, denoiser) -> list[torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    x = torch.rand(1, 3, 128, 128, generator=g)
    z = encode(autoencoder, x)
    tokens = Encoder(build_tokenizer())(["a portrait of a smiling person"])
    return [z, decode(autoencoder, z), denoiser(z, torch.tensor([500]), tokens)]


def test_the_folder_loads_and_reproduces_the_outputs(exported):
    folder, outputs = exported
    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    loaded = run(pipeline.vae, Denoiser(pipeline.unet, pipeline.text_encoder).eval())
    for mine, theirs in zip(outputs, loaded, strict=True):
        assert theirs.dtype == torch.float32
        torch.testing.assert_close(theirs, mine, atol=1e-5, rtol=1e-5)


def test_the_pipeline_draws(exported):
    pipeline = StableDiffusionPipeline.from_pretrained(exported[0])
    pipeline.set_progress_bar_config(disable=True)
    g = torch.Generator().manual_seed(0)
    options: dict[str, Any] = {"num_inference_steps": 2, "generator": g, "output_type": "np"}
    images = pipeline("a portrait", **options, return_dict=False)[0]
    assert np.shape(images) == (1, 128, 128, 3)


def test_the_empty_prompt_is_kept_as_the_text_encoder_gives_it(exported):
    folder = exported[0]
    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    states, _ = pipeline.encode_prompt("", "cpu", 1, False)
    kept = load_file(folder / EMPTY_PROMPT)
    assert sorted(kept) == ["bfloat16", "float16", "float32", "float64"]
    torch.testing.assert_close(kept["float32"], states)
    torch.testing.assert_close(kept["float64"].float(), states)


def test_sums_cover_the_weights_and_configs_tell_no_paths(exported):
    folder = exported[0]
    lines = (folder / SUMS).read_text().splitlines()
    assert lines == [f"{digest(p)}  {p.relative_to(folder)}" for p in weight_files(folder)]
    assert len(lines) == 3
    for path in folder.rglob("*.json"):
        assert "_name_or_path" not in json.loads(path.read_text())


def test_a_state_of_another_network_is_refused(tmp_path: Path):
    Run.start(torch.nn.Linear(2, 2)).save(tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="lacks"):
        load_denoiser(tmp_path / "other.safetensors", build_tokenizer(), WIDTHS)
