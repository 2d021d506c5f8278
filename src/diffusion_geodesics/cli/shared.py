"""Settings that several commands share: the model, and where the output goes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, TypeVar

from diffusion_geodesics.models.settings import ModelSettings as ModelSettings
from diffusion_geodesics.runtime.settings import (
    JobSettings,
    Marker,
    SettingsError,
    SettingsGroup,
    flat_fields,
)

Settings = TypeVar("Settings", bound=JobSettings)


class OutputFolder(SettingsGroup):
    """Where the results go."""

    title: ClassVar[str] = "Output"

    output: Annotated[Path | None, Marker.OUTPUT] = None
    """Folder to write."""

    @property
    def folder(self) -> Path:
        """The folder."""
        if self.output is None:
            raise SettingsError("got no folder for the output; name one: output (-o) FOLDER")
        return self.output


class OutputSettings(OutputFolder):
    """Where the results of one run go."""

    overwrite: bool = False
    """Replace an earlier run in the folder."""


def part_of(cls: type[Settings], command: JobSettings) -> Settings:
    """The settings of a job that are in those of its command."""
    names = set(flat_fields(cls))
    return cls.of(**{name: v for name, v in command.explicit().items() if name in names})
