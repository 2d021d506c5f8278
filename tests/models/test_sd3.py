"""The Stable Diffusion 3 adapter on a tiny random pipeline, against diffusers itself."""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusion3Pipeline

from diffusion_geodesics.diffusion import sample
from diffusion_geodesics.models import ModelError, load_model
from diffusion_geodesics.models.sd3 import StableDiffusion3Model
from tests.tiny.parts import run
from tests.tiny.sd3 import tiny_sd3


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusion3Pipeline:
    return tiny_sd3(tmp_path_factory.mktemp("sd3"))


@pytest.fixture(scope="module")
def model(pipe: StableDiffusion3Pipeline) -> StableDiffusion3Model:
    return StableDiffusion3Model.from_pipeline(pipe)


def noise(rows: int, shape: tuple[int, int, int] = (16, 8, 12)) -> torch.Tensor:
    return torch.randn(rows, *shape, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("t5", [True, False])
@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_sampling_from_noise_is_the_pipelines_own(
    tmp_path: Path, t5: bool, dynamic: bool, guidance: float
) -> None:
    pipe = tiny_sd3(tmp_path, t5=t5, dynamic=dynamic)
    theirs = run(
        pipe,
        prompt=["abc", "abc"],
        negative_prompt=["z", "z"],
        guidance_scale=guidance,
        num_inference_steps=5,
        latents=noise(2),
        height=32,
        width=48,
        output_type="latent",
    )
    model = StableDiffusion3Model.from_pipeline(pipe)
    ours = sample(
        model.denoiser(32, 48),
        noise(2).flatten(1),
        model.encode_prompt("abc"),
        steps=5,
        level=1.0,
        negative=model.encode_prompt("z"),
        guidance=guidance,
    )
    torch.testing.assert_close(ours, theirs.flatten(1), rtol=1e-5, atol=1e-5)


def test_time_and_both_readings_of_the_text_matter(model: StableDiffusion3Model) -> None:
    denoiser, x = model.denoiser(32, 48), noise(1).flatten(1)
    condition, other = model.encode_prompt("abc"), model.encode_prompt("xyz")
    base = denoiser.output(x, 500.0, condition)
    assert (denoiser.output(x, 500.5, condition) - base).abs().max() > 1e-6
    for part in range(2):
        parts = list(condition.parts)
        parts[part] = other.parts[part]
        changed = denoiser.output(x, 500.0, type(condition)(tuple(parts)))
        assert (changed - base).abs().max() > 1e-4


def test_the_first_clip_states_are_padded_and_a_missing_t5_gives_zeros(tmp_path: Path) -> None:
    tokens, pooled = (
        StableDiffusion3Model.from_pipeline(tiny_sd3(tmp_path, t5=False)).encode_prompt("abc").parts
    )
    assert tokens.shape == (1, 12 + 256, 32)
    assert pooled.shape == (1, 24)
    assert not tokens[:, 12:].any()
    assert tokens[:, :12].any()


@pytest.mark.parametrize("t5", [True, False])
def test_a_saved_pipeline_loads_with_and_without_t5(tmp_path: Path, t5: bool) -> None:
    pipe = tiny_sd3(tmp_path / "tokenizers", t5=t5)
    pipe.save_pretrained(tmp_path / "model")
    loaded = load_model(tmp_path / "model", device="cpu")
    assert isinstance(loaded, StableDiffusion3Model)
    assert (loaded.native_size, loaded.size_multiple, loaded.largest_size) == (32, 8, 96)
    x = noise(1).flatten(1)
    here = StableDiffusion3Model.from_pipeline(pipe)
    outputs = [m.denoiser(32, 48).output(x, 300.0, m.encode_prompt("ab")) for m in (here, loaded)]
    torch.testing.assert_close(*outputs)


def test_the_hash_covers_every_text_encoder(tmp_path: Path) -> None:
    pipe = tiny_sd3(tmp_path)
    hashes = {StableDiffusion3Model.from_pipeline(pipe).hash}
    for name in ("text_encoder", "text_encoder_2", "text_encoder_3", "vae", "transformer"):
        with torch.no_grad():
            next(getattr(pipe, name).parameters()).add_(1.0)
        hashes.add(StableDiffusion3Model.from_pipeline(pipe).hash)
    assert len(hashes) == 6


def test_sizes_beyond_the_position_embeddings_are_refused(model: StableDiffusion3Model) -> None:
    assert model.latent_shape(96, 32) == (16, 24, 8)
    with pytest.raises(ValueError, match="at most 96 pixels"):
        model.denoiser(104, 32)
    with pytest.raises(ValueError, match="multiples of 8"):
        model.codec(36, 32)


def test_without_a_clip_encoder_only_prompts_are_refused(tmp_path: Path) -> None:
    pipe = tiny_sd3(tmp_path)
    kept = StableDiffusion3Model.from_pipeline(pipe).encode_prompt("abc")
    pipe.text_encoder_2 = None
    model = StableDiffusion3Model.from_pipeline(pipe)
    assert model.denoiser(32, 32).output(noise(1, (16, 8, 8)).flatten(1), 1.0, kept).shape[0] == 1
    with pytest.raises(ModelError, match="without text_encoder_2"):
        model.encode_prompt("abc")


def test_pipelines_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    pipe = tiny_sd3(tmp_path)
    pipe.scheduler = DDIMScheduler()
    with pytest.raises(ModelError, match="needs a scheduler of flow matching"):
        StableDiffusion3Model.from_pipeline(pipe)
    pipe = tiny_sd3(tmp_path)
    pipe.transformer.register_to_config(in_channels=33)
    with pytest.raises(ModelError, match="33 channels"):
        StableDiffusion3Model.from_pipeline(pipe)
    pipe.vae = None
    with pytest.raises(ModelError, match="without vae"):
        StableDiffusion3Model.from_pipeline(pipe)
