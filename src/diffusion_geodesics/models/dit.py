r"""DiT: a transformer that predicts noise, conditioned on one of its classes.

Each block embeds class :math:`k` by a table of its own, :math:`e = E_k`. A mixture of classes with
weights :math:`w_k` is :math:`\sum_k w_k E_k` in every table, so that a straight line from one class
to another is a straight line of embeddings. The null class, for the marginal score, is the row
after the last (Peebles and Xie, arXiv 2212.09748).
"""

import difflib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from diffusion_geodesics.diffusion import Condition, Rows
from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.families import DIT, ModelFamily
from diffusion_geodesics.models.pipeline_network import Output
from diffusion_geodesics.models.transformer import TransformerModel, TransformerNetwork


@final
@dataclass(frozen=True, eq=False)
class DiTNetwork(TransformerNetwork):
    """A `DiTTransformer2DModel` on flat square latents."""

    def _evaluate(self, x: Rows, timestep: float, condition: Condition) -> Output:
        (weights,) = condition.parts
        present = weights.any(dim=0).nonzero().flatten()
        with _mixed_classes(self.module, weights[:, present].to(self.device)):
            return self.module(
                self._latents(x),
                timestep=self._per_row(timestep, x),
                class_labels=present.to(self.device),
                return_dict=False,
            )[0]


@contextmanager
def _mixed_classes(transformer: torch.nn.Module, weights: Tensor) -> Iterator[None]:
    """Within, the tables' embeddings of the classes present are mixed, one mixture a row."""
    from diffusers.models.embeddings import LabelEmbedding

    def mix(_module: torch.nn.Module, _inputs: Any, table: Tensor) -> Tensor:
        return weights.to(table.dtype).to(table.device) @ table

    with ExitStack() as hooks:
        for part in transformer.modules():
            if isinstance(part, LabelEmbedding):
                hooks.enter_context(part.register_forward_hook(mix))
        yield


@final
@dataclass(frozen=True, eq=False)
class DiTModel(TransformerModel):
    """A `DiTPipeline`, taken apart; the pipeline is only read.

    A condition has one part: a weight for each class, the null class last (rows, classes + 1); a
    single 1 for a prompt. Weights interpolate linearly, and with them the embeddings.
    """

    family: ClassVar[ModelFamily] = DIT
    network_class: ClassVar[type[TransformerNetwork]] = DiTNetwork

    @property
    def classes(self) -> int:
        """How many classes there are, not counting the null class."""
        return self._network.config["num_embeds_ada_norm"]

    def encode_prompt(self, text: str) -> Condition:
        """The condition of a class, by number or name (the pipeline's ``labels``), one row.

        ``""`` is the null class. `ModelError` for an unknown class, with the closest names.
        """
        weights = torch.zeros(1, self.classes + 1)
        weights[0, self._class_of(text.strip())] = 1.0
        return Condition((weights,))

    def _class_of(self, text: str) -> int:
        if not text:
            return self.classes
        if text.isdecimal():
            if int(text) < self.classes:
                return int(text)
            raise ModelError(f"got class {text}; {self.id} has classes 0 to {self.classes - 1}")
        numbers = {name.casefold(): number for name, number in self.pipeline.labels.items()}
        if text.casefold() in numbers:
            return numbers[text.casefold()]
        near = difflib.get_close_matches(text.casefold(), list(numbers), n=5)
        hint = f"did you mean {', '.join(near)}?" if near else "see pipeline.labels for the names."
        if not numbers:
            hint = f"{self.id} came without names of classes."
        raise ModelError(
            f"got class {text!r}; {hint} Give a number from 0 to {self.classes - 1}, or nothing "
            "for no class"
        )

    def _check_size(self, height: int, width: int) -> None:
        """Only square images: the transformer arranges its tokens as a square."""
        super()._check_size(height, width)
        if height != width:
            raise ValueError(
                f"got images of {height}x{width}; {self.id} takes square images only: "
                f"set the size to {self.native_size}x{self.native_size}, for example"
            )
