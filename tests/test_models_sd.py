"""The Stable Diffusion adapter on a tiny random pipeline, against diffusers itself."""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    CMStochasticIterativeScheduler,
    DDIMScheduler,
    DDPMPipeline,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
)

from diffusion_geodesics.diffusion import (
    DiscreteSchedule,
    LevelScore,
    NonFiniteError,
    SamplePrediction,
    Spacing,
    VelocityPrediction,
    invert,
    sample,
)
from diffusion_geodesics.models import ModelError, StableDiffusionModel, load_model
from diffusion_geodesics.models.schedulers import read_prediction, read_schedule
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
    clean, _ = sample(
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
        x, _ = invert(
            denoiser, x0, condition, steps=30, level=0.3, refinements=refinements, tolerance=0.0
        )
        back, _ = sample(denoiser, x, condition, steps=30, level=0.3)
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


def test_names_are_checked_before_any_model_library_is_imported() -> None:
    program = (
        "import sys\n"
        "import diffusion_geodesics.diffusion\n"
        "from diffusion_geodesics.models import ModelError, load_model\n"
        "try:\n    load_model('embeded')\n"
        "except ModelError:\n    print(sorted({'diffusers', 'transformers'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


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


# Schedules


def discrete(scheduler: Any) -> DiscreteSchedule:
    """The schedule of a scheduler with a table of betas."""
    schedule = read_schedule(scheduler)
    assert isinstance(schedule, DiscreteSchedule)
    return schedule


def test_a_schedule_is_the_configurations_not_the_state(tmp_path: Path) -> None:
    pipe = tiny_pipeline(tmp_path)
    before = discrete(pipe.scheduler)
    pipe.scheduler.set_timesteps(7)
    pipe.scheduler.alphas_cumprod = pipe.scheduler.alphas_cumprod * 0.5
    assert discrete(pipe.scheduler) == before
    assert before.final_alpha == before.alphas_cumprod[0]
    assert before.offset == 1


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("steps", [1, 4, 7, 50])
def test_time_steps_are_those_of_diffusers(spacing: str, steps: int) -> None:
    scheduler = DDIMScheduler(timestep_spacing=spacing, steps_offset=1)
    schedule = discrete(scheduler)
    scheduler.set_timesteps(steps)
    assert list(schedule.timesteps(steps)) == scheduler.timesteps.tolist()
    assert schedule.spacing == Spacing(spacing)


@pytest.mark.parametrize(
    "scheduler", [PNDMScheduler, EulerDiscreteScheduler, DPMSolverMultistepScheduler]
)
def test_other_schedulers_of_the_family_give_the_same_schedule(scheduler: type) -> None:
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    theirs = discrete(scheduler(**betas, prediction_type="v_prediction"))
    assert theirs.alphas_cumprod == discrete(DDIMScheduler(**betas)).alphas_cumprod
    assert isinstance(
        read_prediction(scheduler(**betas, prediction_type="v_prediction")), VelocityPrediction
    )


def test_schedulers_without_betas_are_refused() -> None:
    with pytest.raises(ModelError, match="table of betas"):
        read_schedule(CMStochasticIterativeScheduler())


def test_prediction_types_are_read_from_the_configuration() -> None:
    assert isinstance(read_prediction(DDIMScheduler(prediction_type="sample")), SamplePrediction)


# Models that cannot be had


def refusal(name: str | Path, **options: object) -> str:
    """The one line that a model is refused with."""
    with pytest.raises(ModelError) as caught:
        load_model(name, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_unknown_names_and_places_are_refused_in_one_line(tmp_path: Path) -> None:
    assert "neither 'embedded'" in refusal("embeded")
    assert "without model_index.json" in refusal(tmp_path)
    file = tmp_path / "model.ckpt"
    file.write_bytes(b"x")
    assert "is a file" in refusal(file)
    assert "not in the local cache" in refusal("nobody/nothing-at-all", local_files_only=True)
    assert "cannot reach the hub" in refusal("nobody/nothing-at-all")
    assert "cannot be used here" in refusal("embedded", device="nonsense")


def test_damaged_and_foreign_folders_are_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    index = tmp_path / "model_index.json"
    index.write_text("{")
    assert "damaged" in refusal(tmp_path)
    index.write_text(json.dumps({"_class_name": "KolorsPipeline"}))
    assert "is a KolorsPipeline; expected one of StableDiffusionPipeline" in refusal(tmp_path)
    shutil.copy(folder / "model_index.json", index)
    assert "no safetensors weights" in refusal(tmp_path)
    part = tmp_path / "part"
    shutil.copytree(folder, part)
    shutil.rmtree(part / "vae")
    assert "check that the folder is complete" in refusal(part)


def test_pipelines_of_another_make_are_refused(model: StableDiffusionModel) -> None:
    foreign = DDPMPipeline(unet=model.pipeline.unet, scheduler=model.pipeline.scheduler)
    with pytest.raises(ModelError, match="got a DDPMPipeline"):
        StableDiffusionModel.from_pipeline(foreign)
    parts = dict(model.pipeline.components) | {"vae": None}
    with pytest.raises(ModelError, match="without vae"):
        StableDiffusionModel.from_pipeline(
            StableDiffusionPipeline(**parts, requires_safety_checker=False)
        )
