r"""Flux.1: flow matching on latents that the transformer sees as a row of 2x2 patches.

The transformer predicts the velocity $v = \varepsilon - x_0$ on
$x_\sigma = (1 - \sigma) x_0 + \sigma \varepsilon$ and is told $\sigma$. Here a latent is flat
(channels, height, width), as the autoencoder has it; it is cut into patches inside the network's
adapter, which is a permutation of the coordinates and leaves the geometry alone.

**None of the published models has a true density.** `dev` is guidance-distilled: it is told a
guidance weight w and imitates $v_\varnothing + w (v_c - v_\varnothing)$, the score of no density
for any w but 1, for which it was not trained. `schnell` is timestep-distilled: away from its few
steps its output is no conditional mean. Lengths and densities computed from either are labelled.
"""

from dataclasses import dataclass, replace
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
    from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel

__all__ = ["FLUX", "FluxModel", "FluxNetwork", "pack", "positions", "unpack"]

PATCH = 2
TEXT_TOKENS = 512


def pack(latents: Float[Tensor, "rows c h w"]) -> Float[Tensor, "rows tokens depth"]:
    """Latents as a row of 2x2 patches, (h/2)(w/2) tokens of 4c channels; heights even."""
    rows, channels, height, width = latents.shape
    patches = latents.reshape(rows, channels, height // PATCH, PATCH, width // PATCH, PATCH)
    return patches.permute(0, 2, 4, 1, 3, 5).reshape(rows, -1, channels * PATCH**2)


def unpack(
    tokens: Float[Tensor, "rows tokens depth"], height: int, width: int
) -> Float[Tensor, "rows c h w"]:
    """The inverse of `pack`, for latents of `height` and `width`."""
    rows, _, depth = tokens.shape
    channels = depth // PATCH**2
    patches = tokens.reshape(rows, height // PATCH, width // PATCH, channels, PATCH, PATCH)
    return patches.permute(0, 3, 1, 4, 2, 5).reshape(rows, channels, height, width)


def positions(height: int, width: int) -> Float[Tensor, "tokens 3"]:
    """(0, row, column) of every patch of latents of `height` and `width`."""
    rows, columns = torch.arange(height // PATCH), torch.arange(width // PATCH)
    return torch.cartesian_prod(torch.zeros(1), rows.float(), columns.float())


@final
@dataclass(frozen=True, eq=False)
class FluxNetwork(Network):
    """A `FluxTransformer2DModel` on flat latents of one shape.

    - `transformer`: called through `__call__`, so that offloading hooks fire.
    - `latent_shape`: (channels, height, width), height and width even.
    - `device`: where its inputs go.
    - `guidance`: the weight that a guidance-distilled transformer is told.
    - `train_steps`: T; the transformer is told `timestep` / T.
    """

    transformer: "FluxTransformer2DModel"
    latent_shape: tuple[int, int, int]
    device: torch.device
    guidance: float
    train_steps: int

    @property
    def dim(self) -> int:
        """Coordinates of a flat latent."""
        channels, height, width = self.latent_shape
        return channels * height * width

    @property
    def batches(self) -> ChunkedBatches:
        """Pieces by the number of image and text tokens."""
        _, height, width = self.latent_shape
        return token_batches(
            self.transformer, height * width // PATCH**2 + TEXT_TOKENS, self.device
        )

    def __call__(
        self, x: Float[Tensor, "rows dim"], timestep: float, condition: Condition
    ) -> Float[Tensor, "rows dim"]:
        """The raw output; inputs are cast to the network's precision."""
        embeddings, pooled = condition.parts
        dtype = self.transformer.dtype
        _, height, width = self.latent_shape
        latents = x.to(dtype).to(self.device).unflatten(1, self.latent_shape)
        guided = self.transformer.config["guidance_embeds"]
        output = self.transformer(
            hidden_states=pack(latents),
            timestep=told(timestep / self.train_steps, x, self.device),
            guidance=told(self.guidance, x, self.device) if guided else None,
            encoder_hidden_states=embeddings.to(dtype).to(self.device),
            pooled_projections=pooled.to(dtype).to(self.device),
            txt_ids=torch.zeros(embeddings.shape[1], 3, device=self.device),
            img_ids=positions(height, width).to(self.device),
            return_dict=False,
        )[0]
        return unpack(output, height, width).flatten(1)

    def features(
        self, x: Float[Tensor, "rows dim"], timestep: float, condition: Condition
    ) -> Features:
        """The image's tokens after the middle block, one a patch; one grid.

        The middle of all: of `dev`'s 19 double-stream and then 38 single-stream blocks, the tenth
        single-stream one.
        """
        _, height, width = self.latent_shape
        net = self.transformer
        with tapped(middle(net.transformer_blocks, net.single_transformer_blocks)) as outputs:
            self(x, timestep, condition)
        return tuple(on_grid(tokens, height // PATCH, width // PATCH) for tokens in outputs)


@final
@dataclass(frozen=True, eq=False)
class FluxModel(PipelineModel):
    """A `FluxPipeline`, taken apart; the pipeline is only read.

    A condition has two parts: T5's hidden states (rows, tokens, width) and CLIP's pooled vector
    (rows, width). Both interpolate linearly.

    - `guidance`: the weight w that a guidance-distilled transformer is told, the pipeline's own
      3.5 by default; of no effect on one that takes none.
    """

    guidance: float = 3.5

    @property
    def family(self) -> ModelFamily:
        """Flux.1."""
        return FLUX

    @property
    def native_size(self) -> int:
        """The edge, in pixels, of the square images that the model was trained on."""
        return self.pipeline.default_sample_size * vae_factor(self.pipeline.vae)

    @property
    def size_multiple(self) -> int:
        """Heights and widths must be multiples of this: autoencoder times patch."""
        return vae_factor(self.pipeline.vae) * PATCH

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(channels, height, width) of the latents of images of a size.

        Raises `ValueError` where the size is no multiple of `size_multiple`.
        """
        demand_size(height, width, self.size_multiple, self.id)
        return divided(self.pipeline, height, width)

    def codec(self, height: int, width: int) -> VAECodec:
        """The codec for images of a size."""
        self.latent_shape(height, width)
        return VAECodec(self.pipeline.vae, height, width, self.device)

    def denoiser(self, height: int, width: int) -> Denoiser:
        """The denoiser for latents of images of a size; its grid of time steps is the size's."""
        shape = self.latent_shape(height, width)
        schedule = flow_schedule(self.pipeline, shape[1] * shape[2] // PATCH**2)
        schedule = replace(schedule, lowest=None)  # the pipeline's even grid ends at 1/steps
        network = FluxNetwork(
            self.pipeline.transformer, shape, self.device, self.guidance, schedule.train_steps
        )
        return Denoiser(network, schedule, FlowPrediction())

    def encode_prompt(self, text: str) -> Condition:
        """The condition of a prompt, one row; `""` is the null condition.

        Text beyond the encoders' lengths is cut off, with a warning in the log. Raises
        `ModelError` for a pipeline without its text encoders.
        """
        demand_text(self.pipeline, ("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"))
        with torch.inference_mode():
            embeddings, pooled, _ = self.pipeline.encode_prompt(text, device=self.device)
        return as_condition(embeddings, pooled)


def _demand_usable(pipe: Any) -> None:
    flow_schedule(pipe, tokens=1)
    demand_channels(pipe, pipe.transformer.config["in_channels"] // PATCH**2)


def _caveat(pipe: Any) -> str:
    if pipe.transformer.config["guidance_embeds"]:
        return "guidance-distilled: the score imitates a guided one, which is that of no density"
    return "if distilled for few steps, as Flux.1 schnell is, the score is that of no density"


FLUX = ModelFamily(
    name="Flux.1",
    pipelines=("FluxPipeline", "FluxImg2ImgPipeline"),
    model=FluxModel,
    parts=("transformer", "vae", "scheduler"),
    optional=("text_encoder", "text_encoder_2"),
    prediction="flow velocity",
    prompt="text",
    demand=_demand_usable,
    caveat=_caveat,
    note="distilled (guidance in dev, few steps in schnell): its score is that of no density",
)
