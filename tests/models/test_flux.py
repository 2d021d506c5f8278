"""The Flux adapter on tiny random pipelines, against diffusers itself."""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, FluxPipeline

from diffusion_geodesics.diffusion import sample
from diffusion_geodesics.models import ModelError, load_model
from diffusion_geodesics.models.flux import FluxModel, pack, positions, unpack
from tests.tiny.flux import tiny_flux
from tests.tiny.parts import run


def noise(rows: int) -> torch.Tensor:
    return torch.randn(rows, 4, 8, 12, generator=torch.Generator().manual_seed(5))


def test_packing_is_the_pipelines_own_and_is_undone() -> None:
    latents = noise(3)
    packed = pack(latents)
    assert torch.equal(packed, FluxPipeline._pack_latents(latents, 3, 4, 8, 12))
    assert torch.equal(unpack(packed, 8, 12), latents)
    theirs = FluxPipeline._prepare_latent_image_ids(1, 4, 6, torch.device("cpu"), torch.float32)
    assert torch.equal(positions(8, 12), theirs)


@pytest.mark.parametrize(("distilled", "guidance"), [(True, 3.5), (True, 1.0), (False, 3.5)])
def test_sampling_from_noise_is_the_pipelines_own(
    tmp_path: Path, distilled: bool, guidance: float
) -> None:
    pipe = tiny_flux(tmp_path, guidance=distilled)
    theirs = run(
        pipe,
        prompt=["abc", "abc"],
        guidance_scale=guidance,
        num_inference_steps=5,
        latents=pack(noise(2)),
        height=32,
        width=48,
        output_type="latent",
    )
    model = FluxModel(pipe, "tiny", guidance=guidance)
    condition = model.encode_prompt("abc")
    ours = sample(model.denoiser(32, 48), noise(2).flatten(1), condition, steps=5, level=1.0)
    torch.testing.assert_close(pack(ours.unflatten(1, (4, 8, 12))), theirs, rtol=1e-5, atol=1e-5)


def test_true_guidance_is_the_pipelines_own(tmp_path: Path) -> None:
    pipe = tiny_flux(tmp_path)
    theirs = run(
        pipe,
        prompt="abc",
        negative_prompt="z",
        true_cfg_scale=2.0,
        num_inference_steps=4,
        latents=pack(noise(1)),
        height=32,
        width=48,
        output_type="latent",
    )
    model = FluxModel.from_pipeline(pipe)
    prompts = [model.encode_prompt(text) for text in ("abc", "z")]
    ours = sample(
        model.denoiser(32, 48),
        noise(1).flatten(1),
        prompts[0],
        steps=4,
        level=1.0,
        negative=prompts[1],
        guidance=2.0,
    )
    torch.testing.assert_close(pack(ours.unflatten(1, (4, 8, 12))), theirs, rtol=1e-5, atol=1e-5)


def test_time_text_and_embedded_guidance_matter(tmp_path: Path) -> None:
    pipe = tiny_flux(tmp_path)
    model, x = FluxModel.from_pipeline(pipe), noise(1).flatten(1)
    condition, other = model.encode_prompt("abc"), model.encode_prompt("xyz")
    base = model.denoiser(32, 48).output(x, 500.0, condition)
    stronger = FluxModel(pipe, "tiny", guidance=7.0).denoiser(32, 48)
    changes = [
        model.denoiser(32, 48).output(x, 501.0, condition),
        stronger.output(x, 500.0, condition),
        model.denoiser(32, 48).output(
            x, 500.0, type(condition)((other.parts[0], condition.parts[1]))
        ),
        model.denoiser(32, 48).output(
            x, 500.0, type(condition)((condition.parts[0], other.parts[1]))
        ),
    ]
    for changed in changes:
        assert (changed - base).abs().max() > 1e-5


def test_the_grid_shifts_with_the_size(tmp_path: Path) -> None:
    model = FluxModel.from_pipeline(tiny_flux(tmp_path))
    small, large = (model.denoiser(edge, edge).schedule.timesteps(4) for edge in (16, 64))
    assert small[0] == large[0] == 1000.0
    assert small[1] < large[1]


@pytest.mark.parametrize("distilled", [True, False])
def test_a_saved_pipeline_loads_and_says_that_it_has_no_density(
    tmp_path: Path, distilled: bool
) -> None:
    tiny_flux(tmp_path / "tokenizers", guidance=distilled).save_pretrained(tmp_path / "model")
    model = load_model(tmp_path / "model", device="cpu")
    assert isinstance(model, FluxModel)
    assert ("guidance-distilled" if distilled else "few steps") in model.caveat
    assert "no density" in model.caveat
    assert (model.native_size, model.size_multiple) == (512, 8)


def test_pipelines_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    pipe = tiny_flux(tmp_path)
    pipe.transformer.register_to_config(in_channels=32)
    with pytest.raises(ModelError, match="control or editing"):
        FluxModel.from_pipeline(pipe)
    pipe = tiny_flux(tmp_path)
    pipe.scheduler = DDIMScheduler()
    with pytest.raises(ModelError, match="needs a scheduler of flow matching"):
        FluxModel.from_pipeline(pipe)
    pipe = tiny_flux(tmp_path)
    pipe.text_encoder_2 = None
    with pytest.raises(ModelError, match="without text_encoder_2"):
        FluxModel.from_pipeline(pipe).encode_prompt("abc")
    with pytest.raises(ValueError, match="multiples of 8"):
        FluxModel.from_pipeline(pipe).denoiser(36, 32)
