"""The facade in the style of diffusers."""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, DPMSolverMultistepScheduler, StableDiffusionPipeline
from PIL import Image
from torch.testing import assert_close

from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.models import ModelError, from_pipeline
from diffusion_geodesics.pipeline import (
    GeodesicInterpolationOutput,
    GeodesicInterpolationPipeline,
)
from tests.tiny.ddpm import tiny_ddpm
from tests.tiny_pipelines import tiny_pipeline

FEW = {
    "num_frames": 3,
    "num_inference_steps": 4,
    "max_steps": 2,
    "film_only": True,
    "allow_atypical": True,
}


def quiet(pipe: GeodesicInterpolationPipeline) -> GeodesicInterpolationPipeline:
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusionPipeline:
    return tiny_pipeline(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def morph(source: StableDiffusionPipeline) -> GeodesicInterpolationPipeline:
    return quiet(GeodesicInterpolationPipeline.from_pipe(source))


@pytest.fixture(scope="module")
def photos() -> tuple[Image.Image, Image.Image]:
    pixels = np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3), dtype=np.uint8)
    return Image.fromarray(pixels[0]), Image.fromarray(pixels[1])


@pytest.mark.whole
def test_it_is_the_same_morph_as_the_function(
    morph: GeodesicInterpolationPipeline, source: StableDiffusionPipeline, photos: Any
) -> None:
    out = morph(photos, prompt=("a", "b"), output_type="pt", **FEW)
    assert isinstance(out, GeodesicInterpolationOutput)
    settings = InterpolationSettings.of(
        prompt=("a", "b"), frames=3, steps=4, max_steps=2, film_only=True, allow_atypical=True
    )
    expected = interpolate(from_pipeline(source), photos, settings)
    assert_close(out.frames, expected.frames)
    assert out.interpolation is not None
    assert out.interpolation.costs.total.nfe == expected.costs.total.nfe
    assert out.interpolation.settings.as_nested() == settings.as_nested()


def test_a_loop(morph: GeodesicInterpolationPipeline, photos: Any) -> None:
    three = [*photos, photos[0].rotate(90)]
    few: dict[str, Any] = {
        "num_frames": 4,
        "num_inference_steps": 4,
        "film_only": True,
        "path": "slerp",
    }
    out: Any = morph(three, output_type="pt", loop=True, **few)
    assert out.interpolation is not None
    assert [(s.first, s.last) for s in out.interpolation.segments] == [(0, 1), (1, 2), (2, 0)]
    assert len(out.frames) == 4


def test_it_has_the_defaults_of_the_function(morph: GeodesicInterpolationPipeline) -> None:
    """Nothing but what was given is passed on."""
    parameters = inspect.signature(morph.__call__).parameters
    own = ("output_type", "return_dict", "images", "settings")
    assert {p.default for name, p in parameters.items() if name not in own} == {None}


@pytest.mark.whole
def test_every_kind_of_picture_goes_in_and_out(
    morph: GeodesicInterpolationPipeline, photos: Any, tmp_path: Path
) -> None:
    tensors = morph(photos, output_type="pt", **FEW).frames  # type: ignore[union-attr]
    arrays = [np.asarray(photo) for photo in photos]
    array = morph(arrays, output_type="np", **FEW).frames  # type: ignore[union-attr]
    assert array.shape == (3, 32, 32, 3)
    assert_close(torch.from_numpy(array).permute(0, 3, 1, 2), tensors)
    photos[0].save(tmp_path / "a.png")
    pictures, done = morph(
        [tmp_path / "a.png", arrays[1] / 255.0],
        return_dict=False,
        **FEW,  # type: ignore[misc]
    )
    assert [p.size for p in pictures] == [(32, 32)] * 3
    assert_close(
        torch.tensor(np.asarray(pictures[1])) / 255.0, torch.tensor(array[1]), atol=3e-3, rtol=0
    )
    assert done is not None
    assert done.segments[0].solution is not None


def test_networks_are_shared_and_nothing_is_cast(source: StableDiffusionPipeline) -> None:
    half = StableDiffusionPipeline(**source.components, requires_safety_checker=False)
    pipe = GeodesicInterpolationPipeline.from_pipe(half)
    assert pipe.components["unet"] is half.unet
    assert set(pipe.components) == set(half.components)
    again = GeodesicInterpolationPipeline.from_pipe(pipe)
    assert again.components["unet"] is half.unet
    back = StableDiffusionPipeline.from_pipe(pipe)
    assert back.unet is half.unet


def test_a_component_can_be_replaced(source: StableDiffusionPipeline) -> None:
    other = DPMSolverMultistepScheduler.from_config(source.scheduler.config)
    pipe = GeodesicInterpolationPipeline.from_pipe(source, scheduler=other)
    assert pipe.components["scheduler"] is other
    assert source.scheduler is not other
    with pytest.raises(ValueError, match="got colour, which StableDiffusionPipeline does not"):
        GeodesicInterpolationPipeline.from_pipe(source, colour=1)


@pytest.mark.whole
def test_saved_and_loaded(
    morph: GeodesicInterpolationPipeline, photos: Any, tmp_path: Path
) -> None:
    morph.save_pretrained(tmp_path / "saved")
    again = quiet(GeodesicInterpolationPipeline.from_pretrained(tmp_path / "saved"))
    got, _ = again(photos, output_type="pt", return_dict=False, **FEW)  # type: ignore[misc]
    expected, _ = morph(photos, output_type="pt", return_dict=False, **FEW)  # type: ignore[misc]
    assert_close(got, expected)


@pytest.mark.whole
def test_other_families(tmp_path: Path, photos: Any) -> None:
    pipe = quiet(GeodesicInterpolationPipeline.from_pipe(tiny_ddpm()))
    edge = pipe.components["unet"].config["sample_size"]
    small = [photo.resize((edge, edge)) for photo in photos]
    assert len(pipe(small, **FEW).frames) == 3  # type: ignore[union-attr]


@pytest.mark.whole
def test_the_callback_follows_and_stops(morph: GeodesicInterpolationPipeline, photos: Any) -> None:
    seen: list[tuple[int, str, int]] = []

    def follow(pipe: Any, step: int, timestep: int, info: dict[str, Any]) -> None:
        seen.append((step, info["stage"], timestep))

    morph(photos, callback_on_step_end=follow, **FEW)
    assert [step for step, *_ in seen] == list(range(len(seen)))
    assert {"encode", "invert", "solve", "decode"} <= {stage for _, stage, _ in seen}

    def stop(pipe: Any, step: int, timestep: int, info: dict[str, Any]) -> None:
        pipe._interrupt = info["stage"] == "solve"

    out = morph(photos, callback_on_step_end=stop, **FEW)
    assert isinstance(out, GeodesicInterpolationOutput)
    assert out.frames == []
    assert out.interpolation is None
    assert len(morph(photos, **FEW).frames) == 3  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_generator_seeds_the_starts(morph: GeodesicInterpolationPipeline, photos: Any) -> None:
    def directions(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        _, done = morph(photos, generator=generator, starts=2, return_dict=False, **FEW)  # type: ignore[misc]
        assert done is not None
        assert done.segments[0].solution is not None
        return done.segments[0].solution.starts[1].length

    assert_close(directions(3), directions(3))
    assert not torch.equal(directions(3), directions(4))


def test_bad_input(morph: GeodesicInterpolationPipeline, photos: Any) -> None:
    with pytest.raises(ValueError, match="output_type is 'latent'; expected"):
        morph(photos, output_type="latent")
    with pytest.raises(ValueError, match="give both, or neither"):
        morph(photos, height=32)
    with pytest.raises(ValueError, match="height, width"):
        morph([np.zeros((32, 32, 2)), photos[1]])
    with pytest.raises(ValueError, match="frames is 1"):
        morph(photos, num_frames=1)


def test_a_pipeline_of_no_family(source: StableDiffusionPipeline) -> None:
    class Foreign(DiffusionPipeline):
        def __init__(self, scheduler: Any) -> None:
            super().__init__()
            self.register_modules(scheduler=scheduler)

    with pytest.raises(ModelError, match="Foreign"):
        GeodesicInterpolationPipeline.from_pipe(Foreign(source.scheduler))
