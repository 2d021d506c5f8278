"""The conformance suite of model families: every adapter against an exact Gaussian."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pytest
import torch
from torch import Tensor

from diffusion_geodesics.bvp import Solution
from diffusion_geodesics.diffusion import Condition, LevelScore, invert, sample
from diffusion_geodesics.geodesics import geodesic
from diffusion_geodesics.models import (
    FAMILIES,
    DiffusionModel,
    PipelineModel,
    from_pipeline,
    load_model,
)
from diffusion_geodesics.models.families import family_named
from tests.conformance.model import CASES, DIM, FamilyCase, gaussian, make_exact


@final
@dataclass(frozen=True)
class Made:
    """A family under test with its pipeline, built once for all tests."""

    case: FamilyCase
    pipe: Any


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    case: FamilyCase = request.param
    pipe = case.make(tmp_path_factory.mktemp(case.name))
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    return Made(case, pipe)


@contextmanager
def exact(made: Made, dtype: torch.dtype) -> Iterator[DiffusionModel]:
    """The model with its network replaced by the exact one; the pipeline is reset after."""
    network = getattr(made.pipe, made.case.part)
    try:
        made.pipe.to(dtype)
        make_exact(made.case, made.pipe, gaussian(dtype))
        yield from_pipeline(made.pipe)
    finally:
        del network.forward
        made.pipe.to(torch.float32)


def points(rows: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(rows, DIM, generator=generator, dtype=torch.float64).to(dtype)


def test_every_family_of_the_registry_is_here(made: Made) -> None:
    assert family_named(type(made.pipe).__name__, "it").name == made.case.family
    assert [f.name for f in FAMILIES if f.claims(made.pipe)] == [made.case.family]
    assert {family.name for family in FAMILIES} == {case.family for case in CASES}


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)], ids=str
)
def test_the_score_of_a_gaussian_is_exact(made: Made, dtype: torch.dtype, tolerance: float) -> None:
    case, x = made.case, points(3, dtype)
    with exact(made, dtype) as model:
        denoiser = model.denoiser(*case.size)
        condition = Condition.stack([model.encode_prompt(case.prompts[k]) for k in (0, 1, 0)])
        shift = case.text(made.pipe, condition).to(dtype)[:, None]
        for timestep in case.timesteps:
            a, s = denoiser.schedule.coefficients(timestep)
            noised = a * x + s * x.flip(1)
            truth = gaussian(dtype).score(noised, a, s, shift)
            epsilon = denoiser.epsilon(noised, timestep, condition)
            assert epsilon.dtype == dtype
            assert (-epsilon / s - truth).abs().max() < tolerance * truth.abs().max()


def test_inversion_followed_by_sampling_returns_the_start(made: Made) -> None:
    with exact(made, torch.float64) as model:
        denoiser, x0 = model.denoiser(*made.case.size), points(2)
        c = model.encode_prompt(made.case.prompts[0])
        x = invert(denoiser, x0, c, steps=10, level=0.4, refinements=60, tolerance=1e-12)
        back = sample(denoiser, x, c, steps=10, level=0.4)
    assert (back - x0).abs().max() < 1e-9


@pytest.fixture(scope="module")
def reference() -> Solution:
    """The geodesic of the density that every family knows at noise $s/a = 1$, in $y = x/a$."""
    data = gaussian()
    variance = data.variance(1.0, 1.0)
    return geodesic(lambda y: -(y - data.mean) / variance, *points(2), alpha=0.02, tol=1e-6)


@pytest.mark.slow
def test_geodesics_agree_across_families_on_the_same_density(
    made: Made, reference: Solution
) -> None:
    with exact(made, torch.float64) as model:
        denoiser = model.denoiser(*made.case.size)
        timestep = denoiser.schedule.timestep_at(1.0)
        a, _ = denoiser.schedule.coefficients(timestep)
        condition = model.encode_prompt(made.case.prompts[0])
        shift = made.case.text(made.pipe, condition).to(torch.float64)
        score = LevelScore(denoiser, timestep, condition)
        ends = [a * (point + shift) for point in points(2)]  # the text moves the Gaussian
        solution = geodesic(score, *ends, alpha=0.02, tol=1e-6)
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    assert (solution.path(t) / a - shift - reference.path(t)).abs().max() < 1e-5
    assert float(solution.length / a) == pytest.approx(float(reference.length), rel=1e-5)


def test_saved_and_reloaded_a_pipeline_gives_the_same(made: Made, tmp_path: Path) -> None:
    case, live = made.case, from_pipeline(made.pipe)
    made.pipe.save_pretrained(tmp_path)
    loaded = load_model(tmp_path, device="cpu")
    assert loaded.id == str(tmp_path)
    assert loaded.hash == load_model(tmp_path, device="cpu").hash
    assert isinstance(loaded, PipelineModel)
    assert type(loaded) is type(live)
    assert from_pipeline(loaded.pipeline).hash == live.hash
    x, images = points(2, torch.float32), torch.rand(1, 3, *case.size)
    timestep = live.denoiser(*case.size).schedule.timestep(10, 0.5)
    outputs, coded = [], []
    for model in (live, loaded):
        condition = model.encode_prompt(case.prompts[0])
        outputs.append(model.denoiser(*case.size).epsilon(x, timestep, condition))
        coded.append(model.codec(*case.size).encode(images))
    torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(*coded, rtol=1e-5, atol=1e-5)


def state(pipe: Any) -> dict[str, Any]:
    """All that can be seen of a pipeline: configurations, scheduler, weights, precision."""
    networks = {n: p for n, p in pipe.components.items() if isinstance(p, torch.nn.Module)}
    weights = {(n, k): w for n, p in networks.items() for k, w in p.state_dict().items()}
    return {
        "components": {name: id(part) for name, part in pipe.components.items()},
        "configs": [dict(pipe.config), dict(pipe.scheduler.config)],
        "network configs": {n: str(p.config) for n, p in networks.items()},
        "timesteps": pipe.scheduler.timesteps.tolist(),
        "weights": {k: (w.dtype, float(w.double().sum())) for k, w in weights.items()},
        "training": {n: p.training for n, p in networks.items()},
        "tiling": [getattr(p, "use_tiling", None) for p in networks.values()],
    }


def test_a_model_leaves_its_pipeline_as_it_was(made: Made) -> None:
    case, before = made.case, state(made.pipe)
    model = from_pipeline(made.pipe)
    codec, denoiser = model.codec(*case.size), model.denoiser(*case.size)
    x0, c = codec.encode(torch.rand(1, 3, *case.size)), model.encode_prompt(case.prompts[0])
    x = invert(denoiser, x0, c, steps=2, level=0.5, refinements=0)
    codec.decode(sample(denoiser, x, c, steps=2, level=0.5))
    assert state(made.pipe) == before


def test_rows_of_conditions_go_with_rows_of_points(made: Made) -> None:
    model, fired = from_pipeline(made.pipe), []
    denoiser = model.denoiser(*made.case.size)
    a, b = (model.encode_prompt(text) for text in made.case.prompts)
    assert a.rows == 1
    x, timestep = points(3, torch.float32), denoiser.schedule.timestep(10, 0.5)
    network = getattr(made.pipe, made.case.part)
    handle = network.register_forward_pre_hook(lambda *_: fired.append(1))
    mixed = denoiser.epsilon(x, timestep, Condition.stack([a, b, a]))
    handle.remove()
    assert fired == [1], "all rows go in one call, and the call is the module's"
    for k, condition in enumerate((a, b)):
        alone = denoiser.epsilon(x[k : k + 1], timestep, condition)
        torch.testing.assert_close(mixed[k : k + 1], alone, rtol=1e-4, atol=1e-4)
    ends = a.lerp(b, torch.tensor([0.0, 1.0]))
    assert all(torch.equal(p[:1], q) for p, q in zip(ends.parts, a.parts, strict=True))


def test_wrong_sizes_are_refused_in_one_line(made: Made) -> None:
    model, (height, width) = from_pipeline(made.pipe), made.case.size
    for wrong in ((height + 1, width), (0, width)):
        for build in (model.codec, model.denoiser):
            with pytest.raises(ValueError, match="multiples of|square") as caught:
                build(*wrong)
            assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="fit the images"):
        model.codec(height, width).encode(torch.zeros(1, 3, 4, 4))
    with pytest.raises(ValueError, match="coordinates"):
        model.codec(height, width).decode(torch.zeros(1, 7))


@pytest.mark.slow
def test_half_precision_networks_keep_geometry_in_full(made: Made) -> None:
    case, x, values = made.case, points(1, torch.float32), []
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        model = from_pipeline(made.pipe.to(dtype))
        assert model.dtype == dtype
        denoiser = model.denoiser(*case.size)
        timestep = denoiser.schedule.timestep(10, 0.5)
        values.append(denoiser.epsilon(x, timestep, model.encode_prompt(case.prompts[0])))
        assert values[-1].dtype == torch.float32
    images = torch.rand(1, 3, *case.size)
    assert model.codec(*case.size).encode(images).dtype == torch.float32
    torch.testing.assert_close(values[0], values[2], rtol=0.05, atol=0.05)
    torch.testing.assert_close(values[1], values[2], rtol=0.2, atol=0.2)
