"""Unconditional pixel models on tiny random pipelines, against diffusers itself."""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

from pathlib import Path

import pytest
import torch
from diffusers import DDIMPipeline, DDPMPipeline

from diffusion_geodesics.diffusion import sample
from diffusion_geodesics.models import ModelError, load_model
from diffusion_geodesics.models.ddpm import PixelModel
from tests.tiny.ddpm import tiny_ddpm, tiny_unet
from tests.tiny.parts import run


def noise(rows: int, channels: int = 3) -> torch.Tensor:
    return torch.randn(rows, channels, 16, 16, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_sampling_from_noise_is_ddim(prediction: str, channels: int) -> None:
    pipe = tiny_ddpm(channels, prediction=prediction, ddim=True)
    theirs = run(
        pipe,
        batch_size=2,
        generator=torch.Generator().manual_seed(5),
        num_inference_steps=5,
        output_type="pt",
    )
    model = PixelModel.from_pipeline(pipe)
    ours = sample(
        model.denoiser(16, 16),
        noise(2, channels).flatten(1),
        model.encode_prompt(""),
        steps=5,
        level=1.0,
    )
    decoded = model.codec(16, 16).decode(ours)
    torch.testing.assert_close(decoded, theirs.expand(-1, 3, -1, -1), rtol=0, atol=1e-5)


def test_a_ddpm_pipeline_is_sampled_as_its_ddim_pipeline() -> None:
    pipe = tiny_ddpm()
    ddim = DDIMPipeline(unet=pipe.unet, scheduler=pipe.scheduler)
    ddim.set_progress_bar_config(disable=True)
    model = PixelModel.from_pipeline(pipe)
    theirs = run(
        ddim, generator=torch.Generator().manual_seed(5), num_inference_steps=5, output_type="pt"
    )
    ours = sample(
        model.denoiser(16, 16), noise(1).flatten(1), model.encode_prompt(""), steps=5, level=1.0
    )
    torch.testing.assert_close(model.codec(16, 16).decode(ours), theirs, rtol=0, atol=1e-5)


def test_a_learned_variance_is_dropped() -> None:
    pipe = tiny_ddpm(learned_variance=True)
    model = PixelModel.from_pipeline(pipe)
    ours = model.denoiser(16, 16).output(noise(2).flatten(1), 500.0, model.encode_prompt(""))
    with torch.inference_mode():
        theirs = pipe.unet(noise(2), 500).sample
    assert theirs.shape[1] == 6
    torch.testing.assert_close(ours, theirs[:, :3].flatten(1))


def test_time_steps_between_whole_ones_are_not_cut_off() -> None:
    pipe = tiny_ddpm()
    model = PixelModel.from_pipeline(pipe)
    low, between = (
        model.denoiser(16, 16).output(noise(1).flatten(1), t, model.encode_prompt(""))
        for t in (10.0, 10.5)
    )
    assert (between - low).abs().max() > 1e-3
    with torch.inference_mode():
        theirs = pipe.unet(noise(1), torch.tensor([10.5])).sample
    torch.testing.assert_close(between, theirs.flatten(1))


@pytest.mark.parametrize("channels", [3, 1])
def test_pixels_go_in_and_come_out(channels: int) -> None:
    codec = PixelModel.from_pipeline(tiny_ddpm(channels)).codec(16, 24)
    grey = torch.rand(2, 1, 16, 24, generator=torch.Generator().manual_seed(1))
    images = grey.expand(-1, 3, -1, -1)
    latents = codec.encode(images)
    assert latents.shape == (2, channels * 16 * 24)
    torch.testing.assert_close(codec.decode(latents), images)


@pytest.mark.parametrize("ddim", [True, False])
def test_a_saved_pipeline_loads_and_takes_no_prompt(tmp_path: Path, ddim: bool) -> None:
    tiny_ddpm(1, ddim=ddim).save_pretrained(tmp_path)
    model = load_model(tmp_path, device="cpu")
    assert isinstance(model, PixelModel)
    assert (model.native_size, model.size_multiple, model.caveat) == (16, 2, "")
    assert model.encode_prompt(" ").rows == 1
    with pytest.raises(ModelError, match="leave it empty"):
        model.encode_prompt("a cat")
    with pytest.raises(ValueError, match="multiples of 2"):
        model.denoiser(15, 16)


@pytest.mark.parametrize(
    ("channels", "changes", "complaint"),
    [
        (4, {}, "model on latents"),
        (3, {"num_class_embeds": 10}, "conditioned on classes"),
        (3, {"sample_size": None}, "without sample_size"),
        (3, {"out_channels": 5}, "3 channels in and 5 out"),
    ],
)
def test_unets_that_cannot_be_used_are_refused(
    channels: int, changes: dict[str, object], complaint: str
) -> None:
    pipe = DDPMPipeline(unet=tiny_unet(channels, **changes), scheduler=tiny_ddpm().scheduler)
    with pytest.raises(ModelError, match=complaint):
        PixelModel.from_pipeline(pipe)
