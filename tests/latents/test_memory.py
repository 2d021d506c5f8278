"""A run that does not fit is refused before its work begins, and one that fits stays small."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from diffusion_geodesics.comparison.at_level import AtLevel
from diffusion_geodesics.comparison.compare import compare
from diffusion_geodesics.comparison.pairs import Pair
from diffusion_geodesics.diffusion import OutOfMemoryError
from diffusion_geodesics.diffusion.memory import total_bytes
from diffusion_geodesics.extrapolation.directions import RandomTangent
from diffusion_geodesics.extrapolation.extrapolate import extrapolate
from diffusion_geodesics.framing import LARGEST_WORKING_EDGE
from diffusion_geodesics.image_sets.densities import image_densities
from diffusion_geodesics.image_sets.distances import image_distances
from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.latents import memory as memory_module
from diffusion_geodesics.latents import pictures as pictures_module
from diffusion_geodesics.latents.memory import demand_memory
from diffusion_geodesics.latents.pictures import load_pictures
from diffusion_geodesics.latents.settings import MOST_PIXELS, Framing
from tests.gaussian_model import gaussian_model, picture

MODEL = gaussian_model()
IMAGES = [picture(k) for k in range(3)]
Job = Callable[..., Any]

JOBS: dict[str, tuple[Job, dict[str, Any]]] = {
    "interpolate": (lambda **o: interpolate(MODEL, IMAGES, **o), {"frames": 90_000}),
    "many starts": (
        lambda **o: interpolate(MODEL, IMAGES, path="geodesic", **o),
        {"starts": 1000, "intervals": 4096},
    ),
    "extrapolate": (
        lambda **o: extrapolate(MODEL, IMAGES[0], RandomTangent(0), **o),
        {"frames": 90_000},
    ),
    "distances": (
        lambda **o: image_distances(MODEL, IMAGES, **o),
        {"starts": 1000, "intervals": 4096},
    ),
    "densities": (lambda **o: image_densities(MODEL, IMAGES, **o), {"probes": 99_999}),
    "compare": (
        lambda **o: compare(MODEL, [Pair("p", IMAGES[0], IMAGES[1])], [AtLevel()], **o),
        {"frames": 10_000},
    ),
}


@pytest.mark.parametrize("name", list(JOBS))
def test_a_run_that_does_not_fit_is_refused_before_it_begins(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, options = JOBS[name]
    stages: list[str] = []
    monkeypatch.setattr(memory_module, "total_bytes", lambda device: 50_000_000)
    with pytest.raises(OutOfMemoryError, match="GB of memory.*has 0 GB; choose a smaller size"):
        job(**options, observer=lambda event: stages.append(event.stage))
    assert stages == []


def test_what_fits_is_not_refused() -> None:
    demand_memory(MODEL, (16, 16), images=100, latents=1000)
    assert total_bytes(torch.device("cpu")) > 100_000_000


def test_one_evaluation_on_another_device_counts_there(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"cpu": 10**15, "meta": 1000}
    monkeypatch.setattr(memory_module, "total_bytes", lambda device: small[device.type])
    demand_memory(MODEL, (16, 16), images=1)
    network = MODEL.denoiser(16, 16).network
    monkeypatch.setattr(type(network), "device", torch.device("meta"))
    monkeypatch.setattr(type(MODEL), "denoiser", lambda self, h, w: _Of(network))
    with pytest.raises(OutOfMemoryError, match="one evaluation at 16x16 pixels"):
        demand_memory(MODEL, (16, 16), images=1)


class _Of:
    def __init__(self, network: object) -> None:
        self.network = network


def test_no_size_is_allowed_that_framing_refuses() -> None:
    assert MOST_PIXELS == LARGEST_WORKING_EDGE


def test_images_beyond_a_few_are_read_twice_and_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = load_pictures(MODEL, IMAGES, Framing())
    read: list[int] = []
    original = pictures_module.read_image

    def counted(source: object) -> object:
        read.append(next(k for k, image in enumerate(IMAGES) if image is source))
        return original(source)

    monkeypatch.setattr(pictures_module, "_HELD", 1)
    monkeypatch.setattr(pictures_module, "read_image", counted)
    again = load_pictures(MODEL, IMAGES, Framing())
    assert torch.equal(again.images, plain.images)
    assert again.notes == plain.notes
    assert read == [0, 1, 2, 1, 2]
    with pytest.raises(ValueError, match=r"images 2 and 3 \(image 2, image 3\) are identical"):
        load_pictures(MODEL, [IMAGES[0], IMAGES[1], IMAGES[1]], Framing())


@pytest.mark.parametrize("one", ["a.png", IMAGES[0]])
def test_a_single_image_is_no_list(one: Any) -> None:
    if isinstance(one, str):
        with pytest.raises((ValueError, TypeError), match="put it into a list"):
            load_pictures(MODEL, one, Framing())
    else:
        with pytest.raises((ValueError, TypeError)):
            load_pictures(MODEL, one, Framing())
