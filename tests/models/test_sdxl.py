"""The SDXL adapter on tiny random pipelines, against diffusers; autoencoders of all kinds."""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderTiny, DDIMScheduler

from diffusion_geodesics.diffusion import sample
from diffusion_geodesics.models import (
    ModelError,
    StableDiffusionModel,
    StableDiffusionXLModel,
    from_pipeline,
    load_model,
    vae,
)
from tests.tiny.sdxl import tiny_playground, tiny_sdxl
from tests.tiny_pipelines import tiny_pipeline


def ddim(folder: Path) -> Any:
    return tiny_sdxl(folder, DDIMScheduler(clip_sample=False, steps_offset=1))


@pytest.mark.parametrize("make", [ddim, tiny_playground])
def test_sampling_from_noise_is_the_pipelines_own(tmp_path: Path, make: Any) -> None:
    pipe = make(tmp_path)
    noise = torch.randn(1, 4, 8, 12, generator=torch.Generator().manual_seed(5))
    theirs = pipe(
        "abc",
        guidance_scale=2.0,
        num_inference_steps=4,
        latents=noise,
        height=32,
        width=48,
        original_size=(64, 64),
        crops_coords_top_left=(3, 5),
        output_type="pt",
    ).images
    model = StableDiffusionXLModel(pipe, "tiny", original_size=(64, 64), crop=(3, 5))
    start = noise * float(pipe.scheduler.init_noise_sigma)
    ours = sample(
        model.denoiser(32, 48),
        start.flatten(1),
        model.encode_prompt("abc"),
        steps=4,
        level=1.0,
        negative=model.encode_prompt(""),
        guidance=2.0,
    )
    assert (model.codec(32, 48).decode(ours) - theirs).abs().max() < 1e-4


def test_the_null_condition_is_the_pipelines(tmp_path: Path) -> None:
    null = from_pipeline(tiny_sdxl(tmp_path)).encode_prompt("")
    assert not any(bool(part.any()) for part in null.parts)
    assert [tuple(part.shape) for part in null.parts] == [(1, 12, 32), (1, 16)]
    kept = from_pipeline(tiny_sdxl(tmp_path, zeros=False)).encode_prompt("")
    assert all(bool(part.any()) for part in kept.parts)


def test_latents_are_normalised_by_mean_and_deviation(tmp_path: Path) -> None:
    pipe = tiny_playground(tmp_path)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        raw = pipe.vae.encode(2 * images - 1).latent_dist.mean
    mean, std = (
        torch.tensor(pipe.vae.config[f"latents_{k}"])[:, None, None] for k in ("mean", "std")
    )
    codec = from_pipeline(pipe).codec(32, 32)
    torch.testing.assert_close(codec.encode(images), ((raw - mean) * 0.5 / std).flatten(1))


def test_a_half_autoencoder_called_too_narrow_runs_in_float32(tmp_path: Path) -> None:
    pipe = tiny_sdxl(tmp_path).to(torch.float16)
    seen: list[torch.dtype] = []
    pipe.vae.decoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].dtype))
    pipe.vae.register_to_config(force_upcast=True)
    from_pipeline(pipe).codec(32, 32).decode(torch.zeros(1, 256))
    pipe.vae.register_to_config(force_upcast=False)
    from_pipeline(pipe).codec(32, 32).decode(torch.zeros(1, 256))
    assert seen == [torch.float32, torch.float16]
    assert pipe.vae.dtype == torch.float16


def test_tiling_is_used_where_memory_demands_it_and_then_reset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe, used = tiny_sdxl(tmp_path), []
    pipe.vae.register_forward_pre_hook(lambda *_: None)
    decode = pipe.vae.decode
    monkeypatch.setattr(
        pipe.vae, "decode", lambda *a, **k: used.append(pipe.vae.use_tiling) or decode(*a, **k)
    )
    codec = from_pipeline(pipe).codec(32, 32)
    codec.decode(torch.zeros(1, 256))
    monkeypatch.setattr(vae, "free_bytes", lambda _: 1000)
    codec.decode(torch.zeros(1, 256))
    assert used == [False, True]
    assert not pipe.vae.use_tiling


def test_a_tiny_autoencoder_takes_the_place_of_the_large_one(tmp_path: Path) -> None:
    pipe = tiny_pipeline(tmp_path)
    pipe.vae = AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8),
        decoder_block_out_channels=(8, 8, 8),
        num_encoder_blocks=(1, 1, 1),
        num_decoder_blocks=(1, 1, 1),
    ).eval()
    model = StableDiffusionModel.from_pipeline(pipe)
    codec = model.codec(32, 32)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    latents = codec.encode(images)
    assert torch.equal(latents, codec.encode(images))
    with torch.no_grad():
        theirs = pipe.vae.encode(2 * images - 1, return_dict=False)[0]
    torch.testing.assert_close(latents, theirs.flatten(1))
    assert codec.decode(latents).shape == (2, 3, 32, 32)


def test_half_precision_files_are_taken_where_there_are_no_others(tmp_path: Path) -> None:
    pipe = tiny_sdxl(tmp_path / "tokenizers")
    pipe.save_pretrained(tmp_path / "half", variant="fp16")
    model = load_model(tmp_path / "half", device="cpu")
    assert isinstance(model, StableDiffusionXLModel)
    x = torch.zeros(1, 256)
    outputs = [
        m.denoiser(32, 32).epsilon(x, 9, m.encode_prompt("a")) for m in (model, from_pipeline(pipe))
    ]
    torch.testing.assert_close(*outputs)


def test_pipelines_that_need_more_than_text_are_refused(tmp_path: Path) -> None:
    pipe = tiny_sdxl(tmp_path)
    pipe.unet.register_to_config(encoder_hid_dim_type="ip_image_proj")
    with pytest.raises(ModelError, match="unload_ip_adapter"):
        from_pipeline(pipe)
    pipe.text_encoder = None
    with pytest.raises(ModelError, match="without text_encoder"):
        from_pipeline(pipe)
