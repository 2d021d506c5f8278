"""Log densities of images: of Gaussian data the whole flow is known."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.image_sets.densities import DensitiesResult, image_densities
from diffusion_geodesics.image_sets.settings import DensitySettings
from diffusion_geodesics.images import ImageError
from diffusion_geodesics.likelihood import FlowResult, Hutchinson
from diffusion_geodesics.models import from_pipeline
from diffusion_geodesics.runtime.run import Event
from diffusion_geodesics.runtime.settings import SettingsError
from tests.gaussian_model import SHIFT, gaussian_data, gaussian_model, picture
from tests.latents.scenes import noised
from tests.tiny_pipelines import tiny_pipeline

MODEL, DATA = gaussian_model(), gaussian_data()
IMAGES = [picture(k) for k in range(3)]
QUICK = DensitySettings.of(level=0.3, steps=10, refinements=4)
SIGNS = Hutchinson(2)
"""Random signs give the trace of a diagonal matrix exactly."""


def exact(x: Tensor, a: float, sigma: float, top: tuple[float, float], shift: float) -> Tensor:
    """log p by the exact flow to the top of the schedule, where it is taken to be N(0, I)."""
    end = DATA.flow(x, (a, sigma), top, shift)
    stretch = 0.5 * (DATA.variance(*top) / DATA.variance(a, sigma)).log().sum()
    return -0.5 * (end.square().sum(1) + x.shape[1] * math.log(2 * math.pi)) + stretch


@pytest.fixture(scope="module")
def done() -> DensitiesResult:
    return image_densities(MODEL, IMAGES, QUICK, trace=SIGNS, rtol=1e-5, prompt="ab")


def test_they_are_those_of_the_exact_flow(done: DensitiesResult) -> None:
    here = noised(("ab",), inversion=QUICK.inversion)
    schedule = MODEL.denoiser(16, 16).schedule
    top = schedule.coefficients(schedule.timesteps(50)[0])
    expected = exact(here.latents, here.level.a, here.level.sigma, top, 2 * SHIFT)
    assert_close(done.density.log_prob, expected, rtol=1e-4, atol=0.05)
    assert float(done.density.standard_error.max()) < 1e-6
    assert done.density.result is FlowResult.converged


def test_bits_are_those_of_the_pixels_own_bins(done: DensitiesResult) -> None:
    """A step of 1/255 is 2/255 of a coordinate, and a times that at the level."""
    schedule = MODEL.denoiser(16, 16).schedule
    a, _ = schedule.coefficients(schedule.timestep(10, 0.3))
    assert done.of_pixels
    assert done.bits == "per pixel and channel"
    assert done.density.bin_width == pytest.approx(a * 2 / 255, rel=1e-6)
    rows = done.rows()
    assert [r["name"] for r in rows] == ["image 1", "image 2", "image 3"]
    dim = 3 * 16 * 16
    for row, log_p in zip(rows, done.density.log_prob.tolist(), strict=True):
        bits = -log_p / dim / math.log(2) - math.log2(a * 2 / 255)
        assert row["bits_per_dim"] == pytest.approx(bits, rel=1e-6)
        assert row["log_prob"] == log_p
    assert json.dumps(rows)


@pytest.mark.whole
def test_a_batch_of_images_is_as_one_by_one(done: DensitiesResult) -> None:
    for k, image in enumerate(IMAGES[:2]):
        alone = image_densities(MODEL, [image], QUICK, trace=SIGNS, rtol=1e-5, prompt="ab")
        assert_close(alone.density.log_prob[0], done.density.log_prob[k], rtol=1e-6, atol=1e-3)


def test_the_cost_is_counted_and_progress_told() -> None:
    events: list[Event] = []
    found = image_densities(
        MODEL, IMAGES[:1], QUICK, trace=SIGNS, rtol=3e-2, observer=events.append
    )
    flow = [e for e in events if e.stage == "flow"]
    assert [e.done for e in flow] == sorted(e.done for e in flow)
    assert (flow[0].done, flow[-1].done) == (0, 100)
    assert {e.total for e in flow} == {100}
    assert found.costs["flow"].nfe >= 6 * 2


def test_few_probes_are_warned_of_and_an_exact_trace_is_not(done: DensitiesResult) -> None:
    (few,) = done.warnings
    assert few.code == "few_probes"
    assert few.data == {"samples": 2}
    many = image_densities(MODEL, IMAGES[:1], QUICK, trace=Hutchinson(8), rtol=3e-2)
    assert many.warnings == ()


@pytest.mark.whole
def test_of_latents_bits_are_per_latent_dimension(tmp_path: Path) -> None:
    model = from_pipeline(tiny_pipeline(tmp_path))
    images = [picture(k, 32, 32) for k in range(2)]
    found = image_densities(model, images, level=0.25, steps=4, trace=Hutchinson(2), rtol=0.1)
    assert not found.of_pixels
    assert found.bits == "per latent dimension"
    assert found.density.bin_width == 1
    assert bool(found.density.log_prob.isfinite().all())
    assert found.costs["flow"].nfe > 0


def test_images_and_settings_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one image"):
        image_densities(MODEL, [])
    with pytest.raises(ValueError, match="identical"):
        image_densities(MODEL, [IMAGES[0], IMAGES[0]])
    with pytest.raises(ImageError, match="does not exist"):
        image_densities(MODEL, [tmp_path / "gone.png"])
    with pytest.raises(SettingsError, match="^probes is 4; it should be a multiple of 3"):
        DensitySettings.of(probes=4)
    for name, value in {"level": 0.0, "rtol": 0.0, "probes": 0}.items():
        with pytest.raises(SettingsError, match=f"^{name} is"):
            DensitySettings.of(**{name: value})
