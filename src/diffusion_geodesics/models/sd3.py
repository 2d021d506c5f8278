r"""Stable Diffusion 3 and 3.5: flow matching in a latent space of 16 channels.

The transformer predicts the velocity $v = \varepsilon - x_0$ on
$x_\sigma = (1 - \sigma) x_0 + \sigma \varepsilon$ and is told $1000\,\sigma$. It reads the text
twice: as tokens (two CLIP encoders side by side, then T5) and as one pooled vector.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import (
    ChunkedBatches,
    Condition,
    Denoiser,
    Features,
    FlowPrediction,
    Network,
)
from diffusion_geodesics.models.family import ModelFamily
from diffusion_geodesics.models.pipeline_model import PipelineModel, as_condition, demand_size
from diffusion_geodesics.models.taps import middle, on_grid, tapped
from diffusion_geodesics.models.transformer import (
    demand_channels,
    demand_text,
    divided,
    flow_schedule,
    token_batches,
    told,
)
from diffusion_geodesics.models.vae import VAECodec, vae_factor

if TYPE_CHECKING:
    from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel

__all__ = ["STABLE_DIFFUSION_3", "SD3Network", "StableDiffusion3Model"]


@final
@dataclass(frozen=True, eq=False)
class SD3Network(Network):
    """An `SD3Transformer2DModel` on flat latents of one shape.

    - `transformer`: called through `__call__`, so that offloading hooks fire.
    - `latent_shape`: (channels, height, width).
    - `device`: where its inputs go.
    """

    transformer: "SD3Transformer2DModel"
    latent_shape: tuple[int, int, int]
    device: torch.device

    @property
    def dim(self) -> int:
        """Coordinates of a flat latent."""
        channels, height, width = self.latent_shape
        return channels * height * width

    @property
    def batches(self) -> ChunkedBatches:
        """Pieces by the number of image and text tokens."""
        return token_batches(self.transformer, self.tokens + TEXT_TOKENS, self.device)

    @property
    def tokens(self) -> int:
        """Tokens of the image."""
        _, height, width = self.latent_shape
        return height * width // self.transformer.config["patch_size"] ** 2

    def __call__(
        self, x: Float[Tensor, "rows dim"], timestep: float, condition: Condition
    ) -> Float[Tensor, "rows dim"]:
        """The raw output; inputs are cast to the network's precision."""
        embeddings, pooled = condition.parts
        dtype = self.transformer.dtype
        output = self.transformer(
            hidden_states=x.to(dtype).to(self.device).unflatten(1, self.latent_shape),
            timestep=told(timestep, x, self.device),
            encoder_hidden_states=embeddings.to(dtype).to(self.device),
            pooled_projections=pooled.to(dtype).to(self.device),
            return_dict=False,
        )[0]
        return output.flatten(1)

    def features(
        self, x: Float[Tensor, "rows dim"], timestep: float, condition: Condition
    ) -> Features:
        """The image's tokens after the middle block, one a patch; one grid."""
        _, height, width = self.latent_shape
        patch = self.transformer.config["patch_size"]
        with tapped(middle(self.transformer.transformer_blocks)) as outputs:
            self(x, timestep, condition)
        return tuple(on_grid(tokens, height // patch, width // patch) for tokens in outputs)


TEXT_TOKENS = 77 + 256
"""CLIP's tokens, then T5's."""


@final
@dataclass(frozen=True, eq=False)
class StableDiffusion3Model(PipelineModel):
    """A `StableDiffusion3Pipeline`, taken apart; the pipeline is only read.

    A condition has two parts: the tokens' hidden states (rows, tokens, width) and the pooled
    vector (rows, width). Both interpolate linearly.

    The third text encoder (T5) may be missing: its tokens are then zero, as the pipeline has it.
    Without one of the two CLIP encoders, conditions must be made from embeddings kept earlier.
    """

    @property
    def family(self) -> ModelFamily:
        """Stable Diffusion 3."""
        return STABLE_DIFFUSION_3

    @property
    def native_size(self) -> int:
        """The edge, in pixels, of the square images that the model was trained on."""
        return self.pipeline.transformer.config["sample_size"] * vae_factor(self.pipeline.vae)

    @property
    def size_multiple(self) -> int:
        """Heights and widths must be multiples of this: autoencoder times patch."""
        return vae_factor(self.pipeline.vae) * self.pipeline.transformer.config["patch_size"]

    @property
    def largest_size(self) -> int:
        """The largest height or width, in pixels, that there are position embeddings for."""
        return self.pipeline.transformer.config["pos_embed_max_size"] * self.size_multiple

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(channels, height, width) of the latents of images of a size.

        Raises `ValueError` where the size is no multiple of `size_multiple` or above
        `largest_size`.
        """
        demand_size(height, width, self.size_multiple, self.id)
        if max(height, width) > self.largest_size:
            raise ValueError(
                f"got images of {height}x{width}; {self.id} has position embeddings for at most "
                f"{self.largest_size} pixels an edge: choose a smaller size"
            )
        return divided(self.pipeline, height, width)

    def codec(self, height: int, width: int) -> VAECodec:
        """The codec for images of a size."""
        self.latent_shape(height, width)
        return VAECodec(self.pipeline.vae, height, width, self.device)

    def denoiser(self, height: int, width: int) -> Denoiser:
        """The denoiser for latents of images of a size; its grid of time steps is the size's."""
        shape = self.latent_shape(height, width)
        network = SD3Network(self.pipeline.transformer, shape, self.device)
        schedule = flow_schedule(self.pipeline, network.tokens)
        return Denoiser(network, schedule, FlowPrediction())

    def encode_prompt(self, text: str) -> Condition:
        """The condition of a prompt, one row; `""` is the null condition.

        Text beyond the encoders' lengths is cut off, with a warning in the log. Raises
        `ModelError` for a pipeline without one of the two CLIP encoders.
        """
        pipe = self.pipeline
        demand_text(pipe, ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"))
        with torch.inference_mode():
            embeddings, _, pooled, _ = pipe.encode_prompt(
                text, None, None, device=self.device, do_classifier_free_guidance=False
            )
        return as_condition(embeddings, pooled)


def _demand_usable(pipe: Any) -> None:
    flow_schedule(pipe, tokens=1)
    demand_channels(pipe, pipe.transformer.config["in_channels"])


STABLE_DIFFUSION_3 = ModelFamily(
    name="Stable Diffusion 3, 3.5",
    pipelines=("StableDiffusion3Pipeline", "StableDiffusion3Img2ImgPipeline"),
    model=StableDiffusion3Model,
    parts=("transformer", "vae", "scheduler"),
    optional=("text_encoder", "text_encoder_2", "text_encoder_3"),
    prediction="flow velocity",
    prompt="text",
    demand=_demand_usable,
)
