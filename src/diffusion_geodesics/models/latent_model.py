"""Models whose network works on the latents of an autoencoder."""

from dataclasses import dataclass
from typing import final

from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.pipeline_model import PipelineModel, check_size, largest_edge
from diffusion_geodesics.models.vae import VAECodec, vae_factor


@dataclass(frozen=True, eq=False)
class LatentModel(PipelineModel):
    """A pipeline of a network, an autoencoder and a scheduler. All else as in `PipelineModel`."""

    @property
    def native_size(self) -> int:
        """The edge of the square images that the model was trained on; `ModelError` if neither
        the network's nor the autoencoder's configuration says."""
        edge = self._native_latent_edge
        if edge is not None:
            return edge * self._factor
        pixels = self.pipeline.vae.config.get("sample_size")
        if pixels is None:
            raise ModelError(
                f"the configurations of {self.id} do not say what size its images have "
                f"(sample_size of {self.family.parts[0]}); give the size"
            )
        return -(-largest_edge(pixels) // self.size_multiple) * self.size_multiple

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(channels, height, width) of the latents of images of a size; errors as `codec`."""
        self._check_size(height, width)
        channels = self.pipeline.vae.config["latent_channels"]
        return (channels, height // self._factor, width // self._factor)

    @final
    def codec(self, height: int, width: int) -> VAECodec:
        self._check_size(height, width)
        return VAECodec(self.pipeline.vae, height, width, self.device, self._upcasts)

    def _check_size(self, height: int, width: int) -> None:
        check_size(height, width, self.size_multiple, self.id)

    @property
    def _upcasts(self) -> bool:
        """Whether a half-precision autoencoder runs in float32."""
        return False

    @property
    def _factor(self) -> int:
        return vae_factor(self.pipeline.vae)

    @property
    def _native_latent_edge(self) -> int | None:
        size = self._network.config["sample_size"]
        return None if size is None else largest_edge(size)
