"""A model family as data: which pipelines belong to it, and what takes them apart."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.model import DiffusionModel

__all__ = ["ModelFamily"]


def _nothing(pipe: Any) -> None:
    """No further demands."""


def _no_caveat(pipe: Any) -> str:
    """The score of a density."""
    return ""


@final
@dataclass(frozen=True)
class ModelFamily:
    """One line of the registry in `families.py`; an adapter's file defines it.

    - `name`: as people call it.
    - `pipelines`: names of diffusers' pipeline classes, as `model_index.json` has them; the first
      is the one named in errors.
    - `model`: makes the model of a pipeline: (pipeline, id, weight files); a subclass of
      `PipelineModel`.
    - `parts`: the pipeline's components that must be there, the denoising network first.
    - `prediction`, `prompt`: what the network predicts and what a prompt is, in a few words.
    - `optional`: components with weights that may be missing; they count for the hash.
    - `demand`: raises `ModelError` for a pipeline of the family that cannot be used all the same
      (inpainting, distilled for few steps).
    - `caveat`: what a pipeline's score is, in a few words, where it is that of no density.
    - `note`: the same for all its pipelines, for the list of families.
    """

    name: str
    pipelines: tuple[str, ...]
    model: Callable[[Any, str, tuple[Path, ...]], DiffusionModel]
    parts: tuple[str, ...]
    prediction: str
    prompt: str
    demand: Callable[[Any], None] = _nothing
    optional: tuple[str, ...] = ()
    caveat: Callable[[Any], str] = _no_caveat
    note: str = ""

    def claims(self, pipe: Any) -> bool:
        """Whether a pipeline in memory belongs to this family, by its class or a parent class."""
        return any(kind.__name__ in self.pipelines for kind in type(pipe).__mro__)

    def demand_usable(self, pipe: Any) -> None:
        """That a pipeline is of this family and complete; `ModelError` otherwise."""
        if not self.claims(pipe):
            raise ModelError(
                f"got a {type(pipe).__name__}; expected a {self.pipelines[0]} ({self.name})"
            )
        missing = [name for name in self.parts if getattr(pipe, name, None) is None]
        if missing:
            raise ModelError(f"got a pipeline without {', '.join(missing)}; load it with all parts")
        self.demand(pipe)
