"""The Stable Diffusion adapter on a tiny random pipeline, against diffusers itself."""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

import shutil
from pathlib import Path

import pytest
import torch
from diffusers import DDPMPipeline, StableDiffusionPipeline

from diffusion_geodesics.diffusion import LevelScore, NonFiniteError, invert, sample
from diffusion_geodesics.models import ModelError, StableDiffusionModel, load_model
from tests.tiny_pipelines import tiny_pipeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved tiny pipeline."""
    place = tmp_path_factory.mktemp("tiny")
    tiny_pipeline(place / "tokenizer_source").save_pretrained(place / "pipeline")
    return place / "pipeline"


@pytest.fixture(scope="module")
def model(folder: Path) -> StableDiffusionModel:
    return opened(folder)


def opened(folder: Path) -> StableDiffusionModel:
    """The Stable Diffusion model of a folder."""
    found = load_model(folder, device="cpu")
    assert isinstance(found, StableDiffusionModel)
    return found


def images(count: int, height: int = 32, width: int = 32) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(3))


def test_a_saved_pipeline_loads_with_all_it_says(model: StableDiffusionModel, folder: Path) -> None:
    assert model.id == str(folder)
    assert (model.native_size, model.size_multiple) == (32, 8)
    assert model.latent_shape(32, 48) == (4, 8, 12)
    assert model.device == torch.device("cpu")
    assert model.dtype == torch.float32
    assert not any(p.requires_grad for p in model.pipeline.unet.parameters())
    assert not model.pipeline.text_encoder.training
    prompt, null = model.encode_prompt("abc"), model.encode_prompt("")
    assert prompt.parts[0].shape == (1, 12, 16)
    assert not torch.equal(prompt.parts[0], null.parts[0])


def test_the_hash_is_of_the_weights(
    model: StableDiffusionModel, folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder, copy)
    same = opened(copy)
    assert same.hash == model.hash
    assert len(model.hash) == 64
    live = StableDiffusionModel.from_pipeline(same.pipeline)
    before = live.hash
    with torch.no_grad():
        next(same.pipeline.unet.parameters()).add_(1.0)
    assert StableDiffusionModel.from_pipeline(same.pipeline).hash != before


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_sampling_from_noise_is_the_pipelines_own_ddim(
    tmp_path: Path, spacing: str, prediction: str, guidance: float
) -> None:
    pipe = tiny_pipeline(tmp_path, prediction=prediction, spacing=spacing)
    latents = torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(5))
    # `pipe` answers guidance 1 with the conditional half alone, as `sample` does.
    theirs = pipe(
        prompt=["abc", "abc"],
        negative_prompt=["z", "z"],
        guidance_scale=guidance,
        num_inference_steps=5,
        latents=latents,
        height=32,
        width=48,
        output_type="pt",
        return_dict=False,
    )[0]
    model = StableDiffusionModel.from_pipeline(pipe)
    clean = sample(
        model.denoiser(32, 48),
        latents.flatten(1),
        model.encode_prompt("abc"),
        steps=5,
        level=1.0,
        negative=model.encode_prompt("z"),
        guidance=guidance,
    )
    assert (model.codec(32, 48).decode(clean) - torch.as_tensor(theirs)).abs().max() < 1e-4


def test_inversion_and_back_in_every_precision(model: StableDiffusionModel) -> None:
    codec, denoiser = model.codec(32, 32), model.denoiser(32, 32)
    condition = model.encode_prompt("abc")
    x0 = codec.encode(images(2))
    errors = []
    for refinements in (0, 3):
        x = invert(
            denoiser, x0, condition, steps=30, level=0.3, refinements=refinements, tolerance=0.0
        )
        back = sample(denoiser, x, condition, steps=30, level=0.3)
        errors.append(float((back - x0).abs().max()))
    assert errors[0] < 0.05
    assert errors[1] < 1e-3


def test_half_precision_answers_in_single(folder: Path, model: StableDiffusionModel) -> None:
    half = load_model(folder, device="cpu", dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16
    x = torch.randn(3, 256, generator=torch.Generator().manual_seed(0))
    score, exact = (
        LevelScore(m.denoiser(32, 32), 500, m.encode_prompt("a"))(torch.zeros(3), x)
        for m in (half, model)
    )
    assert score.dtype == torch.float32
    torch.testing.assert_close(score, exact, rtol=0.1, atol=0.1)
    assert half.codec(32, 32).encode(images(1)).dtype == torch.float32


def test_double_precision_stays_double(folder: Path) -> None:
    double = load_model(folder, device="cpu", dtype=torch.float64)
    x = torch.randn(1, 256, dtype=torch.float64)
    assert double.denoiser(32, 32).epsilon(x, 5, double.encode_prompt("")).dtype == x.dtype
    assert double.codec(32, 32).encode(images(1)).dtype == x.dtype


def test_the_codec_takes_the_mean_scales_and_clamps(model: StableDiffusionModel) -> None:
    codec, vae = model.codec(32, 32), model.pipeline.vae
    pictures = images(3)
    latents = codec.encode(pictures)
    assert torch.equal(latents, codec.encode(pictures))
    with torch.no_grad():
        mean = vae.encode(2 * pictures - 1).latent_dist.mean.flatten(1)
    torch.testing.assert_close(latents, 0.7 * mean, rtol=1e-4, atol=1e-5)
    decoded = codec.decode(100 * latents)
    assert decoded.shape == (3, 3, 32, 32)
    assert float(decoded.min()) >= 0.0
    assert float(decoded.max()) <= 1.0
    assert codec.decode(latents[:0]).shape == (0, 3, 32, 32)


def test_networks_are_called_as_modules_so_that_offloading_hooks_fire(
    model: StableDiffusionModel,
) -> None:
    fired: list[int] = []
    hook = model.pipeline.unet.register_forward_pre_hook(lambda *_: fired.append(1))
    model.denoiser(32, 32).epsilon(torch.zeros(5, 256), 10, model.encode_prompt(""))
    hook.remove()
    assert fired == [1], "five rows go in one call"


def test_codec_and_denoiser_refuse_other_sizes(model: StableDiffusionModel) -> None:
    with pytest.raises(ValueError, match="multiples of 8"):
        model.codec(30, 32)
    with pytest.raises(ValueError, match="multiples of 8"):
        model.denoiser(0, 32)
    with pytest.raises(ValueError, match="fit the images"):
        model.codec(32, 32).encode(images(1, 32, 40))
    with pytest.raises(ValueError, match=r"expected \[0, 1\]"):
        model.codec(32, 32).encode(2 * images(1))
    with pytest.raises(ValueError, match="coordinates"):
        model.codec(32, 32).decode(torch.zeros(1, 255))
    with pytest.raises(NonFiniteError, match="decoder"):
        model.codec(32, 32).decode(torch.full((1, 256), float("nan")))


def test_pipelines_of_another_make_are_refused(model: StableDiffusionModel) -> None:
    foreign = DDPMPipeline(unet=model.pipeline.unet, scheduler=model.pipeline.scheduler)
    with pytest.raises(ModelError, match="got a DDPMPipeline"):
        StableDiffusionModel.from_pipeline(foreign)
    parts = dict(model.pipeline.components) | {"vae": None}
    with pytest.raises(ModelError, match="without vae"):
        StableDiffusionModel.from_pipeline(
            StableDiffusionPipeline(**parts, requires_safety_checker=False)
        )
