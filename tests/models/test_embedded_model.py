"""The model inside the package: it opens, round trips, and follows its own noise."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from diffusion_geodesics.diffusion import LevelScore, invert, sample
from diffusion_geodesics.framing import fit
from diffusion_geodesics.images import load_image, psnr
from diffusion_geodesics.models import EmbeddedModel, ModelError, StableDiffusionModel, load_model
from diffusion_geodesics.models.embedded_model import EMPTY_PROMPT
from diffusion_geodesics.models.folders import EMBEDDED, weight_files
from diffusion_geodesics.models.vae import VAECodec
from diffusion_geodesics.runtime.cost import Meter

EXAMPLES = Path(__file__).parents[2] / "examples"
CPU = torch.device("cpu")
PROMPT = "a portrait of a sad person with glasses"


@pytest.fixture(scope="module")
def model() -> EmbeddedModel:
    found = load_model(device="cpu")
    assert isinstance(found, EmbeddedModel)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of its folder."""
    return Path(shutil.copytree(EMBEDDED, tmp_path / "copy"))


def portraits(model: EmbeddedModel) -> torch.Tensor:
    edge = model.native_size
    paths = [EXAMPLES / f"portrait_{name}.png" for name in "ab"]
    return torch.stack([fit(load_image(path), edge, edge).image for path in paths])


def test_it_fits_into_the_package(model: EmbeddedModel) -> None:
    assert sum(file.stat().st_size for file in weight_files(EMBEDDED)) <= 20 * 2**20
    assert (model.id, model.native_size, model.size_multiple) == ("embedded", 128, 32)
    assert (model.dtype, model.device, model.notes) == (torch.float32, CPU, ())
    for network in (model.unet, model.autoencoder):
        assert not network.training
        assert not any(p.requires_grad or p.is_meta for p in network.parameters())


def test_its_hash_is_of_the_sums_that_are_published(model: EmbeddedModel) -> None:
    sums = [line.split() for line in (EMBEDDED / "SHA256SUMS").read_text().splitlines()]
    total = hashlib.sha256(b"".join(bytes.fromhex(digest) for digest, _ in sums))
    assert model.hash == total.hexdigest()


def test_a_copy_of_its_folder_is_the_same_model(model: EmbeddedModel, folder: Path) -> None:
    """The folder goes through diffusers and transformers, the embedded model does not."""
    copy = load_model(folder, device="cpu")
    assert isinstance(copy, StableDiffusionModel)
    assert copy.hash == model.hash
    for text in ("", PROMPT):
        a, b = (m.encode_prompt(text).parts[0] for m in (model, copy))
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
    x = torch.randn(2, 8 * 16 * 16, generator=torch.Generator().manual_seed(0))
    condition = model.encode_prompt(PROMPT)
    a, b = (m.denoiser(128, 128).epsilon(x, 400.0, condition) for m in (model, copy))
    assert torch.equal(a, b)
    assert torch.equal(model.codec(128, 128).decode(x), copy.codec(128, 128).decode(x))


@pytest.mark.whole
def test_no_model_library_is_imported_without_a_prompt() -> None:
    program = (
        "import sys, torch\n"
        "from diffusion_geodesics.models import load_model\n"
        "model = load_model('embedded', device='cpu')\n"
        "denoiser, condition = model.denoiser(128, 128), model.encode_prompt('')\n"
        "model.codec(128, 128).decode(torch.zeros(1, 2048))\n"
        "denoiser.epsilon(torch.zeros(1, 2048), 400.0, condition)\n"
        "denoiser.features(torch.zeros(1, 2048), 400.0, condition)\n"
        "print(len(model.hash), *{'diffusers', 'transformers', 'torchvision'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["64"]


# Prompts


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_stored_empty_prompt_is_what_the_text_encoder_gives(
    dtype: torch.dtype, folder: Path
) -> None:
    stored = EmbeddedModel.load(CPU, dtype, folder)
    (folder / EMPTY_PROMPT).unlink()
    computed = EmbeddedModel.load(CPU, dtype, folder)
    a, b = (m.encode_prompt("").parts[0] for m in (stored, computed))
    assert a.dtype == b.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    finest = {torch.float64: 1e-12, torch.float32: 1e-6}
    torch.testing.assert_close(a, b, rtol=0, atol=finest.get(dtype, 0.02))
    assert stored.hash == computed.hash, "it is no weight"


def test_a_damaged_store_or_an_unknown_precision_is_computed_too(folder: Path) -> None:
    expected = EmbeddedModel.load(CPU, torch.float32, folder).encode_prompt("").parts[0]
    save_file({"float8": torch.zeros(1)}, folder / EMPTY_PROMPT)
    torch.testing.assert_close(
        EmbeddedModel.load(CPU, torch.float32, folder).encode_prompt("").parts[0], expected
    )
    (folder / EMPTY_PROMPT).write_bytes(b"damaged")
    torch.testing.assert_close(
        EmbeddedModel.load(CPU, torch.float32, folder).encode_prompt("").parts[0], expected
    )


def test_prompts_are_listened_to_and_cut_ones_noted(model: EmbeddedModel) -> None:
    x = torch.randn(1, 2048, generator=torch.Generator().manual_seed(0))
    denoiser = model.denoiser(128, 128)
    bare, told = (denoiser.epsilon(x, 600.0, model.encode_prompt(t)) for t in ("", PROMPT))
    assert float((bare - told).abs().max()) > 1e-3
    assert model.prompt_notes("") == model.prompt_notes(PROMPT) == ()
    (note,) = model.prompt_notes(" ".join(["red"] * 40))
    assert note == (
        "the prompt has 42 tokens, marks of its ends included, and tokenizer keeps 32: the last 10 "
        "are cut off"
    )


# Damage


def test_a_damaged_installation_is_refused(folder: Path) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    for wrong in (
        {k: weights[k] for k in sorted(weights)[1:]},
        weights | {"more": torch.zeros(1)},
        weights | {"conv_in.bias": torch.zeros(3)},
    ):
        save_file(wrong, file)
        with pytest.raises(ModelError, match=r"incomplete or damaged.*reinstall"):
            EmbeddedModel.load(CPU, torch.float32, folder)
    file.unlink()
    with pytest.raises(ModelError, match=r"incomplete or damaged.*reinstall"):
        EmbeddedModel.load(CPU, torch.float32, folder)


def test_a_damaged_text_encoder_is_refused_when_a_prompt_comes(folder: Path) -> None:
    file = folder / "text_encoder" / "model.safetensors"
    save_file({f"x.{k}": v for k, v in load_file(file).items()}, file, metadata={"format": "pt"})
    model = EmbeddedModel.load(CPU, torch.float32, folder)
    assert model.encode_prompt("").rows == 1
    with pytest.raises(ModelError, match="the weights of the text_encoder of embedded"):
        model.encode_prompt(PROMPT)
    config = folder / "unet" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "in_channels": 4}))
    with pytest.raises(ModelError, match="incomplete or damaged"):
        EmbeddedModel.load(CPU, torch.float32, folder)


# What it can do


def test_on_a_cpu_weights_are_channels_last_and_that_changes_nothing(model: EmbeddedModel) -> None:
    network, edge = model.unet, model.native_size
    weights = [p for p in network.parameters() if p.ndim == 4]
    assert weights
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)
    denoiser, condition = model.denoiser(edge, edge), model.encode_prompt("")
    x = torch.randn(2, denoiser.network.dim, generator=torch.Generator().manual_seed(0))
    fast = denoiser.epsilon(x, 500.0, condition)
    placed: Any = network
    placed.to(memory_format=torch.contiguous_format)
    try:
        plain = denoiser.epsilon(x, 500.0, condition)
    finally:
        placed.to(memory_format=torch.channels_last)
    torch.testing.assert_close(fast, plain, rtol=0, atol=5e-5)


def test_sizes_are_multiples_of_32(model: EmbeddedModel) -> None:
    assert isinstance(model.codec(64, 96), VAECodec)
    assert model.codec(64, 96).latent_shape == (8, 8, 12)
    for wrong in ((120, 128), (128, 0)):
        with pytest.raises(ValueError, match="multiples of 32 for embedded"):
            model.denoiser(*wrong)


def test_inversion_and_back_keep_the_portraits(model: EmbeddedModel) -> None:
    edge, images = model.native_size, portraits(model)
    meter = Meter()
    codec, denoiser = model.codec(edge, edge), model.denoiser(edge, edge).metered(meter)
    condition = model.encode_prompt("")
    clean = codec.encode(images)
    x = invert(denoiser, clean, condition, steps=50, level=0.3)
    spent = meter.read()
    back = sample(denoiser, x, condition, steps=50, level=0.3)
    coded, returned = psnr(codec.decode(clean), images), psnr(codec.decode(back), images)
    assert float(coded.min()) > 28.0
    assert float((coded - returned).max()) < 0.2
    assert spent.nfe <= 2 * 25


def test_the_score_at_a_level_has_the_norm_of_its_noise(model: EmbeddedModel) -> None:
    edge = model.native_size
    denoiser, codec = model.denoiser(edge, edge), model.codec(edge, edge)
    timestep = denoiser.schedule.timestep(50, 0.6)
    a, s = denoiser.schedule.coefficients(timestep)
    clean = codec.encode(portraits(model))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    score = LevelScore(denoiser, timestep, model.encode_prompt(""))
    energy = s * score(torch.zeros(2), a * clean + s * noise).norm(dim=1) / clean.shape[1] ** 0.5
    torch.testing.assert_close(energy, torch.ones(2), rtol=0.15, atol=0.0)
