"""What must be known about a model and the prompts that it was given."""

from __future__ import annotations

from collections.abc import Iterable

from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.runtime.diagnostic import Diagnostic


def model_notes(model: DiffusionModel, prompts: Iterable[str]) -> tuple[Diagnostic, ...]:
    """What the model's score is, how it was loaded, and what it cannot read of each prompt."""
    loaded = [Diagnostic("model", note) for note in model.notes]
    if model.caveat:
        message = (
            f"About the model's score: {model.caveat}. Lengths, distances and log densities are "
            "then those of a vector field, not of a probability density."
        )
        loaded.insert(0, Diagnostic("no_density", message))
    return (*loaded, *prompt_notes(model, prompts))


def prompt_notes(model: DiffusionModel, prompts: Iterable[str]) -> tuple[Diagnostic, ...]:
    """What a model cannot read of each prompt."""
    texts = dict.fromkeys(text for text in prompts if text)
    return tuple(Diagnostic("prompt", note) for text in texts for note in model.prompt_notes(text))
