"""What the adapters over Stable Diffusion's U-Nets share."""

from dataclasses import dataclass
from typing import Any, final

from diffusion_geodesics.diffusion import Denoiser, EDMPrediction
from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.latent_model import LatentModel
from diffusion_geodesics.models.schedulers import read_scheduler
from diffusion_geodesics.models.unet import UNetNetwork

__all__ = ["UNetModel"]


@dataclass(frozen=True, eq=False)
class UNetModel(LatentModel):
    """A pipeline with a `UNet2DConditionModel`. Its scheduler may be one of betas, flow or EDM.

    All else as in `PipelineModel`.
    """

    @property
    @final
    def size_multiple(self) -> int:
        """Heights and widths must be multiples of this: autoencoder times U-Net downsampling."""
        return self._factor * 2 ** (len(self._network.config["block_out_channels"]) - 1)

    @final
    def denoiser(self, height: int, width: int) -> Denoiser:
        """The denoiser for latents of images of a size in pixels.

        Raises:
            ValueError: for a size that the model does not take.
        """
        schedule, prediction = read_scheduler(self.pipeline.scheduler)
        sigma_data = prediction.sigma_data if isinstance(prediction, EDMPrediction) else None
        network = UNetNetwork(
            self.pipeline.unet,
            self.latent_shape(height, width),
            self.device,
            sigma_data,
            self._sizes(height, width),
        )
        return Denoiser(network, schedule, prediction)

    def _sizes(self, height: int, width: int) -> tuple[int, int, int, int, int, int] | None:
        """SDXL's six numbers, where the U-Net takes them."""
        return None

    @final
    def _check_usable(self) -> None:
        """Check that the U-Net takes latents, a time and a text, no more."""
        config: Any = self.pipeline.unet.config
        latent = self.pipeline.vae.config["latent_channels"]
        if config["in_channels"] != latent:
            raise ModelError(
                f"got a U-Net of {config['in_channels']} input channels for latents of {latent}: "
                "an inpainting or depth model; load a text-to-image one"
            )
        if config["time_cond_proj_dim"] is not None:
            raise ModelError(
                "got a consistency-distilled U-Net (it takes guidance as an input), which has no "
                "score; load the model it was distilled from"
            )
        if config["encoder_hid_dim_type"] is not None:
            raise ModelError(
                "got a U-Net that wants images besides the prompt (an IP adapter); call "
                "pipe.unload_ip_adapter() first"
            )
