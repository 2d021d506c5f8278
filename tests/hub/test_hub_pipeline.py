"""The folder `hub`, loaded as diffusers loads custom pipelines."""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DiffusionPipeline, StableDiffusionPipeline
from PIL import Image
from torch.testing import assert_close

from diffusion_geodesics.pipeline import GeodesicInterpolationPipeline
from tests.tiny.ddpm import tiny_ddpm
from tests.tiny.dit import tiny_dit
from tests.tiny.flux import tiny_flux
from tests.tiny.pixart import tiny_pixart
from tests.tiny.sd3 import tiny_sd3
from tests.tiny.sdxl import tiny_sdxl
from tests.tiny_pipelines import tiny_pipeline

HUB = str(Path(__file__).parents[2] / "hub")
FEW = {
    "path": "geodesic",
    "num_frames": 3,
    "num_inference_steps": 4,
    "max_steps": 2,
    "film_only": True,
    "allow_atypical": True,
}
MAKERS: dict[str, Callable[[Path], Any]] = {
    "Stable Diffusion": tiny_pipeline,
    "SDXL": tiny_sdxl,
    "Stable Diffusion 3": tiny_sd3,
    "SDXL, no zeros": lambda folder: tiny_sdxl(folder, zeros=False),
    "Stable Diffusion 3 without T5": lambda folder: tiny_sd3(folder, t5=False),
    "Flux": tiny_flux,
    "DiT": lambda folder: tiny_dit(),
    "PixArt": lambda folder: tiny_pixart(sigma=True),
    "DDPM": lambda folder: tiny_ddpm(),
}
QUICK = 3
"""So many of them are always tried, the rest with the slow tests."""


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of code of our own: diffusers copies the folder's file into it."""
    cache = str(tmp_path / "modules")
    monkeypatch.setattr("diffusers.utils.dynamic_modules_utils.HF_MODULES_CACHE", cache)
    monkeypatch.syspath_prepend(cache)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))


def load(folder: Path, **options: Any) -> Any:
    pipe = DiffusionPipeline.from_pretrained(
        str(folder), custom_pipeline=HUB, trust_remote_code=True, **options
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    tiny_pipeline(folder / "tokenizer").save_pretrained(folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    pixels = np.random.default_rng(0).integers(0, 255, (2, 32, 32, 3), dtype=np.uint8)
    return [Image.fromarray(p) for p in pixels]


@pytest.mark.whole
@pytest.mark.parametrize(
    "family",
    [pytest.param(f, marks=[pytest.mark.slow] if i >= QUICK else []) for i, f in enumerate(MAKERS)],
)
def test_a_saved_pipeline_loads_and_morphs_as_the_one_in_memory(
    family: str, tmp_path: Path, photos: list[Image.Image]
) -> None:
    source = MAKERS[family](tmp_path / "tokenizer")
    source.save_pretrained(tmp_path / "model")
    pipe = load(tmp_path / "model")
    assert type(pipe).__name__ == "GeodesicMorphPipeline"
    edge = source.unet.config["sample_size"] if family == "DDPM" else 32
    images = [photo.resize((edge, edge)) for photo in photos]
    few = {**FEW, "height": edge, "width": edge, "output_type": "pt"}
    got = pipe(images, **few)
    assert got.frames.shape == (3, 3, edge, edge)
    direct = GeodesicInterpolationPipeline.from_pipe(source)
    direct.set_progress_bar_config(disable=True)
    expected = direct(images, **few).frames  # type: ignore[union-attr]
    assert_close(got.frames, expected, atol=1e-3, rtol=0)


@pytest.mark.whole
def test_output_types_callbacks_and_generator(saved: Path, photos: list[Image.Image]) -> None:
    pipe, seen = load(saved), []

    def follow(which: Any, step: int, timestep: int, info: dict[str, Any]) -> dict[str, Any]:
        seen.append((which is pipe, step, info["stage"]))
        return info

    generator = torch.Generator().manual_seed(5)
    out = pipe(photos, generator=generator, starts=2, callback_on_step_end=follow, **FEW)
    assert [f.size for f in out.frames] == [(32, 32)] * 3
    assert out.interpolation.settings.solve.seed == 5
    assert all(own for own, *_ in seen)
    assert [step for _, step, _ in seen] == list(range(len(seen)))
    assert {"invert", "solve", "decode"} <= {stage for *_, stage in seen}
    frames, result = pipe(photos, output_type="np", return_dict=False, **FEW)
    assert frames.shape == (3, 32, 32, 3)
    assert result.costs.total.nfe > 0


@pytest.mark.whole
def test_cancelled_from_outside_the_callback(saved: Path, photos: list[Image.Image]) -> None:
    pipe = load(saved)

    def stop(which: Any, step: int, timestep: int, info: dict[str, Any]) -> None:
        pipe._interrupt = info["stage"] == "decode"

    out = pipe(photos, callback_on_step_end=stop, **FEW)
    assert out.frames == []
    assert out.interpolation is None
    assert len(pipe(photos, **FEW).frames) == 3


def test_components_can_be_given_and_are_saved_as_the_original_class(
    saved: Path, tmp_path: Path
) -> None:
    scheduler = DDIMScheduler(
        beta_start=2e-4, clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )
    pipe = load(saved, scheduler=scheduler)
    assert pipe.components["scheduler"] is scheduler
    pipe.save_pretrained(tmp_path / "again")
    again = DiffusionPipeline.from_pretrained(tmp_path / "again")
    assert type(again) is StableDiffusionPipeline
    assert again.scheduler.config["beta_start"] == 2e-4


def test_its_class_makes_morphs_of_loaded_pipelines(saved: Path) -> None:
    kind, source = type(load(saved)), StableDiffusionPipeline.from_pretrained(saved)
    assert kind.from_pipe(source).components["unet"] is source.unet
    assert isinstance(kind.from_pretrained(saved), GeodesicInterpolationPipeline)


def test_a_model_of_no_family_is_refused(saved: Path) -> None:
    with pytest.raises(ValueError, match="whose network is a NoneType; expected one of"):
        load(saved, unet=None)
