"""What is said of every model, prompt and picture, whatever the job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from diffusion_geodesics.extrapolation.directions import RandomTangent
from diffusion_geodesics.extrapolation.extrapolate import extrapolate
from diffusion_geodesics.image_sets.densities import image_densities
from diffusion_geodesics.image_sets.distances import image_distances
from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.latents.model_notes import POOR_CODEC, codec_notes, model_notes
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


def test_images_that_the_autoencoder_does_not_know_are_said() -> None:
    assert codec_notes(POOR_CODEC) == ()
    (note,) = codec_notes(15.0)
    assert (note.code, note.data) == ("poor_codec", {"psnr": 15.0})


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
        MODEL, a, RandomTangent(0), frames=2, ray_steps=2, film_only=True, **QUICK
    ),
    "distances": lambda a, b: image_distances(MODEL, [a, b], strength=0.0, max_steps=2, **QUICK),
    "densities": lambda a, b: image_densities(MODEL, [a, b], probes=3, rtol=0.5, **QUICK),
}


@pytest.mark.parametrize("job", list(JOBS))
def test_how_a_picture_was_read_is_said_by_every_job(damaged: Path, job: str) -> None:
    said = [d.message for d in JOBS[job](damaged, picture(1)).warnings if d.code == "image"]
    assert len(said) == 1
    assert said[0].startswith(f"{damaged}: its EXIF")
