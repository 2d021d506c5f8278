"""The model inside the package: it opens, round trips, and follows its own scale."""

from pathlib import Path

import pytest
import torch

from diffusion_geodesics.diffusion import LevelScore, invert, sample
from diffusion_geodesics.framing import fit
from diffusion_geodesics.images import load_image, psnr
from diffusion_geodesics.models import DiffusionModel, StableDiffusionModel, load_model
from diffusion_geodesics.models.loading import EMBEDDED

EXAMPLES = Path(__file__).parents[1] / "examples"

pytestmark = pytest.mark.skipif(
    not (EMBEDDED / "model_index.json").is_file() or not (EXAMPLES / "portrait_a.png").is_file(),
    reason="the embedded model or the example portraits are not here",
)


@pytest.fixture(scope="module")
def model() -> DiffusionModel:
    return load_model(device="cpu")


def portraits(model: DiffusionModel) -> torch.Tensor:
    edge = model.native_size
    paths = [EXAMPLES / f"portrait_{name}.png" for name in "ab"]
    return torch.stack([fit(load_image(path), edge, edge).image for path in paths])


def test_it_fits_into_the_package(model: DiffusionModel) -> None:
    assert isinstance(model, StableDiffusionModel)
    assert sum(file.stat().st_size for file in model.files) <= 20 * 2**20
    assert model.dtype == torch.float32
    assert model.encode_prompt("").rows == 1


def test_on_a_cpu_weights_are_channels_last_and_that_changes_nothing(model: DiffusionModel) -> None:
    assert isinstance(model, StableDiffusionModel)
    network, edge = model.pipeline.unet, model.native_size
    weights = [p for p in network.parameters() if p.ndim == 4]
    assert weights
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)
    denoiser, condition = model.denoiser(edge, edge), model.encode_prompt("")
    x = torch.randn(2, denoiser.network.dim, generator=torch.Generator().manual_seed(0))
    fast = denoiser.epsilon(x, 500.0, condition)
    network.to(memory_format=torch.contiguous_format)
    try:
        plain = denoiser.epsilon(x, 500.0, condition)
    finally:
        network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(fast, plain, rtol=0, atol=5e-5)


def test_inversion_and_back_keep_the_portraits(model: DiffusionModel) -> None:
    edge, images = model.native_size, portraits(model)
    codec, denoiser = model.codec(edge, edge), model.denoiser(edge, edge)
    condition = model.encode_prompt("")
    clean = codec.encode(images)
    x, cost = invert(denoiser, clean, condition, steps=50, level=0.3)
    back, _ = sample(denoiser, x, condition, steps=50, level=0.3)
    coded, returned = psnr(codec.decode(clean), images), psnr(codec.decode(back), images)
    assert float(coded.min()) > 28.0
    assert float((coded - returned).max()) < 0.2
    assert cost.rows <= 2 * 25


def test_the_score_at_a_level_has_the_norm_of_its_noise(model: DiffusionModel) -> None:
    edge = model.native_size
    denoiser, codec = model.denoiser(edge, edge), model.codec(edge, edge)
    timestep = denoiser.schedule.timestep(50, 0.6)
    a, s = denoiser.schedule.coefficients(timestep)
    clean = codec.encode(portraits(model))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    score = LevelScore(denoiser, timestep, model.encode_prompt(""))
    energy = s * score(torch.zeros(2), a * clean + s * noise).norm(dim=1) / clean.shape[1] ** 0.5
    torch.testing.assert_close(energy, torch.ones(2), rtol=0.15, atol=0.0)
