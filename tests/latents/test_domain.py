"""What is foreign to a model: by the error of its denoiser, and by its autoencoder."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from diffusion_geodesics import load_model
from diffusion_geodesics.images import read_image
from diffusion_geodesics.latents.domain import (
    AT,
    MISFIT,
    POOR_CODEC,
    Familiarity,
    foreign_notes,
    measure_misfit,
)
from diffusion_geodesics.latents.encode import encode
from diffusion_geodesics.latents.pictures import load_pictures
from diffusion_geodesics.latents.settings import Framing, Prompts
from diffusion_geodesics.runtime.run import Run
from tests.gaussian_model import gaussian_data, gaussian_model, picture

DATA, MODEL = gaussian_data(), gaussian_model()
DENOISER, NULL = MODEL.denoiser(16, 16), MODEL.encode_prompt("")
EXAMPLES = Path(__file__).parents[2] / "examples"


def drawn(count: int, widths: float = 1.0) -> Tensor:
    """Images as far from the mean, in standard deviations, as is asked for."""
    noise = torch.randn(count, len(DATA.mean), generator=torch.Generator().manual_seed(5)).double()
    return DATA.mean + widths * DATA.std * noise


def test_the_misfit_of_the_images_of_a_density_is_1() -> None:
    found = measure_misfit(DENOISER, drawn(64), NULL)
    assert float(found.mean()) == pytest.approx(1, abs=0.01)
    assert float(found.std()) == pytest.approx((2 / len(DATA.mean)) ** 0.5, rel=0.4)


@pytest.mark.parametrize("widths", [0.0, 3.0, 6.0])
def test_the_misfit_of_others_is_the_error_over_the_posterior_variance(widths: float) -> None:
    """E|ε̂ - ε|² = (a²c²σ²s² + a⁴s⁴)/v² for |x0 - mean| = c s, over the expected a²s²/v."""
    schedule = DENOISER.schedule
    a, sigma = schedule.coefficients(schedule.timestep(AT.steps, AT.level))
    own, variance = (a * DATA.std).square(), DATA.variance(a, sigma)
    error = (own * (widths * sigma) ** 2 + own.square()) / variance.square()
    found = measure_misfit(DENOISER, drawn(64, widths), NULL)
    assert float(found.mean()) == pytest.approx(
        float(error.mean() / (own / variance).mean()), rel=0.03
    )


def test_the_prompt_of_an_image_does_not_matter() -> None:
    pictures = load_pictures(MODEL, [picture(1)], Framing(), least=1)
    plain, said = (
        encode(Run(), MODEL, pictures, Prompts(prompt=text)).known.misfit for text in ((), ("abc",))
    )
    assert torch.equal(plain, said)


def test_images_are_foreign_by_their_medians_and_each_reason_is_named() -> None:
    good, bad = torch.tensor([30.0, 31.0, 20.0]), torch.tensor([20.0, 21.0, 30.0])
    assert Familiarity(good, torch.tensor([1.0, 1.5, 9.0])).reasons == ()
    assert Familiarity(torch.full((1,), POOR_CODEC), torch.full((1,), MISFIT)).reasons == ()
    both = Familiarity(bad, torch.tensor([3.0, 4.0, 1.0])).reasons
    assert [reason.split(" (")[0] for reason in both] == [
        "the autoencoder reproduces them at 21.0 dB",
        "the network removes noise from them 3.0 times worse than it expects",
    ]
    nothing = torch.full((3,), math.nan)
    assert len(Familiarity(nothing, nothing).reasons) == 2
    assert Familiarity(torch.full((3,), math.inf), torch.ones(3)).reasons == ()


def test_only_the_foreign_images_are_named() -> None:
    known = Familiarity(torch.tensor([30.0, 30.0, 20.0]), torch.tensor([1.0, 3.0, 1.0]))
    (note,) = foreign_notes(["x/a.png", "x/b.png", "x/c.png"], known)
    assert note.code == "foreign"
    assert note.data["images"] == [1, 2]
    assert "b.png, c.png" in note.message
    assert "a.png" not in note.message
    assert foreign_notes(["a"], Familiarity(torch.tensor([30.0]), torch.tensor([1.0]))) == ()


def test_a_portrait_upside_down_is_foreign_to_the_embedded_model() -> None:
    model = load_model("embedded", device="cpu")
    upright = [read_image(EXAMPLES / f"portrait_{k}.png").pixels for k in "ab"]
    images = [*upright, *(x.flip(1) for x in upright)]
    pictures = load_pictures(model, images, Framing(), least=1)
    encoded = encode(Run(), model, pictures, Prompts())
    (note,) = [n for n in encoded.notes if n.code == "foreign"]
    assert note.data["images"] == [2, 3]
