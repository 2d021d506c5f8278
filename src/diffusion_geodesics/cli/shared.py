"""Settings that several commands share: the model, and where the output goes."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeVar

from diffusion_geodesics.runtime.settings import (
    JobSettings,
    Marker,
    SettingsError,
    SettingsGroup,
    flat_fields,
)

if TYPE_CHECKING:
    from diffusion_geodesics.models import DiffusionModel
    from diffusion_geodesics.runtime.run import Observer

Settings = TypeVar("Settings", bound=JobSettings)


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


class OutputSettings(SettingsGroup):
    """Where the results go."""

    title: ClassVar[str] = "Output"

    output: Annotated[Path | None, Marker.OUTPUT] = None
    """Folder to write."""
    overwrite: bool = False
    """Replace an earlier run in the folder."""

    @property
    def folder(self) -> Path:
        """The folder.

        Raises:
            SettingsError: none was named.
        """
        if self.output is None:
            raise SettingsError("got no folder for the output; name one: output (-o) FOLDER")
        return self.output


def part_of(cls: type[Settings], command: JobSettings) -> Settings:
    """The settings of a job that are in those of its command."""
    names = set(flat_fields(cls))
    return cls.of(**{name: v for name, v in command.explicit().items() if name in names})
