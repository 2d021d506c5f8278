"""What is said of every model, prompt and picture, whatever the job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from diffusion_geodesics.comparison.at_level import AtLevel
from diffusion_geodesics.comparison.compare import compare
from diffusion_geodesics.comparison.pairs import Pair
from diffusion_geodesics.extrapolation.directions import Towards
from diffusion_geodesics.extrapolation.extrapolate import extrapolate
from diffusion_geodesics.image_sets.densities import image_densities
from diffusion_geodesics.image_sets.distances import image_distances
from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.interpolation.paths import Slerp
from diffusion_geodesics.latents.model_notes import model_notes
from tests.gaussian_model import gaussian_model, picture

MODEL = gaussian_model()


class _Distilled(type(MODEL)):  # type: ignore[misc]
    """The model, said to be distilled and to cut prompts."""

    @property
    def caveat(self) -> str:
        return "guidance is distilled into it"

    def prompt_notes(self, text: str) -> tuple[str, ...]:
        return (f"{text} is cut",)


def test_a_score_of_no_density_comes_first_and_each_prompt_once() -> None:
    odd = _Distilled(**{name: getattr(MODEL, name) for name in MODEL.__dataclass_fields__})
    found = model_notes(odd, ("a", "b", "", "a"))
    assert [d.code for d in found] == ["no_density", "prompt", "prompt"]
    assert "guidance is distilled into it" in found[0].message
    assert [str(d) for d in found[1:]] == ["a is cut", "b is cut"]
    assert model_notes(MODEL, ("a",)) == ()


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A picture whose EXIF is damaged."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01\x12\0\x03\0\0\0\x01\xff"
    file = tmp_path / "damaged.jpg"
    Image.new("RGB", (16, 16), (200, 30, 90)).save(file, exif=exif)
    return file


QUICK: dict[str, Any] = {"steps": 4, "level": 0.5}
JOBS = {
    "interpolate": lambda a, b: interpolate(
        MODEL, [a, b], path="slerp", frames=2, film_only=True, **QUICK
    ),
    "extrapolate": lambda a, b: extrapolate(
        MODEL, a, Towards(b, straight=True), frames=2, ray_steps=2, film_only=True, **QUICK
    ),
    "compare": lambda a, b: compare(MODEL, [Pair("ab", a, b)], [AtLevel(Slerp())], **QUICK),
    "distances": lambda a, b: image_distances(MODEL, [a, b], strength=0.0, max_steps=2, **QUICK),
    "densities": lambda a, b: image_densities(MODEL, [a, b], probes=3, rtol=0.5, **QUICK),
}


@pytest.mark.parametrize("job", list(JOBS))
def test_a_picture_that_the_model_does_not_know_is_named_by_every_job(job: str) -> None:
    stripes = torch.zeros(3, 16, 16)
    stripes[:, ::2] = 1.0
    (said,) = [d for d in JOBS[job](picture(1), stripes).warnings if d.code == "foreign"]
    assert said.data["pairs"] == ["ab"] if job == "compare" else 1 in said.data["images"]


@pytest.mark.parametrize("job", [job for job in JOBS if job != "compare"])
def test_how_a_picture_was_read_is_said_by_every_job(damaged: Path, job: str) -> None:
    said = [d.message for d in JOBS[job](damaged, picture(1)).warnings if d.code == "image"]
    assert len(said) == 1
    assert said[0].startswith(f"{damaged}: its EXIF")
