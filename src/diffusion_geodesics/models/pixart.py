r"""PixArt-alpha and PixArt-sigma: a transformer that predicts noise, with T5 for the text.

The transformer gives $\hat\varepsilon$ and, in further channels, a variance for ancestral
sampling, which has no part in the score and is dropped. Prompts have a mask: T5's padding is not
looked at.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import ChunkedBatches, Condition, Denoiser, Features, Network
from diffusion_geodesics.models.family import ModelFamily
from diffusion_geodesics.models.pipeline_model import PipelineModel, as_condition, demand_size
from diffusion_geodesics.models.schedulers import read_prediction, read_schedule
from diffusion_geodesics.models.taps import middle, on_grid, tapped
from diffusion_geodesics.models.transformer import (
    demand_channels,
    demand_text,
    demand_variance,
    divided,
    token_batches,
    told,
)
from diffusion_geodesics.models.vae import VAECodec, vae_factor

if TYPE_CHECKING:
    from diffusers.models.transformers.pixart_transformer_2d import PixArtTransformer2DModel

__all__ = ["PIXART", "PixArtModel", "PixArtNetwork"]

TEXT_TOKENS = 300
HIDDEN = -10_000.0
"""What is added to the attention scores of a token that is not looked at, as diffusers has it."""


@final
@dataclass(frozen=True, eq=False)
class PixArtNetwork(Network):
    r"""A `PixArtTransformer2DModel` on flat latents of one shape.

    The mask m of a condition, 0 to 1 a token, multiplies that token's attention weight: its
    logarithm is added to the scores. For a prompt it is 0 or 1, as the pipeline has it. Between
    two prompts it is interpolated with the embeddings, so that a token that only one of them has
    fades in: tokens of either are looked at, and the output is continuous along the path.

    - `transformer`: called through `__call__`, so that offloading hooks fire.
    - `latent_shape`: (channels, height, width).
    - `size`: (height, width) of the images, for transformers that are told.
    - `device`: where its inputs go.
    """

    transformer: "PixArtTransformer2DModel"
    latent_shape: tuple[int, int, int]
    size: tuple[int, int]
    device: torch.device

    @property
    def dim(self) -> int:
        """Coordinates of a flat latent."""
        channels, height, width = self.latent_shape
        return channels * height * width

    @property
    def batches(self) -> ChunkedBatches:
        """Pieces by the number of image and text tokens."""
        _, height, width = self.latent_shape
        tokens = height * width // self.transformer.config["patch_size"] ** 2 + TEXT_TOKENS
        return token_batches(self.transformer, tokens, self.device)

    def __call__(
        self, x: Float[Tensor, "rows dim"], timestep: float, condition: Condition
    ) -> Float[Tensor, "rows dim"]:
        """The raw output without the variance; inputs are cast to the network's precision."""
        embeddings, mask = condition.parts
        dtype = self.transformer.dtype
        bias = mask.clamp(0.0, 1.0).log().clamp(min=HIDDEN).to(dtype).to(self.device)
        output = self.transformer(
            x.to(dtype).to(self.device).unflatten(1, self.latent_shape),
            encoder_hidden_states=embeddings.to(dtype).to(self.device),
            encoder_attention_mask=bias[:, None],
            timestep=told(timestep, x, self.device),
            added_cond_kwargs=self._told_size(len(x)),
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

    def _told_size(self, rows: int) -> dict[str, Tensor | None]:
        """Resolution and aspect ratio, where the transformer has embeddings for them."""
        if not self.transformer.use_additional_conditions:
            return {"resolution": None, "aspect_ratio": None}
        height, width = self.size
        settings: dict[str, Any] = {"dtype": self.transformer.dtype, "device": self.device}
        return {
            "resolution": torch.tensor([[height, width]], **settings).expand(rows, 2),
            "aspect_ratio": torch.tensor([[height / width]], **settings).expand(rows, 1),
        }


@final
@dataclass(frozen=True, eq=False)
class PixArtModel(PipelineModel):
    """A `PixArtAlphaPipeline` or `PixArtSigmaPipeline`, taken apart; the pipeline is only read.

    A condition has two parts: T5's hidden states (rows, tokens, width) and their mask (rows,
    tokens), see `PixArtNetwork`. Images are taken at the size given: the pipeline's habit of
    working at the nearest size of a list (`use_resolution_binning`) is not copied.
    """

    @property
    def family(self) -> ModelFamily:
        """PixArt."""
        return PIXART

    @property
    def native_size(self) -> int:
        """The edge, in pixels, of the square images that the model was trained on."""
        return self.pipeline.transformer.config["sample_size"] * vae_factor(self.pipeline.vae)

    @property
    def size_multiple(self) -> int:
        """Heights and widths must be multiples of this: autoencoder times patch."""
        return vae_factor(self.pipeline.vae) * self.pipeline.transformer.config["patch_size"]

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
        """The denoiser for latents of images of a size."""
        shape = self.latent_shape(height, width)
        network = PixArtNetwork(self.pipeline.transformer, shape, (height, width), self.device)
        scheduler = self.pipeline.scheduler
        return Denoiser(network, read_schedule(scheduler), read_prediction(scheduler))

    def encode_prompt(self, text: str) -> Condition:
        """The condition of a prompt, one row; `""` is the null condition.

        The text is cleaned as the pipeline does, where the packages for that (bs4, ftfy) are
        installed, and cut off beyond the model's length, with a warning in the log. Raises
        `ModelError` for a pipeline without its text encoder.
        """
        demand_text(self.pipeline, ("text_encoder", "tokenizer"))
        clean = all(find_spec(package) is not None for package in ("bs4", "ftfy"))
        with torch.inference_mode():
            embeddings, mask, _, _ = self.pipeline.encode_prompt(
                text, do_classifier_free_guidance=False, device=self.device, clean_caption=clean
            )
        return as_condition(embeddings, mask.to(embeddings.dtype))


def _demand_usable(pipe: Any) -> None:
    demand_channels(pipe, pipe.transformer.config["in_channels"])
    demand_variance(pipe.transformer)


PIXART = ModelFamily(
    name="PixArt-alpha, PixArt-sigma",
    pipelines=("PixArtAlphaPipeline", "PixArtSigmaPipeline"),
    model=PixArtModel,
    parts=("transformer", "vae", "scheduler"),
    optional=("text_encoder",),
    prediction="noise",
    prompt="text",
    demand=_demand_usable,
)
