"""A model given by a plain function: exact scores, any schedule, autograd inside, mistakes."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from diffusion_geodesics.diffusion import (
    DiscreteSchedule,
    EDMPrediction,
    EDMSchedule,
    EpsilonPrediction,
    FlowPrediction,
    FlowSchedule,
    LevelScore,
    invert,
    sample,
)
from diffusion_geodesics.geodesics import geodesic
from diffusion_geodesics.models import FunctionModel, ModelError, PixelCodec
from diffusion_geodesics.models.array_level import NoiseWarning
from diffusion_geodesics.models.function import from_denoiser, from_score
from tests.conformance.denoiser import Gaussian, exact_output, scaled_linear

SHAPE = (3, 4, 5)


def gaussian() -> Gaussian:
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(60, generator=generator, dtype=torch.float64)
    return Gaussian(mean, 0.5 + torch.rand(60, generator=generator, dtype=torch.float64))


DATA = gaussian()


def denoise(x: Tensor, sigma: float) -> Tensor:
    """The mean of the clean data, on image-shaped points."""
    return DATA.clean(x.flatten(1), 1.0, sigma).unflatten(1, SHAPE)


def score(x: Tensor, sigma: float) -> Tensor:
    """The score, on flat points."""
    return DATA.score(x, 1.0, sigma)


def density_gradient(x: Tensor, sigma: float) -> Tensor:
    """The score as the gradient of a log density, by autograd."""
    x = x.detach().requires_grad_()
    variance = DATA.variance(1.0, sigma)
    log_density = -0.5 * ((x - DATA.mean) ** 2 / variance).sum()
    return torch.autograd.grad(log_density, x)[0]


def points(rows: int = 3) -> Tensor:
    return torch.randn(rows, 60, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize(
    "model",
    [
        from_denoiser(denoise, SHAPE),
        from_score(score, SHAPE, flat=True),
        from_score(density_gradient, SHAPE, flat=True),
    ],
    ids=["denoise", "score", "autograd"],
)
def test_the_score_of_a_gaussian_is_exact(model: FunctionModel) -> None:
    denoiser, x = model.denoiser(4, 5), points()
    for level in (0.5, 0.8, 1.0):
        sigma = denoiser.schedule.timestep(20, level)
        value = LevelScore(denoiser, sigma, model.encode_prompt(""))(torch.zeros(3), x)
        exact = DATA.score(x, 1.0, sigma)
        assert not value.requires_grad
        assert (value - exact).abs().max() < 1e-10 * exact.abs().max()


@pytest.mark.parametrize(
    ("schedule", "prediction"),
    [
        (FlowSchedule(), FlowPrediction()),
        (scaled_linear(), EpsilonPrediction()),
        (EDMSchedule(sigma_max=5.0), EDMPrediction(0.5)),
    ],
    ids=["flow", "betas", "edm"],
)
def test_other_schedules_give_the_function_their_time_step(
    schedule: FlowSchedule | DiscreteSchedule | EDMSchedule,
    prediction: FlowPrediction | EpsilonPrediction | EDMPrediction,
) -> None:
    def output(x: Tensor, timestep: float) -> Tensor:
        return exact_output(DATA, prediction, x, *schedule.coefficients(timestep), 0.0)

    model = from_denoiser(output, SHAPE, schedule=schedule, prediction=prediction, flat=True)
    denoiser, x0, none = model.denoiser(4, 5), points(), model.encode_prompt("")
    x = invert(denoiser, x0, none, steps=6, level=0.5, refinements=60, tolerance=1e-12)
    back = sample(denoiser, x, none, steps=6, level=0.5)
    assert (back - x0).abs().max() < 1e-9
    timestep = schedule.timestep(6, 0.5)
    exact = DATA.score(x, *schedule.coefficients(timestep))
    value = LevelScore(denoiser, timestep, none)(torch.zeros(3), x)
    torch.testing.assert_close(value, exact, rtol=1e-9, atol=1e-9)


def test_a_module_brings_its_weights_precision_and_hash() -> None:
    module = torch.nn.Conv2d(3, 3, 1).double()
    model = from_denoiser(lambda x, sigma: x, SHAPE)
    assert model.dtype == torch.float32
    assert model.hash == from_denoiser(lambda x, sigma: x, SHAPE).hash != ""

    class Shrink(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = module

        def forward(self, x: Tensor, sigma: float) -> Tensor:
            return self.layer(x) / (1 + sigma**2)

    network = Shrink()
    model = from_denoiser(network, SHAPE, id="shrink")
    assert (model.id, model.dtype, model.native_size) == ("shrink", torch.float64, 5)
    before = model.hash
    with torch.no_grad():
        next(module.parameters()).add_(1.0)
    assert from_denoiser(network, SHAPE, id="shrink").hash != before
    value = model.denoiser(4, 5).epsilon(points(), 1.0, model.encode_prompt(""))
    assert not value.requires_grad


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_go_to_minus_one_and_one_and_back(channels: int) -> None:
    codec = PixelCodec(4, 5, channels, torch.device("cpu"))
    images = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    if channels == 1:
        images = images[:, :1].expand(-1, 3, -1, -1)
    coded = codec.encode(images)
    assert coded.shape == (2, channels * 20)
    torch.testing.assert_close(codec.decode(coded), images)
    assert float(codec.encode(torch.ones(1, 3, 4, 5)).min()) == pytest.approx(1.0)
    assert float(codec.decode(torch.full((1, channels * 20), 9.0)).max()) == 1.0


def test_mistakes_are_named() -> None:
    model = from_denoiser(lambda x, sigma: x[:, :1], SHAPE)
    with pytest.raises(ValueError, match="expected a tensor of the same shape"):
        model.denoiser(4, 5).epsilon(points(), 1.0, model.encode_prompt(""))
    with pytest.raises(ValueError, match="made for 4x5"):
        model.codec(8, 8)
    with pytest.raises(ModelError, match="leave it empty"):
        model.encode_prompt("a cat")
    with pytest.raises(ValueError, match="must be the same"):
        from_denoiser(denoise, SHAPE, codec=PixelCodec(8, 8, 3, torch.device("cpu")))


def test_a_module_builds_no_graph() -> None:
    seen: list[bool] = []
    layer = torch.nn.Linear(60, 60).double()

    def function(x: Tensor, sigma: float) -> Tensor:
        value = layer(x)
        seen.append(value.requires_grad)
        return value

    model = from_denoiser(function, SHAPE, flat=True)
    model.denoiser(4, 5).epsilon(points(), 1.0, model.encode_prompt(""))
    assert seen == [False]


def test_threads_do_not_mix_the_state_of_a_function() -> None:
    """A network that keeps its condition in itself while it runs, as many do."""

    class Stateful(torch.nn.Module):
        def forward(self, x: Tensor, sigma: float, embedding: Tensor) -> Tensor:
            self.embedding = embedding
            time.sleep(0.002)
            return x * self.embedding.mean()

    model = from_denoiser(Stateful(), SHAPE, embed=lambda text: torch.full((1,), float(len(text))))
    denoiser = model.denoiser(4, 5)

    def job(length: int) -> list[Tensor]:
        condition = model.encode_prompt("x" * length)
        return [denoiser.output(points(), 1.0, condition) for _ in range(5)]

    with ThreadPoolExecutor(4) as pool:
        for length, outputs in enumerate(pool.map(job, range(1, 5)), 1):
            for output in outputs:
                torch.testing.assert_close(output, length * points())


SHAPES = [(60,), (3, 20), (1, 60), (2, 3, 2, 5), (4, 3, 5)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_arrays_of_any_shape(shape: tuple[int, ...]) -> None:
    """There and back, and a geodesic between: that of the exact density of flat points."""

    def denoise_arrays(x: Tensor, sigma: float) -> Tensor:
        assert x.shape[1:] == shape
        return DATA.clean(x.flatten(1), 1.0, sigma).unflatten(1, shape)

    at = from_denoiser(denoise_arrays, shape).at(0.4)
    arrays = DATA.mean.reshape(shape) + points(2).reshape(2, *shape)
    x = at.noised(arrays, refinements=20)
    assert x.shape == (2, 60)
    torch.testing.assert_close(at.clean(x), arrays, rtol=0, atol=1e-2)
    _, sigma = at.coefficients
    torch.testing.assert_close(
        at.score(torch.zeros(()).double(), x), DATA.score(x, 1.0, sigma), rtol=1e-6, atol=1e-6
    )
    path = geodesic(at.score, x[0], x[1], alpha=1 / 60, starts=1)
    exact = geodesic(lambda y: DATA.score(y, 1.0, sigma), x[0], x[1], alpha=1 / 60, starts=1)
    torch.testing.assert_close(path.length, exact.length, rtol=1e-3, atol=0)
    between = at.clean(path.path(torch.linspace(0, 1, 3).double()))
    assert between.shape == (3, *shape)


def test_arrays_are_no_images() -> None:
    model = from_score(score, (60,))
    for use in (lambda: model.codec(4, 5), lambda: model.denoiser(4, 5), lambda: model.native_size):
        with pytest.raises(ModelError, match=r"arrays of shape \(60,\).* use model.at\(level\)"):
            use()
    with pytest.raises(ValueError, match=r"got arrays of shape \(2, 59\); expected \(60,\)"):
        model.at(0.4).noised(torch.zeros(2, 59))
    with pytest.raises(ValueError, match="noise level 1.5"):
        model.at(1.5)
    for shape in ((), (0, 3)):
        with pytest.raises(ValueError, match="shape"):
            from_score(score, shape)


def blind(x: Tensor, sigma: float) -> Tensor:
    """A denoiser that is not told its noise level: it takes what it sees for noise and shrinks it
    towards a constant, which it leaves alone."""
    centre = x.mean(1, keepdim=True)
    spread = (x - centre).square().mean(1, keepdim=True)
    return x - (x - centre) * spread / (spread + 1e-6)


def test_a_blind_denoiser_is_found_out() -> None:
    """On clean data it finds no noise; from a little noise on it does."""
    at = from_denoiser(blind, (60,)).at(0.3, steps=40)
    clean = torch.linspace(-1, 1, 3).double()[:, None].expand(3, 60)
    with pytest.warns(NoiseWarning, match=r"0 times the noise .*start_noise"):
        still = at.noised(clean)
    torch.testing.assert_close(still, clean)
    x = at.noised(clean, start_noise=0.02)  # no warning
    _, sigma = at.coefficients
    scale = ((x - clean) / sigma).square().mean(1).sqrt()
    assert bool(((scale > 0.5) & (scale < 1.5)).all())
    with pytest.raises(ValueError, match="start noise 1e"):
        at.noised(clean, start_noise=1e6)


def test_a_network_of_another_scale_is_found_out() -> None:
    """It gives ε where the score was asked for."""
    model = from_score(lambda x, sigma: 8 * DATA.score(x, 1.0, sigma), (60,), flat=True)
    with pytest.warns(NoiseWarning, match="leaves the range"):
        model.at(0.5).noised(DATA.mean + points(2))
