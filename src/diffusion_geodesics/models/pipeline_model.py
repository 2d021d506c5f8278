"""What all adapters over a diffusers pipeline share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar, final

import torch
from torch import Tensor

from diffusion_geodesics.diffusion import Condition
from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.families import ModelFamily
from diffusion_geodesics.models.hashing import hash_files, hash_tensors
from diffusion_geodesics.models.model import DiffusionModel
from diffusion_geodesics.models.schedulers import read_scheduler
from diffusion_geodesics.models.text import check_tokenizers, text_notes
from diffusion_geodesics.models.vae import VAECodec, vae_factor

Model = TypeVar("Model", bound="PipelineModel")


@dataclass(frozen=True, eq=False)
class PipelineModel(DiffusionModel):
    """A diffusers pipeline, taken apart. The class of a family is final.

    The pipeline is only read: its LoRAs, offloading hooks and custom components act, and its
    scheduler and its settings stay as they are. Its networks are put into evaluation mode.
    ``files`` are its weight files, where it was read from files; `hash` is taken over them.

    `ModelError` for a pipeline of another class, with parts missing, with weights that were never
    loaded, or with a tokenizer or scheduler that cannot be used.
    """

    family: ClassVar[ModelFamily]

    pipeline: Any
    id: str
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.family.check_complete(self.pipeline)
        self._check_usable()
        read_scheduler(self.pipeline.scheduler, tokens=1)
        check_tokenizers(self.pipeline, self.family.readers)
        for name, network in self._networks.items():
            _check_loaded(name, network)
            network.eval()

    def _check_usable(self) -> None:
        """Raise `ModelError` for a complete pipeline of the family that cannot be used."""

    @final
    @classmethod
    def from_pipeline(cls: type[Model], pipe: Any) -> Model:
        """The model of a pipeline in memory."""
        return cls(pipe, str(getattr(pipe, "name_or_path", "") or type(pipe).__name__))

    @final
    def _weights_hash(self) -> str:
        return hash_files(self.files) if self.files else hash_tensors(self._networks.values())

    @property
    @final
    def device(self) -> torch.device:
        """Where the networks run; with offloading, where they will be brought to."""
        return torch.device(self.pipeline._execution_device)

    @property
    @final
    def dtype(self) -> torch.dtype:
        return self._network.dtype

    def prompt_notes(self, text: str) -> tuple[str, ...]:
        return text_notes(self.pipeline, self.family.readers, text)

    @property
    def _network(self) -> Any:
        """The denoising network."""
        return getattr(self.pipeline, self.family.parts[0])

    @property
    def _networks(self) -> dict[str, Any]:
        """All components with weights, the denoising network first."""
        names = (*self.family.parts, *self.family.optional)
        parts = {name: getattr(self.pipeline, name, None) for name in names}
        return {name: part for name, part in parts.items() if isinstance(part, torch.nn.Module)}


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


def _check_loaded(name: str, network: torch.nn.Module) -> None:
    """Check that a network has its weights, or a hook that brings them when it runs."""
    absent = [key for key, parameter in network.named_parameters() if parameter.is_meta]
    if absent and not any(hasattr(module, "_hf_hook") for module in network.modules()):
        raise ModelError(
            f"got a {name} with {len(absent)} weights that were never loaded ({absent[0]}, for "
            "example); load the pipeline again from complete files"
        )


def check_size(height: int, width: int, multiple: int, name: str) -> None:
    """`ValueError` unless height and width are positive multiples of a number."""
    if height < multiple or width < multiple or height % multiple or width % multiple:
        raise ValueError(
            f"got images of {height}x{width}; height and width must be multiples of "
            f"{multiple} for {name}"
        )


def largest_edge(sample_size: Any) -> int:
    """The edge that a configuration's ``sample_size`` gives, the larger of two."""
    return int(sample_size if isinstance(sample_size, int) else max(sample_size))


def as_condition(*parts: Tensor) -> Condition:
    """Embeddings as a condition in float32 (float64 stays), so that they interpolate finely."""
    wide = [part.to(torch.promote_types(part.dtype, torch.float32)) for part in parts]
    return Condition(tuple(part.clone() for part in wide))
