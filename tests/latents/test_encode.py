"""Images as latents: one size for all, prompts each, and up to the level along the exact flow."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.images import ImageError, save_png
from diffusion_geodesics.latents.encode import (
    ModelParts,
    carry_up,
    encode,
    geometry_dtype,
    invert,
)
from diffusion_geodesics.latents.pictures import load_pictures
from diffusion_geodesics.latents.settings import FitMode, Framing, Inversion, Prompts, SamplerName
from diffusion_geodesics.models import DiffusionModel, from_denoiser, from_pipeline
from diffusion_geodesics.runtime.cost import Counts
from diffusion_geodesics.runtime.run import Event, Run
from tests.gaussian_model import SHIFT, gaussian_data, gaussian_model, picture
from tests.latents.scenes import INVERSION, noised
from tests.tiny_pipelines import tiny_pipeline

DATA = gaussian_data()
MODEL = gaussian_model()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> DiffusionModel:
    """A model whose sizes are not fixed: multiples of 8, 32 by itself."""
    return from_pipeline(tiny_pipeline(tmp_path_factory.mktemp("tokenizer")))


def test_all_images_come_to_one_size(tiny: DiffusionModel, tmp_path: Path) -> None:
    save_png(tmp_path / "tall.png", picture(1, 48, 24))
    sources = [picture(0, 32, 32), tmp_path / "tall.png"]
    found = load_pictures(tiny, sources, Framing())
    assert found.images.shape == (2, 3, *found.size)
    multiple = tiny.size_multiple
    assert all(edge % multiple == 0 for edge in found.size)
    assert found.size[0] > found.size[1], "the mean of both shapes"
    assert found.names == ("image 1", str(tmp_path / "tall.png"))
    assert "cut" in found.notes[1]
    padded = load_pictures(tiny, sources, Framing(fit=FitMode.PAD, pad_gray=0.25))
    assert "padded" in padded.notes[1]
    assert_close(padded.images[1, :, 0, 0], torch.full((3,), 0.25))
    chosen = load_pictures(tiny, sources, Framing(size=(64, 32)))
    assert chosen.size == (64, 32)


def test_images_that_are_the_same_at_the_working_size_are_refused(tiny: DiffusionModel) -> None:
    one, other = picture(0, 32, 32), picture(1, 32, 32)
    with pytest.raises(ValueError, match=r"images 1 and 3 \(image 1, image 3\) are identical"):
        load_pictures(tiny, [one, other, one.clone()], Framing())
    wide = torch.cat([one, torch.zeros(3, 32, 32), one], 2)[:, :, 16:80]
    changed = wide.clone()
    changed[:, :, :4] = 1 - changed[:, :, :4]
    with pytest.raises(ValueError, match="are identical at 32x32"):
        load_pictures(tiny, [wide, changed], Framing(size=(32, 32)))
    assert len(load_pictures(tiny, [one, one], Framing(), distinct=False).images) == 2


def test_images_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got 1 images; expected at least 2 images"):
        load_pictures(MODEL, [picture(0)], Framing(), least=2)
    with pytest.raises(ValueError, match="got 0 images; expected at least one image"):
        load_pictures(MODEL, [], Framing())
    with pytest.raises(ValueError, match=r"tensor of shape \(2, 16, 16\)"):
        load_pictures(MODEL, [torch.zeros(2, 16, 16)], Framing())
    with pytest.raises(ImageError, match="does not exist"):
        load_pictures(MODEL, [tmp_path / "gone.png"], Framing())


def test_clean_latents_prompts_and_fidelity_are_those_of_the_parts() -> None:
    run = Run()
    pictures = load_pictures(MODEL, [picture(k) for k in range(3)], Framing())
    prompts = Prompts(prompt=("a", "abc", "a"), negative="zz")
    found = encode(run, MODEL, pictures, prompts)
    assert_close(found.clean, (2 * pictures.images - 1).flatten(1).double())
    assert found.clean.dtype == torch.float64
    assert found.dim == len(DATA.mean)
    shifts = [float(c.parts[0][0, 0]) for c in (*found.conditions, found.negative, found.null)]
    assert shifts == pytest.approx([SHIFT * k for k in (1, 3, 1, 2, 0)])
    assert found.conditions[0] is found.conditions[2], "each text is encoded once"
    assert bool((found.codec_psnr > 100).all()), "pixels lose nothing"
    assert run.meter.read() == Counts(nfe=1 + 2 * 3, batches=2, encoded=3, decoded=3)
    with pytest.raises(ValueError, match="got 2 prompts for 3 images"):
        encode(run, MODEL, pictures, Prompts(prompt=("a", "b")))
    shared = encode(run, MODEL, pictures, Prompts(prompt=("ab",)))
    assert [float(c.parts[0][0, 0]) for c in shared.conditions] == pytest.approx([0.2] * 3)


def test_operations_of_the_networks_become_the_runs() -> None:
    weight = torch.eye(3 * 16 * 16)

    def denoise(x: torch.Tensor, sigma: float) -> torch.Tensor:
        return x @ weight.to(x)

    model = from_denoiser(denoise, (3, 16, 16), flat=True)
    run = Run()
    encode(run, model, load_pictures(model, [picture(0), picture(1)], Framing()), Prompts())
    assert run.operations.evaluation == 2 * (3 * 16 * 16) ** 2
    assert (run.operations.encoding, run.operations.decoding) == (0, 0)


def test_inversion_follows_the_exact_flow_under_each_images_prompt() -> None:
    errors = []
    for steps in (20, 40):
        inversion = Inversion(level=0.4, steps=steps, refinements=8)
        here = noised(inversion=inversion)
        level = here.level
        schedule = here.parts.denoiser.schedule
        assert (level.a, level.sigma) == schedule.coefficients(level.timestep)
        assert level == here.parts.level(inversion)
        exact = torch.stack(
            [
                DATA.flow(x, schedule.clean, (level.a, level.sigma), SHIFT * letters)
                for x, letters in zip(here.encoded.clean, (0, 4, 2), strict=True)
            ]
        )
        errors.append(float((here.latents - exact).square().mean().sqrt()))
    assert errors[1] < 0.1
    assert 0.7 < math.log2(errors[0] / errors[1]) < 1.3


@pytest.mark.parametrize("sampler", list(SamplerName))
def test_a_batch_of_images_is_inverted_as_one_by_one(sampler: SamplerName) -> None:
    inversion = Inversion(level=0.5, steps=8, sampler=sampler)
    together = noised(inversion=inversion)
    encoded = together.encoded
    for k in range(3):
        one = slice(k, k + 1)
        alone = carry_up(encoded.parts, encoded.clean[one], encoded.conditions[k], inversion)
        assert_close(alone, together.latents[one], rtol=1e-12, atol=1e-12)


def test_the_cost_of_every_stage_is_counted_and_progress_reported() -> None:
    events: list[Event] = []
    run = Run(events.append)
    here = noised(run=run, inversion=Inversion(level=0.5, steps=8, refinements=0))
    assert run.costs["invert"].nfe == 3 * 4
    assert run.costs["invert"].batches == 4
    assert run.costs["encode"].nfe == 1 + 2 * 3
    assert [(e.done, e.total) for e in events if e.stage == "invert"] == [
        (0, 0), (1, 4), (2, 4), (3, 4), (4, 4),
    ]  # fmt: skip
    before = run.costs["invert"].nfe
    invert(run, here.encoded, INVERSION)
    assert run.costs["invert"].nfe > before, "a stage that runs again goes on"


def test_parts_count_on_the_run_that_made_them() -> None:
    run, other = Run(), Run()
    parts = ModelParts.of(run, MODEL, (16, 16))
    parts.denoiser.epsilon(torch.zeros(2, len(DATA.mean)), 10, MODEL.encode_prompt(""))
    parts.codec.decode(torch.zeros(3, len(DATA.mean)))
    assert run.meter.read() == Counts(nfe=2, batches=1, decoded=3)
    assert other.meter.read() == Counts()


def test_geometry_is_in_double_precision_where_there_is_one() -> None:
    assert geometry_dtype(torch.device("cpu")) is torch.float64
    assert geometry_dtype(torch.device("cuda")) is torch.float64
    assert geometry_dtype(torch.device("mps")) is torch.float32
