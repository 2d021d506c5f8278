"""A model family as plain data, so that listing the families imports no model library."""

from dataclasses import dataclass
from typing import Any, final

from diffusion_geodesics.models.errors import ModelError

__all__ = ["ModelFamily", "TextReader"]


@final
@dataclass(frozen=True)
class TextReader:
    """A tokenizer of a pipeline and the text encoder that reads its tokens.

    Args:
        tokenizer: the pipeline's component that cuts text into tokens.
        encoder: the component that reads them.
        capped: whether the pipeline's ``max_sequence_length`` bounds the number of tokens (T5);
            otherwise the tokenizer's ``model_max_length`` does (CLIP).
        required: whether prompts cannot be encoded without it.
    """

    tokenizer: str
    encoder: str
    capped: bool = False
    required: bool = True


@final
@dataclass(frozen=True)
class ModelFamily:
    """One entry of the registry in :mod:`diffusion_geodesics.models.families`.

    Args:
        name: as people call it.
        pipelines: names of diffusers' pipeline classes, as ``model_index.json`` has them; the
            first is the one named in errors.
        adapter: the subclass of ``PipelineModel`` for these pipelines, as an object reference
            ``"module:Class"`` that is imported when a model of the family is opened.
        parts: the components that must be there, the denoising network first.
        prediction: what the network predicts, in a few words.
        prompt: what a prompt is, in a few words.
        optional: components with weights that may be missing; they count for the hash.
        readers: what reads a prompt's text; empty where a prompt is no text.
        note: what the score is where it is the score of no density, for all its pipelines.
    """

    name: str
    pipelines: tuple[str, ...]
    adapter: str
    parts: tuple[str, ...]
    prediction: str
    prompt: str
    optional: tuple[str, ...] = ()
    readers: tuple[TextReader, ...] = ()
    note: str = ""

    def claims(self, pipe: Any) -> bool:
        """Whether a pipeline in memory belongs to this family, by its class or a parent class."""
        return any(kind.__name__ in self.pipelines for kind in type(pipe).__mro__)

    def check_complete(self, pipe: Any) -> None:
        """Check that a pipeline is of this family and has its parts.

        Raises:
            ModelError: otherwise.
        """
        if not self.claims(pipe):
            raise ModelError(
                f"got a {type(pipe).__name__}; expected a {self.pipelines[0]} ({self.name})"
            )
        missing = [name for name in self.parts if getattr(pipe, name, None) is None]
        if missing:
            raise ModelError(f"got a pipeline without {', '.join(missing)}; load it with all parts")
