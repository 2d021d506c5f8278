"""What must be known about a model and the prompts that it was given."""

from __future__ import annotations

from collections.abc import Iterable

from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.runtime.diagnostic import Diagnostic

POOR_CODEC = 22.0
"""dB below which the autoencoder does not know such images."""


def model_notes(model: DiffusionModel, prompts: Iterable[str]) -> tuple[Diagnostic, ...]:
    """What the model's score is, how it was loaded, and what it cannot read of each prompt."""
    loaded = [Diagnostic("model", note) for note in model.notes]
    if model.caveat:
        message = (
            f"About the model's score: {model.caveat}. Lengths, distances and log densities are "
            "then those of a vector field, not of a probability density."
        )
        loaded.insert(0, Diagnostic("no_density", message))
    texts = dict.fromkeys(text for text in prompts if text)
    read = (Diagnostic("prompt", note) for text in texts for note in model.prompt_notes(text))
    return (*loaded, *read)


def codec_notes(psnr: float) -> tuple[Diagnostic, ...]:
    """A word on images that the model's autoencoder does not reproduce, by the lowest PSNR
    in dB."""
    if psnr >= POOR_CODEC:
        return ()
    message = (
        f"The model's autoencoder reproduces the images at {psnr:.1f} dB only: they are unlike "
        "what it was trained on, and frames and densities say little about them."
    )
    return (Diagnostic("poor_codec", message, {"psnr": psnr}),)
