"""What must be known about a model and the prompts that it was given."""

from __future__ import annotations

from collections.abc import Iterable

from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.runtime.diagnostic import Diagnostic


def model_notes(model: DiffusionModel, prompts: Iterable[str]) -> tuple[Diagnostic, ...]:
    """How the model was loaded, and what it cannot read of each prompt.

    Args:
        model: the model.
        prompts: every text that is encoded; the empty one has nothing to be said about.
    """
    loaded = (Diagnostic("model", note) for note in model.notes)
    texts = dict.fromkeys(text for text in prompts if text)
    read = (Diagnostic("prompt", note) for text in texts for note in model.prompt_notes(text))
    return (*loaded, *read)
