"""Which model, where and how: the settings of every command that needs one."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated, ClassVar

from diffusion_geodesics.runtime.settings import Marker, SettingsGroup

if TYPE_CHECKING:
    from diffusion_geodesics.models.model import DiffusionModel
    from diffusion_geodesics.runtime.run import Observer


class Dtype(Enum):
    """Precision of the networks."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


class ModelSettings(SettingsGroup):
    """Which model, where and how."""

    title: ClassVar[str] = "Model"

    model: Annotated[str, Marker.NAME_OR_FOLDER] = "embedded"
    """'embedded', the folder of a diffusers pipeline, or a hub id."""
    device: str | None = None
    """cuda, mps or cpu; the first there is."""
    dtype: Dtype = Dtype.FLOAT32
    """Precision of the networks."""
    revision: str | None = None
    """Revision of a hub id."""
    offline: bool = False
    """Never use the network."""

    def load(self, observer: Observer) -> DiffusionModel:
        """Load the model, keeping the libraries' own notices off the terminal."""
        import torch

        from diffusion_geodesics.models import load_model
        from diffusion_geodesics.runtime.run import Run

        with Run(observer).stage("load"):
            return load_model(
                self.model,
                device=self.device,
                dtype=getattr(torch, self.dtype.value),
                revision=self.revision,
                local_files_only=self.offline,
            )
