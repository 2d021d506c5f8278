"""Stable Diffusion 1.x and 2.x, and every pipeline folder of the same make."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import (
    ChunkedBatches,
    Condition,
    Denoiser,
    DiscreteSchedule,
    EpsilonPrediction,
    Network,
    NoiseSchedule,
    Prediction,
    SamplePrediction,
    Spacing,
    VelocityPrediction,
)
from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.model import DiffusionModel
from diffusion_geodesics.models.vae import VAECodec, vae_factor
from diffusion_geodesics.models.weights import hash_files, hash_tensors

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import (
        StableDiffusionPipeline,
    )

__all__ = ["StableDiffusionModel", "UNetNetwork", "read_prediction", "read_schedule"]

PREDICTIONS: dict[str, Prediction] = {
    "epsilon": EpsilonPrediction(),
    "v_prediction": VelocityPrediction(),
    "sample": SamplePrediction(),
}


@final
@dataclass(frozen=True, eq=False)
class UNetNetwork(Network):
    """A `UNet2DConditionModel` on flat latents of one shape.

    - `unet`: called through `__call__`, so that offloading hooks fire.
    - `latent_shape`: (channels, height, width).
    - `device`: where its inputs go.
    """

    unet: "UNet2DConditionModel"
    latent_shape: tuple[int, int, int]
    device: torch.device

    @property
    def dim(self) -> int:
        """Coordinates of a flat latent."""
        channels, height, width = self.latent_shape
        return channels * height * width

    @property
    def batches(self) -> ChunkedBatches:
        """Pieces by a rough count: some sixty full-resolution activations alive a row."""
        _, height, width = self.latent_shape
        size = torch.finfo(self.unet.dtype).bits // 8
        width_bytes = self.unet.config["block_out_channels"][0] * height * width * size
        return ChunkedBatches(64 * width_bytes, self.device)

    def __call__(
        self, x: Float[Tensor, "rows dim"], timestep: float, condition: Condition
    ) -> Float[Tensor, "rows dim"]:
        """The raw output; inputs are cast to the network's precision."""
        (embeddings,) = condition.parts
        dtype = self.unet.dtype
        output = self.unet(
            x.to(dtype).to(self.device).unflatten(1, self.latent_shape),
            timestep,
            encoder_hidden_states=embeddings.to(dtype).to(self.device),
            return_dict=False,
        )[0]
        return output.flatten(1)


@final
@dataclass(frozen=True, eq=False)
class StableDiffusionModel(DiffusionModel):
    """A Stable Diffusion pipeline, taken apart: codec, denoiser, schedule, prompts.

    Get one from `load_model`, or from a pipeline that is loaded already with `from_pipeline`:
    its LoRAs, textual inversions, offloading and custom weights all act. The pipeline is only
    read; its scheduler's and its own settings stay as they are.

    - `pipeline`: the `StableDiffusionPipeline`.
    - `id`: the name it was asked for by.
    - `files`: its weight files, where it was read from files; `hash` is taken over them.
    """

    pipeline: "StableDiffusionPipeline"
    id: str
    files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        _demand_usable(self.pipeline)
        for name in ("unet", "vae", "text_encoder"):
            getattr(self.pipeline, name).eval()

    @classmethod
    def from_pipeline(cls, pipe: "StableDiffusionPipeline") -> "StableDiffusionModel":
        """The model of a pipeline in memory. Puts its networks into evaluation mode.

        Raises `ModelError` for a pipeline of another class or with other parts.
        """
        return cls(pipe, id=str(getattr(pipe, "name_or_path", "") or type(pipe).__name__))

    @property
    def hash(self) -> str:
        """SHA-256 over the weights: of the files, or of the tensors of a pipeline in memory.

        64 hexadecimal digits, worked out when first asked for.
        """
        return self._hash

    @cached_property
    def _hash(self) -> str:
        if self.files:
            return hash_files(self.files)
        pipe = self.pipeline
        return hash_tensors([pipe.unet, pipe.vae, pipe.text_encoder])

    @cached_property
    def schedule(self) -> NoiseSchedule:
        """The noise schedule, from the scheduler's configuration."""
        return read_schedule(self.pipeline.scheduler)

    @cached_property
    def prediction(self) -> Prediction:
        """What the network predicts, from the scheduler's configuration."""
        return read_prediction(self.pipeline.scheduler)

    @property
    def device(self) -> torch.device:
        """Where the networks run."""
        return torch.device(self.pipeline._execution_device)

    @property
    def dtype(self) -> torch.dtype:
        """The denoiser's precision; geometry stays in float32 or float64."""
        return self.pipeline.unet.dtype

    @property
    def native_size(self) -> int:
        """The edge, in pixels, of the square images that the model was trained on."""
        size = self.pipeline.unet.config["sample_size"]
        edge = size if isinstance(size, int) else max(size)
        return edge * vae_factor(self.pipeline.vae)

    @property
    def size_multiple(self) -> int:
        """Heights and widths must be multiples of this: autoencoder times U-Net downsampling."""
        halvings = len(self.pipeline.unet.config["block_out_channels"]) - 1
        return vae_factor(self.pipeline.vae) * 2**halvings

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(channels, height, width) of the latents of images of a size.

        Raises `ValueError` where the size is no multiple of `size_multiple`.
        """
        multiple = self.size_multiple
        if height < multiple or width < multiple or height % multiple or width % multiple:
            raise ValueError(
                f"got images of {height}x{width}; height and width must be multiples of "
                f"{multiple} for {self.id}"
            )
        factor = vae_factor(self.pipeline.vae)
        return (self.pipeline.vae.config["latent_channels"], height // factor, width // factor)

    def codec(self, height: int, width: int) -> VAECodec:
        """The codec for images of a size."""
        self.latent_shape(height, width)
        return VAECodec(self.pipeline.vae, height, width, self.device)

    def denoiser(self, height: int, width: int) -> Denoiser:
        """The denoiser for latents of images of a size."""
        network = UNetNetwork(self.pipeline.unet, self.latent_shape(height, width), self.device)
        return Denoiser(network, self.schedule, self.prediction)

    def encode_prompt(self, text: str) -> Condition:
        """The condition of a prompt, one row; `""` is the null condition.

        Text beyond the text encoder's length is cut off, with a warning in the log. In float32
        (float64 for a float64 model), so that embeddings interpolate without rounding.
        """
        with torch.inference_mode():
            embeddings, _ = self.pipeline.encode_prompt(text, self.device, 1, False)
        wide = torch.float64 if embeddings.dtype == torch.float64 else torch.float32
        return Condition((embeddings.to(wide).clone(),))


def read_schedule(scheduler: Any) -> NoiseSchedule:
    """The noise schedule that a diffusers scheduler was configured with.

    A fresh scheduler is built from the configuration, so that nothing set or stepped since
    enters. Raises `ModelError` for a scheduler without a table of betas (flow matching, EDM).
    """
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    config = scheduler.config
    if "beta_start" not in config and "trained_betas" not in config:
        raise ModelError(
            f"got a {type(scheduler).__name__}; a Stable Diffusion model needs a scheduler with a "
            "table of betas, for example DDIMScheduler"
        )
    table = DDIMScheduler(**{key: config[key] for key in _BETA_KEYS if key in config})
    spacing = config.get("timestep_spacing", "leading")
    if spacing not in {kind.value for kind in Spacing}:
        raise ModelError(
            f"got timestep_spacing={spacing!r} in the scheduler's configuration; expected "
            "leading, trailing or linspace"
        )
    alphas = tuple(float(alpha) for alpha in table.alphas_cumprod.double())
    final = 1.0 if config.get("set_alpha_to_one", True) else alphas[0]
    return DiscreteSchedule(alphas, final, Spacing(spacing), int(config.get("steps_offset", 0)))


_BETA_KEYS = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "rescale_betas_zero_snr",
)


def read_prediction(scheduler: Any) -> Prediction:
    """What the network predicts, by the scheduler's configuration."""
    name = scheduler.config.get("prediction_type", "epsilon")
    if name not in PREDICTIONS:
        raise ModelError(
            f"got prediction_type={name!r} in the scheduler's configuration; expected one of "
            f"{', '.join(PREDICTIONS)}"
        )
    return PREDICTIONS[name]


def _demand_usable(pipe: Any) -> None:
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import (
        StableDiffusionPipeline,
    )
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img import (
        StableDiffusionImg2ImgPipeline,
    )

    if not isinstance(pipe, StableDiffusionPipeline | StableDiffusionImg2ImgPipeline):
        raise ModelError(
            f"got a {type(pipe).__name__}; expected a StableDiffusionPipeline "
            "(Stable Diffusion 1.x or 2.x)"
        )
    missing = [
        name
        for name in ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
        if getattr(pipe, name, None) is None
    ]
    if missing:
        raise ModelError(f"got a pipeline without {', '.join(missing)}; load it with all parts")
    channels = pipe.unet.config["in_channels"]
    if channels != pipe.vae.config["latent_channels"]:
        raise ModelError(
            f"got a U-Net of {channels} input channels for latents of "
            f"{pipe.vae.config['latent_channels']}: an inpainting or depth model; load a "
            "text-to-image one"
        )
    if pipe.unet.config["time_cond_proj_dim"] is not None:
        raise ModelError(
            "got a consistency-distilled U-Net (it takes guidance as an input), which has no "
            "score; load the model it was distilled from"
        )
