"""Inner features: what each family gives, where it points, and that nothing stays behind."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pytest
import torch
from torch import Tensor

from diffusion_geodesics.diffusion import Condition, Denoiser, NonFiniteError, memory
from diffusion_geodesics.images import load_image
from diffusion_geodesics.models import from_denoiser, from_pipeline, from_score, load_model
from diffusion_geodesics.models.activations import (
    middle_block,
    recorded_outputs,
    tokens_to_grid,
)
from tests.conformance.denoiser import exact_denoiser, shifts
from tests.conformance.model import CASES, FamilyCase
from tests.tiny_pipelines import tiny_pipeline

TWO_LEVELS = ((16, 8, 12), (16, 8, 12))
SHAPES: dict[str, tuple[tuple[int, int, int], ...]] = {
    "Stable Diffusion 1.x, 2.x": TWO_LEVELS,
    "SDXL": TWO_LEVELS,
    "DDPM, DDIM": ((8, 32, 48), (8, 32, 48)),
    "Stable Diffusion 3, 3.5": ((16, 4, 6),),
    "Flux.1": ((16, 4, 6),),
    "PixArt-alpha, PixArt-sigma": ((24, 4, 6),),
    "DiT": ((16, 4, 4),),
}
"""(channels, height, width) for images of 32x48, DiT's of 32x32."""


@final
@dataclass(frozen=True)
class Made:
    """A family under test: its network, the denoiser for images that are not square, points."""

    case: FamilyCase
    network: Any
    denoiser: Denoiser
    condition: Condition
    x: Tensor
    timestep: float
    latent_shape: tuple[int, ...]

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.denoiser.features(x, self.timestep, self.condition)

    def output(self) -> Tensor:
        return self.denoiser.output(self.x, self.timestep, self.condition)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    case: FamilyCase = request.param
    pipe = case.make(tmp_path_factory.mktemp(case.name))
    model = from_pipeline(pipe)
    size = (32, 32) if case.family == "DiT" else (32, 48)
    denoiser = model.denoiser(*size)
    codec = model.codec(*size)
    x = torch.randn(3, denoiser.network.dim, generator=torch.Generator().manual_seed(1))
    return Made(
        case,
        getattr(pipe, case.part),
        denoiser,
        model.encode_prompt(case.prompts[1]),
        x,
        denoiser.schedule.timestep(10, 0.5),
        tuple(codec.latent_shape),
    )


def hooks(network: torch.nn.Module) -> int:
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules()
    )


def last_layer(network: Any) -> torch.nn.Module:
    """What follows the recorded block in networks of two blocks: the norm before the output."""
    return network.conv_norm_out if hasattr(network, "conv_norm_out") else network.norm_out


def test_features_cover_the_image(made: Made) -> None:
    features = made.features(made.x)
    assert tuple(tuple(level.shape) for level in features) == tuple(
        (3, *shape) for shape in SHAPES[made.case.family]
    )
    assert all(level.dtype == torch.float32 and not level.is_inference() for level in features)
    double = made.features(made.x.double())
    for level, same in zip(features, double, strict=True):
        assert same.dtype == torch.float64
        torch.testing.assert_close(same.float(), level, rtol=1e-4, atol=1e-5)


def test_the_last_features_are_what_enters_the_last_layer(made: Made) -> None:
    entered: list[Tensor] = []
    handle = last_layer(made.network).register_forward_pre_hook(
        lambda _module, inputs: entered.append(inputs[0].detach().clone())
    )
    try:
        fine = made.features(made.x)[-1]
    finally:
        handle.remove()
    (theirs,) = entered
    if theirs.ndim == 3:  # tokens, line after line
        height, width = fine.shape[2:]
        assert theirs.shape[1] == height * width, "the text's tokens are gone by then"
        expected = torch.stack(
            [theirs[:, width * i + j] for i in range(height) for j in range(width)], dim=-1
        ).reshape(fine.shape)
    else:
        expected = theirs
    assert torch.equal(fine, expected)


@pytest.mark.parametrize("corner", [(0, 0), (0, -1), (-1, 0), (-1, -1)])
def test_a_change_in_a_corner_shows_there_most(made: Made, corner: tuple[int, int]) -> None:
    picture = made.x[:1].unflatten(1, made.latent_shape).clone()
    row, column = (slice(0, 2) if k == 0 else slice(-2, None) for k in corner)
    picture[:, :, row, column] += 1.0
    before, after = made.features(made.x[:1]), made.features(picture.flatten(1))
    for old, new in zip(before, after, strict=True):
        change = (new - old).square().sum(dim=(0, 1))
        height, width = change.shape
        place = int(change.argmax())
        found = (place // width >= height / 2, place % width >= width / 2)
        assert found == (corner[0] == -1, corner[1] == -1)


def test_outputs_and_hooks_are_as_before(made: Made) -> None:
    output, count = made.output(), hooks(made.network)
    made.features(made.x)
    assert hooks(made.network) == count
    assert torch.equal(made.output(), output)


def test_nothing_stays_behind_after_a_failure(made: Made) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("the last layer broke")

    output, count = made.output(), hooks(made.network)
    handle = last_layer(made.network).register_forward_pre_hook(fail)
    try:
        with pytest.raises(RuntimeError, match="last layer broke"):
            made.features(made.x)
    finally:
        handle.remove()
    assert hooks(made.network) == count
    assert torch.equal(made.output(), output)


def test_pieces_give_what_all_rows_at_once_give(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = made.features(made.x)
    sizes: list[int] = []
    handle = last_layer(made.network).register_forward_pre_hook(
        lambda _module, inputs: sizes.append(len(inputs[0]))
    )
    monkeypatch.setattr(memory, "free_bytes", lambda _device: 1)
    try:
        pieces = made.features(made.x)
    finally:
        handle.remove()
    assert sizes == [1, 1, 1]
    for level, joined in zip(whole, pieces, strict=True):
        torch.testing.assert_close(joined, level, rtol=1e-4, atol=1e-5)


def test_time_and_mistakes_matter(made: Made) -> None:
    earlier = made.denoiser.schedule.timestep(10, 0.2)
    there = made.denoiser.features(made.x, earlier, made.condition)
    for level, other in zip(made.features(made.x), there, strict=True):
        assert not torch.allclose(level, other, atol=1e-3)
    with pytest.raises(ValueError, match="coordinates"):
        made.features(made.x[:, 1:])
    with pytest.raises(ValueError, match="float32 or float64"):
        made.features(made.x.half())
    with pytest.raises(NonFiniteError, match="3 of 3 rows"):
        made.features(torch.full_like(made.x, torch.nan))


# U-Nets as users have them


@pytest.fixture
def unet_model(tmp_path: Path) -> Any:
    return from_pipeline(tiny_pipeline(tmp_path))


def features_of(model: Any) -> tuple[Tensor, ...]:
    x = torch.randn(2, 256, generator=torch.Generator().manual_seed(2))
    return model.denoiser(32, 32).features(x, 261.0, model.encode_prompt("abc"))


def test_offloaded_networks_give_the_same(unet_model: Any) -> None:
    from accelerate import cpu_offload

    expected, unet = features_of(unet_model), unet_model.pipeline.unet
    cpu_offload(unet, torch.device("cpu"))
    assert next(unet.parameters()).is_meta
    for _ in range(2):
        for level, same in zip(expected, features_of(unet_model), strict=True):
            assert torch.equal(level, same)
    assert all(parameter.is_meta for parameter in unet.parameters()), "offloaded again"


def test_half_precision_networks_answer_in_full(unet_model: Any) -> None:
    expected = features_of(unet_model)
    unet_model.pipeline.unet.to(torch.bfloat16)
    for level, rough in zip(expected, features_of(unet_model), strict=True):
        assert rough.dtype == torch.float32
        torch.testing.assert_close(rough, level, rtol=0.1, atol=0.1)


def test_what_the_next_block_overwrites_is_kept(unet_model: Any) -> None:
    unet = unet_model.pipeline.unet
    unet.enable_freeu(s1=0.9, s2=0.2, b1=1.5, b2=1.6)
    given: list[Tensor] = []
    handle = unet.up_blocks[0].register_forward_hook(lambda *a: given.append(a[-1].clone()))
    coarse, _ = features_of(unet_model)
    handle.remove()
    assert torch.equal(coarse, given[0])


def test_a_unet_of_one_up_block_gives_that() -> None:
    from diffusers.pipelines.ddpm.pipeline_ddpm import DDPMPipeline

    from tests.tiny.ddpm import tiny_unet
    from tests.tiny.parts import tiny_ddim

    unet = tiny_unet(
        block_out_channels=(8,), down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",)
    )
    scheduler: Any = tiny_ddim()
    model = from_pipeline(DDPMPipeline(unet=unet, scheduler=scheduler))
    condition = model.encode_prompt("")
    (level,) = model.denoiser(8, 12).features(torch.zeros(2, 3 * 8 * 12), 100.0, condition)
    assert level.shape == (2, 8, 8, 12)


def test_compiled_networks_are_recorded_too() -> None:
    net = torch.nn.Sequential(*(torch.nn.Linear(3, 3) for _ in range(3)))
    x = torch.randn(2, 3)
    blocks, expected = list(net), [net[0](x), net[1](net[0](x))]
    compiled: Any = torch.compile(net, backend="eager")
    whole = compiled(x)
    with recorded_outputs(blocks[:2]) as outputs:
        assert torch.equal(compiled(x), whole)
    assert len(outputs) == 2
    assert all(torch.equal(a, b) for a, b in zip(outputs, expected, strict=True))
    assert torch.equal(compiled(x), whole)
    assert len(outputs) == 2, "ordinary calls are not listened to"


def test_the_middle_of_all_blocks() -> None:
    double = [torch.nn.Identity() for _ in range(19)]
    single = [torch.nn.Identity() for _ in range(38)]
    assert middle_block(double, single) == [single[9]]
    assert middle_block(double) == [double[9]]
    assert middle_block(double[:1]) == [double[0]]


def test_text_before_the_image_is_left_out() -> None:
    tokens = torch.arange(5 + 2 * 3.0)[None, :, None].expand(1, 11, 2)
    grid = tokens_to_grid(tokens, 2, 3)
    assert grid[0].tolist() == [[[5.0, 6.0, 7.0], [8.0, 9.0, 10.0]]] * 2


# The embedded model


def test_features_of_the_embedded_model_move_with_the_picture() -> None:
    model = load_model("embedded")
    denoiser = model.denoiser(128, 128)
    folder = Path(__file__).parents[2] / "examples"
    image = torch.nn.functional.interpolate(
        load_image(folder / "portrait_a.png")[None], (128, 128), mode="area"
    )
    picture = model.codec(128, 128).encode(image).unflatten(1, (8, 16, 16))
    moved = picture.roll((4, 4), dims=(2, 3))
    noise = torch.randn(1, 8, 16, 16, generator=torch.Generator().manual_seed(0))
    a, s = denoiser.schedule.coefficients(261.0)
    shown = [a * picture + s * noise, a * moved + s * noise.roll((4, 4), dims=(2, 3))]
    condition = model.encode_prompt("")
    coarse, fine = denoiser.features(torch.cat(shown).flatten(1), 261.0, condition)
    assert coarse.shape == (2, 128, 8, 8)
    assert fine.shape == (2, 128, 16, 16)
    for level, steps, least in ((coarse, 2, 0.99), (fine, 4, 0.8)):
        size = level.shape[2]
        unit = torch.nn.functional.normalize(level.flatten(2), dim=1)
        matches = (unit[0].T @ unit[1]).argmax(dim=1)
        inner = torch.arange(size**2).reshape(size, size)[1 : -1 - steps, 1 : -1 - steps].flatten()
        hits = matches[inner] == inner + steps * (size + 1)
        assert float(hits.float().mean()) > least


# Functions


def picture_features(x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    return torch.nn.functional.avg_pool2d(x, 2) * sigma, x


def zero(x: Tensor, sigma: float) -> Tensor:
    return torch.zeros_like(x)


POINTS = torch.randn(3, 3 * 4 * 6, generator=torch.Generator().manual_seed(4))
NONE = Condition((torch.zeros(1, 1),))


@pytest.mark.parametrize("make", [from_denoiser, from_score])
def test_functions_bring_their_own(make: Any) -> None:
    model = make(zero, (3, 4, 6), features=picture_features)
    coarse, fine = model.denoiser(4, 6).features(POINTS, 2.0, NONE)
    assert torch.equal(fine, POINTS.unflatten(1, (3, 4, 6)))
    expected = POINTS.reshape(3, 3, 2, 2, 3, 2).mean(dim=(3, 5)) * 2.0
    torch.testing.assert_close(coarse, expected)
    assert make(zero, (3, 4, 6)).denoiser(4, 6).features(POINTS, 2.0, NONE) == ()


def test_functions_of_embeddings_get_them_row_by_row() -> None:
    def denoise(x: Tensor, sigma: float, text: Tensor) -> Tensor:
        return x

    def features(x: Tensor, sigma: float, text: Tensor) -> list[Tensor]:
        assert x.ndim == 2
        return [text[:, :, None, None].expand(-1, -1, 2, 3)]

    model = from_denoiser(
        denoise,
        (3, 4, 6),
        embed=lambda text: torch.full((5,), float(len(text))),
        flat=True,
        features=features,
    )
    texts = Condition.stack([model.encode_prompt(text) for text in ("", "a", "ab")])
    (level,) = model.denoiser(4, 6).features(POINTS, 1.0, texts)
    assert level.shape == (3, 5, 2, 3)
    assert level[:, 0, 0, 0].tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (lambda x, sigma: x, "Tensor from the features function; expected a tuple"),
        (lambda x, sigma: (x.flatten(1),), r"shape \(3, 72\) for 3 points"),
        (lambda x, sigma: (x[:1],), r"shape \(1, 3, 4, 6\) for 3 points"),
    ],
)
def test_functions_that_give_no_features_are_refused(features: Any, message: str) -> None:
    model = from_denoiser(zero, (3, 4, 6), features=features)
    with pytest.raises(ValueError, match=message):
        model.denoiser(4, 6).features(POINTS, 2.0, NONE)


def test_other_networks_have_none() -> None:
    from diffusion_geodesics.diffusion import EpsilonPrediction

    denoiser, _, network = exact_denoiser(EpsilonPrediction())
    x = torch.zeros(2, 5, dtype=torch.float64)
    assert denoiser.features(x, 10, shifts(0.0)) == ()
    assert network.seen == [], "nothing is run for it"
