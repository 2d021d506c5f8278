r"""DiT: a transformer that predicts noise, conditioned on one of its classes.

Each block embeds the class by a table of its own, $e = E_k$. A mixture of classes with weights
$w_k$ is $\sum_k w_k E_k$ in every table, so that a straight line from one class to another is a
straight line of embeddings. The null class, for the marginal score, is the row after the last.
"""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import ChunkedBatches, Condition, Denoiser, Features, Network
from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.family import ModelFamily
from diffusion_geodesics.models.pipeline_model import PipelineModel, demand_size
from diffusion_geodesics.models.schedulers import read_prediction, read_schedule
from diffusion_geodesics.models.taps import middle, on_grid, tapped
from diffusion_geodesics.models.transformer import (
    demand_channels,
    demand_variance,
    divided,
    token_batches,
    told,
)
from diffusion_geodesics.models.vae import VAECodec, vae_factor

if TYPE_CHECKING:
    from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel

__all__ = ["DIT", "DiTModel", "DiTNetwork"]


@final
@dataclass(frozen=True, eq=False)
class DiTNetwork(Network):
    """A `DiTTransformer2DModel` on flat latents of one shape.

    - `transformer`: called through `__call__`, so that offloading hooks fire.
    - `latent_shape`: (channels, height, width), square.
    - `device`: where its inputs go.
    """

    transformer: "DiTTransformer2DModel"
    latent_shape: tuple[int, int, int]
    device: torch.device

    @property
    def dim(self) -> int:
        """Coordinates of a flat latent."""
        channels, height, width = self.latent_shape
        return channels * height * width

    @property
    def batches(self) -> ChunkedBatches:
        """Pieces by the number of image tokens."""
        _, height, width = self.latent_shape
        tokens = height * width // self.transformer.config["patch_size"] ** 2
        return token_batches(self.transformer, tokens, self.device)

    def __call__(
        self, x: Float[Tensor, "rows dim"], timestep: float, condition: Condition
    ) -> Float[Tensor, "rows dim"]:
        """The raw output without the variance; inputs are cast to the network's precision."""
        (weights,) = condition.parts
        present = weights.any(dim=0).nonzero().flatten()
        with _mixed(self.transformer, weights[:, present].to(self.device)):
            output = self.transformer(
                x.to(self.transformer.dtype).to(self.device).unflatten(1, self.latent_shape),
                timestep=told(timestep, x, self.device),
                class_labels=present.to(self.device),
                return_dict=False,
            )[0]
        return output[:, : self.latent_shape[0]].flatten(1)

    def features(
        self, x: Float[Tensor, "rows dim"], timestep: float, condition: Condition
    ) -> Features:
        """The image's tokens after the middle block, one a patch; one grid."""
        _, height, width = self.latent_shape
        patch = self.transformer.config["patch_size"]
        with tapped(middle(self.transformer.transformer_blocks)) as outputs:
            self(x, timestep, condition)
        return tuple(on_grid(tokens, height // patch, width // patch) for tokens in outputs)


@contextmanager
def _mixed(transformer: torch.nn.Module, weights: Tensor) -> Iterator[None]:
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
class DiTModel(PipelineModel):
    """A `DiTPipeline`, taken apart; the pipeline is only read.

    A condition has one part: a weight a class, the null class last (rows, classes + 1); a single
    1 for a prompt. Weights interpolate linearly, and with them the embeddings.
    """

    @property
    def family(self) -> ModelFamily:
        """DiT."""
        return DIT

    @property
    def native_size(self) -> int:
        """The edge, in pixels, of the square images that the model was trained on."""
        return self.pipeline.transformer.config["sample_size"] * vae_factor(self.pipeline.vae)

    @property
    def size_multiple(self) -> int:
        """Heights and widths must be multiples of this: autoencoder times patch."""
        return vae_factor(self.pipeline.vae) * self.pipeline.transformer.config["patch_size"]

    @property
    def classes(self) -> int:
        """How many classes there are, not counting the null class."""
        return self.pipeline.transformer.config["num_embeds_ada_norm"]

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(channels, height, width) of the latents of images of a size.

        Raises `ValueError` where the size is no multiple of `size_multiple`, or not square: the
        transformer puts its tokens together as a square.
        """
        demand_size(height, width, self.size_multiple, self.id)
        if height != width:
            raise ValueError(
                f"got images of {height}x{width}; {self.id} takes square images only: "
                f"set the size to {self.native_size}x{self.native_size}, for example"
            )
        return divided(self.pipeline, height, width)

    def codec(self, height: int, width: int) -> VAECodec:
        """The codec for images of a size."""
        self.latent_shape(height, width)
        return VAECodec(self.pipeline.vae, height, width, self.device)

    def denoiser(self, height: int, width: int) -> Denoiser:
        """The denoiser for latents of images of a size."""
        network = DiTNetwork(
            self.pipeline.transformer, self.latent_shape(height, width), self.device
        )
        scheduler = self.pipeline.scheduler
        return Denoiser(network, read_schedule(scheduler), read_prediction(scheduler))

    def encode_prompt(self, text: str) -> Condition:
        """The condition of a class, by number or name, one row; `""` is the null class.

        Names are the pipeline's `labels`, in capitals or not. Raises `ModelError` for others,
        with those that come closest.
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


def _demand_usable(pipe: Any) -> None:
    demand_channels(pipe, pipe.transformer.config["in_channels"])
    demand_variance(pipe.transformer)


DIT = ModelFamily(
    name="DiT",
    pipelines=("DiTPipeline",),
    model=DiTModel,
    parts=("transformer", "vae", "scheduler"),
    prediction="noise",
    prompt="a class, by name or number",
    demand=_demand_usable,
)
