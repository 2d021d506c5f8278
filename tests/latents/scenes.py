"""Images of the Gaussian model, encoded and carried to a level, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Sequence

from diffusion_geodesics.latents.encode import Noised, encode, invert
from diffusion_geodesics.latents.pictures import load_pictures
from diffusion_geodesics.latents.settings import Framing, Inversion, Prompts
from diffusion_geodesics.runtime.run import Run
from tests.gaussian_model import gaussian_model, picture

INVERSION = Inversion(level=0.4, steps=10, refinements=4)
PROMPTS = ("", "abcd", "ab")
"""Of three images."""


def noised(
    prompts: Sequence[str] = PROMPTS,
    *,
    count: int = 3,
    negative: str = "xyz",
    inversion: Inversion = INVERSION,
    run: Run | None = None,
) -> Noised:
    """Images of the Gaussian model at a level, with a prompt each."""
    run, model = run or Run(), gaussian_model()
    pictures = load_pictures(model, [picture(k) for k in range(count)], Framing())
    given = Prompts(prompt=tuple(prompts), negative=negative)
    return invert(run, encode(run, model, pictures, given), inversion)
