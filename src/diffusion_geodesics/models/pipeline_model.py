"""What all adapters over a diffusers pipeline share."""

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, final

import torch
from torch import Tensor

from diffusion_geodesics.diffusion import Condition
from diffusion_geodesics.models.model import DiffusionModel
from diffusion_geodesics.models.weights import hash_files, hash_tensors

if TYPE_CHECKING:
    from diffusion_geodesics.models.family import ModelFamily

__all__ = ["PipelineModel", "as_condition", "demand_size"]

Model = TypeVar("Model", bound="PipelineModel")


@dataclass(frozen=True, eq=False)
class PipelineModel(DiffusionModel):
    """A diffusers pipeline, taken apart. A family subclasses this once and is final.

    The pipeline is only read: its LoRAs, offloading hooks and custom components act, its
    scheduler's and its own settings stay as they are. Its networks are put into evaluation mode.

    - `pipeline`: the pipeline.
    - `id`: the name it was asked for by.
    - `files`: its weight files, where it was read from files; `hash` is taken over them.

    Raises `ModelError` for a pipeline of another class or with parts missing.
    """

    pipeline: Any
    id: str
    files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        self.family.demand_usable(self.pipeline)
        for network in self._networks:
            network.eval()

    @property
    @abstractmethod
    def family(self) -> "ModelFamily":
        """Which family this is."""

    @final
    @classmethod
    def from_pipeline(cls: type[Model], pipe: Any) -> Model:
        """The model of a pipeline in memory."""
        return cls(pipe, str(getattr(pipe, "name_or_path", "") or type(pipe).__name__))

    @property
    @final
    def hash(self) -> str:
        """SHA-256 over the weights: of the files, or of the tensors of a pipeline in memory.

        64 hexadecimal digits, worked out when first asked for.
        """
        return self._hash

    @cached_property
    def _hash(self) -> str:
        return hash_files(self.files) if self.files else hash_tensors(self._networks)

    @property
    @final
    def device(self) -> torch.device:
        """Where the networks run; with offloading, where they will be brought to."""
        return torch.device(self.pipeline._execution_device)

    @property
    @final
    def dtype(self) -> torch.dtype:
        """The denoiser's precision; geometry stays in float32 or float64."""
        return self._networks[0].dtype

    @property
    @final
    def caveat(self) -> str:
        """What the score is, in a sentence, where it is that of no density; else empty."""
        return self.family.caveat(self.pipeline)

    @property
    def _networks(self) -> list[Any]:
        names = (*self.family.parts, *self.family.optional)
        parts = [getattr(self.pipeline, name, None) for name in names]
        return [part for part in parts if isinstance(part, torch.nn.Module)]


def demand_size(height: int, width: int, multiple: int, name: str) -> None:
    """That height and width are positive multiples of `multiple`; `ValueError` otherwise."""
    if height < multiple or width < multiple or height % multiple or width % multiple:
        raise ValueError(
            f"got images of {height}x{width}; height and width must be multiples of "
            f"{multiple} for {name}"
        )


def as_condition(*parts: Tensor) -> Condition:
    """Embeddings as a condition in float32 (float64 stays), so that they interpolate finely."""
    wide = [part.to(torch.promote_types(part.dtype, torch.float32)) for part in parts]
    return Condition(tuple(part.clone() for part in wide))
