"""The PixArt adapter on tiny random pipelines, against diffusers itself."""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from diffusion_geodesics.diffusion import Condition, sample
from diffusion_geodesics.models import ModelError, load_model
from diffusion_geodesics.models.pixart import PixArtModel, PixArtNetwork
from tests.tiny.parts import run
from tests.tiny.pixart import tiny_pixart


@pytest.fixture(scope="module")
def model() -> PixArtModel:
    return PixArtModel.from_pipeline(tiny_pixart())


def noise(rows: int) -> torch.Tensor:
    return torch.randn(rows, 4, 8, 12, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize(
    "kind",
    [{}, {"sigma": True}, {"micro_conditions": True}, {"learned_variance": False}],
    ids=["alpha", "sigma", "told the size", "no variance"],
)
def test_sampling_from_noise_is_the_pipelines_own(kind: dict[str, bool], guidance: float) -> None:
    pipe = tiny_pixart(**kind)
    theirs = run(
        pipe,
        prompt=["ab", "ab"],
        negative_prompt="zzz",
        guidance_scale=guidance,
        num_inference_steps=5,
        latents=noise(2),
        height=32,
        width=48,
        output_type="latent",
        use_resolution_binning=False,
        clean_caption=False,
    )
    model = PixArtModel.from_pipeline(pipe)
    ours = sample(
        model.denoiser(32, 48),
        noise(2).flatten(1),
        model.encode_prompt("ab"),
        steps=5,
        level=1.0,
        negative=model.encode_prompt("zzz"),
        guidance=guidance,
    )
    scale = float(theirs.abs().max())
    assert (ours - theirs.flatten(1)).abs().max() < 1e-5 * scale


def test_the_size_is_told_where_the_transformer_takes_it() -> None:
    model = PixArtModel.from_pipeline(tiny_pixart(micro_conditions=True))
    assert model.native_size == 512
    x, condition = noise(1).flatten(1), model.encode_prompt("ab")
    network = model.denoiser(32, 48).network
    assert isinstance(network, PixArtNetwork)
    other = replace(network, size=(48, 32))
    told = [n(x, 500.0, condition) for n in (network, other)]
    assert (told[0] - told[1]).abs().max() > 1e-4


def test_padding_is_not_looked_at(model: PixArtModel) -> None:
    condition = model.encode_prompt("ab")
    embeddings, mask = condition.parts
    assert embeddings.shape == (1, 120, 16)
    assert int(mask.sum()) == 4  # a space, a, b, the end
    x, denoiser = noise(1).flatten(1), model.denoiser(32, 48)
    base = denoiser.output(x, 500.0, condition)
    junk = torch.randn(embeddings.shape, generator=torch.Generator().manual_seed(1))
    for seen, changes in ((0, False), (1, True)):
        changed = torch.where(mask[..., None] == seen, junk, embeddings)
        output = denoiser.output(x, 500.0, Condition((changed, mask)))
        assert ((output - base).abs().max() > 1e-4) == changes


def test_tokens_of_one_prompt_fade_in_along_a_path_to_it(model: PixArtModel) -> None:
    short, long = model.encode_prompt("a"), model.encode_prompt("abcdefgh")
    x, denoiser = noise(1).flatten(1).expand(6, -1), model.denoiser(32, 48)
    t = torch.tensor([0.0, 1e-5, 1e-3, 0.999, 0.99999, 1.0])
    condition = short.lerp(long, t)
    assert torch.equal(condition.parts[1][1:-1] > 0, long.parts[1].expand(4, -1) > 0)
    output = denoiser.output(x, 500.0, condition)
    ends = [denoiser.output(x[:1], 500.0, c) for c in (short, long)]
    torch.testing.assert_close(output[[0, 5]], torch.cat(ends), rtol=1e-4, atol=1e-5)
    near, far = ((output[k] - output[e]).norm() for k, e in ((1, 0), (2, 0)))
    assert near < 0.05 * far, "the output is continuous where a token comes in"
    assert (output[4] - output[5]).norm() < 0.05 * (output[3] - output[5]).norm() + 1e-4


@pytest.mark.parametrize("sigma", [True, False])
def test_a_saved_pipeline_loads(tmp_path: Path, sigma: bool) -> None:
    pipe = tiny_pixart(sigma=sigma)
    pipe.save_pretrained(tmp_path)
    loaded = load_model(tmp_path, device="cpu")
    assert isinstance(loaded, PixArtModel)
    assert (loaded.native_size, loaded.size_multiple, loaded.caveat) == (32, 8, "")
    assert loaded.encode_prompt("a").parts[0].shape[1] == (300 if sigma else 120)


def test_pipelines_that_cannot_be_used_are_refused() -> None:
    pipe = tiny_pixart()
    pipe.transformer.register_to_config(out_channels=12)
    with pytest.raises(ModelError, match="4 channels in and 12 out"):
        PixArtModel.from_pipeline(pipe)
    pipe = tiny_pixart()
    pipe.text_encoder = None
    with pytest.raises(ModelError, match="without text_encoder"):
        PixArtModel.from_pipeline(pipe).encode_prompt("abc")
