r"""Does the model know such images? By one test, which every job makes.

Densities and geodesics of a model say nothing about images that it does not know, and nothing in
the figures themselves shows it. Two measures do, and neither needs images of the model's own:

- the autoencoder's reconstruction, in dB;
- the *misfit* of the denoiser. A little noise is put on the clean latent,
  :math:`x = a x_0 + \sigma\varepsilon`, and taken off again. For the exact score of the images'
  own density, Tweedie's formula of second order says how well that can be done,

  .. math:: \mathbb{E}\,|\hat\varepsilon(x) - \varepsilon|^2
            = \mathbb{E}\,[d - \sigma\,\mathrm{div}\,\hat\varepsilon(x)],

  and the misfit is the ratio of the left side to the right: the error that is made over the one
  that the network itself expects. It is 1 on average for images of the density, and larger for
  others. The divergence is a difference along one random direction of signs (Hutchinson 1989).

References:
    Efron, Tweedie's formula and selection bias, JASA 2011.
    Manor, Michaeli, On the posterior distribution in denoising, ICLR 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import Condition, Denoiser, Latents
from diffusion_geodesics.latents.settings import Inversion
from diffusion_geodesics.points import seeded_noise
from diffusion_geodesics.runtime.diagnostic import Diagnostic

POOR_CODEC = 22.0
"""dB below which the autoencoder does not know such images."""
MISFIT = 2.0
"""Misfit above which an image is foreign."""
AT = Inversion(level=0.2)
"""The noise level of the test, whatever that of the job."""
STEP = 0.05
"""Length of the difference for the divergence, in noise of the level for each coordinate."""
MOST_NAMED = 3
"""Images that are named where several are foreign."""
LEAST = 1e-3
"""Least share of the noise that a network is taken to expect as its error."""


@final
@dataclass(frozen=True, eq=False)
class Familiarity:
    """How well a model knows images."""

    psnr: Float[Tensor, " images"]  # of the autoencoder's reconstruction, in dB
    misfit: Float[Tensor, " some"]  # of the denoiser

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why images are foreign to the model, by their medians; nothing where they are not."""
        psnr, misfit = float(self.psnr.median()), float(self.misfit.median())
        found: list[str] = []
        if not psnr >= POOR_CODEC:
            found.append(
                f"the autoencoder reproduces them at {psnr:.1f} dB "
                f"(below {POOR_CODEC:g} is foreign)"
            )
        if not misfit <= MISFIT:
            found.append(
                f"the network removes noise from them {misfit:.1f} times worse than it expects "
                f"(above {MISFIT:g} is foreign)"
            )
        return tuple(found)


def measure_misfit(
    denoiser: Denoiser, clean: Latents, condition: Condition
) -> Float[Tensor, " images"]:
    """The misfit of clean latents under a condition, that of no prompt for images whatever is said
    of them. The noise is seeded. Cost: two evaluations a latent, in one batch."""
    timestep = denoiser.schedule.timestep(AT.steps, AT.level)
    a, sigma = denoiser.schedule.coefficients(timestep)
    noise, signs = seeded_noise(clean.shape, 1, clean), seeded_noise(clean.shape, 2, clean).sign()
    x = a * clean + sigma * noise
    both = torch.cat([x, x + STEP * sigma * signs])
    twice = condition if condition.rows == 1 else Condition.stack([condition, condition])
    found, beside = denoiser.epsilon(both, timestep, twice).chunk(2)
    expected = 1 - ((beside - found) * signs).mean(1) / STEP
    return ((found - noise).square().mean(1) / expected.clamp_min(LEAST)).cpu()


def foreign_notes(names: Sequence[str], known: Familiarity) -> tuple[Diagnostic, ...]:
    """A word on the images that are foreign to the model."""
    each = zip(known.psnr.split(1), known.misfit.split(1), strict=True)
    strange = [i for i, (psnr, misfit) in enumerate(each) if Familiarity(psnr, misfit).reasons]
    if not strange:
        return ()
    found = Familiarity(known.psnr[strange], known.misfit[strange])
    called = [PurePath(names[i]).name for i in strange]
    listed = ", ".join(called[:MOST_NAMED]) + (", ..." if len(called) > MOST_NAMED else "")
    data = {"images": strange, "psnr": found.psnr.tolist(), "misfit": found.misfit.tolist()}
    return (Diagnostic("foreign", foreign_message(listed, found.reasons), data),)


def foreign_message(name: str, reasons: Sequence[str]) -> str:
    """What is said of images, or a clip, that are foreign."""
    return f"Foreign to the model, so that figures say nothing: {name}: {'; '.join(reasons)}."
