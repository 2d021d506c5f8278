"""Complaints about images, clips and the disk before a model is loaded, or a film is made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from diffusion_geodesics.runtime.paths import expand
from diffusion_geodesics.runtime.settings import SettingsError

if TYPE_CHECKING:
    from diffusion_geodesics.cli.shared import OutputSettings
    from diffusion_geodesics.latents.settings import Framing
    from diffusion_geodesics.models import DiffusionModel


def demand_images(images: Sequence[Path], *, least: int) -> None:
    """Read every image once."""
    if len(images) < least:
        needed = "one image" if least == 1 else f"{least} images"
        raise SettingsError(f"got {len(images)} images; give at least {needed}")
    _demand_files(images)  # before torch is imported for those that are there
    from diffusion_geodesics.images import load_image

    for image in images:
        load_image(image)


def demand_clips(clips: Sequence[Path], stream: int | None = None) -> None:
    """Open every clip once."""
    if not clips:
        raise SettingsError("got no clip; name at least one file or folder")
    _demand_files(clips)
    from diffusion_geodesics.clips import open_clip

    for clip in clips:
        open_clip(clip, stream=stream)


def _demand_files(paths: Sequence[Path]) -> None:
    for path in paths:
        if not expand(path).exists():
            raise SettingsError(f"{path} does not exist; check the path")


def demand_space(
    output: OutputSettings, model: DiffusionModel, framing: Framing, images: int
) -> None:
    """That the disk of the output has room for so many images, twice: as files, and in films and
    the report."""
    from diffusion_geodesics.latents.memory import usual_size

    height, width = usual_size(model, framing)
    output.checked_folder(needed_bytes=2 * 3 * images * height * width)
