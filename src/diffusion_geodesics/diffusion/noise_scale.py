r"""Whether an inversion has put noise on clean latents.

A latent at a level is :math:`x = a x_0 + s \varepsilon` with :math:`\varepsilon` of standard
deviation 1 for a typical point. A network that finds no noise in clean data (one that is blind to
its noise level) leaves the latent where it is, and the way back is perfect; one whose outputs have
another scale than was said leaves the range of noise. The noise of the inverted latent shows both.
"""

import torch
from jaxtyping import Float
from torch import Tensor

LEAST_NOISE, MOST_NOISE = 0.4, 2.0
"""Noise of inverted latents that is to be expected, over its nominal standard deviation: 0.5 to 1.7
for pictures in the models at hand."""


def noise_scale(
    clean: Float[Tensor, "rows dim"], latents: Float[Tensor, "rows dim"], a: float, s: float
) -> Float[Tensor, " rows"]:
    """The root mean square of :math:`(x - a x_0) / s`, with signal a and noise s of the level."""
    return ((latents - a * clean) / s).square().mean(1).sqrt()


def noise_caution(scale: Float[Tensor, " rows"]) -> str:
    """What to know about the noise of inverted latents (:func:`noise_scale`) in words;
    else empty."""
    low, high = float(scale.min()), float(scale.max())
    if low < LEAST_NOISE:
        return (
            f"The inverted latents have {low:.2g} times the noise of their level: the "
            "network finds hardly any noise in clean data, as one does that is not told its noise "
            "level, so that their density says nothing. Start from a little noise (start_noise, "
            "such as 0.02), or take more steps or a higher level."
        )
    if not high <= MOST_NOISE or not bool(torch.isfinite(scale).all()):
        return (
            f"The inverted latents have {high:.2g} times the noise of their level: the "
            "inversion leaves the range that the network knows. Check what the network predicts "
            "and in which units (prediction, schedule), or take more steps."
        )
    return ""
