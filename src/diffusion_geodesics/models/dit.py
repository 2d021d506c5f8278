r"""DiT: a transformer that predicts noise, conditioned on one of its classes.

Each block embeds class :math:`k` by a table of its own, :math:`e = E_k`. A mixture of classes with
weights :math:`w_k` is :math:`\sum_k w_k E_k` in every table, so that a straight line from one class
to another is a straight line of embeddings. The null class, for the marginal score, is the row
after the last.

References:
    Peebles and Xie, Scalable diffusion models with transformers, arXiv 2212.09748.
"""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import Condition, Denoiser
from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.families import DIT
from diffusion_geodesics.models.family import ModelFamily
from diffusion_geodesics.models.schedulers import read_scheduler
from diffusion_geodesics.models.transformer import (
    TransformerModel,
    TransformerNetwork,
    check_variance,
    per_row,
)

__all__ = ["DiTModel", "DiTNetwork"]


@final
@dataclass(frozen=True, eq=False)
class DiTNetwork(TransformerNetwork):
    """A `DiTTransformer2DModel` on flat square latents; arguments as `TransformerNetwork`."""

    def _evaluate(
        self, latents: Float[Tensor, "rows c h w"], timestep: float, condition: Condition
    ) -> Float[Tensor, "rows d h w"]:
        (weights,) = condition.parts
        present = weights.any(dim=0).nonzero().flatten()
        with _mixed_classes(self.transformer, weights[:, present].to(self.device)):
            return self.transformer(
                latents,
                timestep=per_row(timestep, latents, self.device),
                class_labels=present.to(self.device),
                return_dict=False,
            )[0]


@contextmanager
def _mixed_classes(transformer: torch.nn.Module, weights: Tensor) -> Iterator[None]:
    """Within, the tables' embeddings of the classes present are mixed, one mixture a row."""
    from diffusers.models.embeddings import LabelEmbedding

    def mix(_module: torch.nn.Module, _inputs: Any, table: Tensor) -> Tensor:
        return weights.to(table.dtype).to(table.device) @ table

    handles = [
        part.register_forward_hook(mix)
        for part in transformer.modules()
        if isinstance(part, LabelEmbedding)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@final
@dataclass(frozen=True, eq=False)
class DiTModel(TransformerModel):
    """A `DiTPipeline`, taken apart; the pipeline is only read.

    A condition has one part: a weight for each class, the null class last (rows, classes + 1); a
    single 1 for a prompt. Weights interpolate linearly, and with them the embeddings.
    """

    @property
    def family(self) -> ModelFamily:
        """DiT."""
        return DIT

    @property
    def classes(self) -> int:
        """How many classes there are, not counting the null class."""
        return self._network.config["num_embeds_ada_norm"]

    def denoiser(self, height: int, width: int) -> Denoiser:
        """The denoiser for latents of images of a size in pixels.

        Raises:
            ValueError: for a size that is no multiple of :attr:`size_multiple` or not square.
        """
        network = DiTNetwork(self._network, self.latent_shape(height, width), self.device)
        return Denoiser(network, *read_scheduler(self.pipeline.scheduler))

    def encode_prompt(self, text: str) -> Condition:
        """The condition of a class, by number or name, one row; ``""`` is the null class.

        Names are the pipeline's ``labels``, in upper or lower case.

        Raises:
            ModelError: for an unknown class, with the names that come closest.
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
        if not numbers:
            raise ModelError(
                f"got class {text!r}; {self.id} came without names of classes: give a number from "
                f"0 to {self.classes - 1}, or nothing for no class"
            )
        near = difflib.get_close_matches(text.casefold(), list(numbers), n=5)
        hint = f"did you mean {', '.join(near)}?" if near else "see pipeline.labels for the names"
        raise ModelError(
            f"got class {text!r}; {hint} Or give a number from 0 to {self.classes - 1}, or nothing "
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

    def _check_usable(self) -> None:
        super()._check_usable()
        check_variance(self._network)
