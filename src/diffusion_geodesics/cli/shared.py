"""Settings that several commands share: the model, and where the output goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, TypeVar

from pydantic import BeforeValidator

from diffusion_geodesics.models.settings import ModelSettings as ModelSettings
from diffusion_geodesics.runtime import settings
from diffusion_geodesics.runtime.settings import JobSettings, SettingsGroup

if TYPE_CHECKING:
    from diffusion_geodesics.reporting.writer import Written
    from diffusion_geodesics.runtime.run import Observer

Settings = TypeVar("Settings", bound=JobSettings)
Texts = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)
]
"""Several texts; one alone may be given as it is."""


class OutputFolder(SettingsGroup):
    """Where the results go."""

    title: ClassVar[str] = "Output"

    output: Annotated[Path | None, settings.Marker.OUTPUT] = None
    """Folder to write."""

    @property
    def folder(self) -> Path:
        """The folder; an error where none was named."""
        if self.output is None:
            message = "got no folder for the output; name one: output (-o) FOLDER"
            raise settings.SettingsError(message)
        return self.output


class OutputSettings(OutputFolder):
    """Where the results of one run go."""

    overwrite: bool = False
    """Replace an earlier run in the folder."""

    def checked_folder(self, needed_bytes: int = 0) -> Path:
        """The folder, absolute, if the run can be written there."""
        from diffusion_geodesics.runtime.storage import check_folder

        return check_folder(self.folder, overwrite=self.overwrite, needed_bytes=needed_bytes)

    def save(self, result: object, observer: Observer) -> Written:
        """Write the result of a job into the folder."""
        from diffusion_geodesics.reporting.save import save

        return save(result, self.folder, overwrite=self.overwrite, observer=observer)


def part_of(cls: type[Settings], command: JobSettings) -> Settings:
    """The settings of a job that are in those of its command."""
    names = set(settings.flat_fields(cls))
    return cls.of(**{name: v for name, v in command.explicit().items() if name in names})
