"""Opening the folder of a saved pipeline, quietly and from safetensors only."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.weights import half_only

__all__ = ["open_pipeline", "pipeline_class_name", "quiet"]


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps the libraries' own progress bars and advice off the terminal; errors still show."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    libraries = (diffusers_logging, transformers_logging)
    before = [(log.get_verbosity(), log.is_progress_bar_enabled()) for log in libraries]
    try:
        for log in libraries:
            log.set_verbosity_error()
            log.disable_progress_bar()
        yield
    finally:
        for log, (verbosity, bars) in zip(libraries, before, strict=True):
            log.set_verbosity(verbosity)
            if bars:
                log.enable_progress_bar()


def pipeline_class_name(index: Path, name: str) -> object:
    """What a model_index.json says its pipeline is; `name` names the model in errors."""
    if not index.is_file():
        raise ModelError(
            f"{name} is a folder without model_index.json; expected a pipeline saved with "
            "save_pretrained"
        )
    try:
        return json.loads(index.read_text(encoding="utf-8"))["_class_name"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"the model_index.json of {name} is damaged; save it again") from error


def open_pipeline(folder: Path, dtype: torch.dtype) -> Any:
    """The pipeline saved in a folder, of the class that its model_index.json names.

    No safety checker is loaded, no code is taken from the folder, and gradients are off. Raises
    `ModelError` for a folder that is damaged or incomplete.
    """
    import diffusers

    index = folder / "model_index.json"
    kind = getattr(diffusers, str(pipeline_class_name(index, str(folder))))
    saved = json.loads(index.read_text(encoding="utf-8"))
    options: dict[str, Any] = {name: None for name, part in saved.items() if part == [None, None]}
    if "safety_checker" in saved:
        options |= {"safety_checker": None, "requires_safety_checker": False}
    try:
        pipe = kind.from_pretrained(
            str(folder),
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            variant="fp16" if half_only(folder) else None,
            **options,
        )
    except Exception as error:  # damaged or half-copied folders fail in a dozen ways
        detail = " ".join(str(error).split())[:200]
        raise ModelError(
            f"cannot open the pipeline in {folder} ({type(error).__name__}: {detail}); check that "
            "the folder is complete"
        ) from error
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False)
    return pipe
