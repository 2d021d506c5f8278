"""Complaints about images and clips before a model is loaded."""

from __future__ import annotations

import os
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
    for image in images:  # before torch is imported for those that are there
        demand_file(image)
    from diffusion_geodesics.images import load_image

    for image in images:
        load_image(image)


def demand_file(path: Path) -> None:
    """That a file or folder is there, at once."""
    if not expand(path).exists():
        raise SettingsError(f"{path} does not exist; check the path")


def demand_space(
    output: OutputSettings, model: DiffusionModel, framing: Framing, images: int
) -> None:
    """That the disk of the output has room for so many images, twice: as files, and in films and
    the report."""
    from diffusion_geodesics.latents.memory import usual_size
    from diffusion_geodesics.runtime.storage import check_folder

    height, width = usual_size(model, framing)
    needed = 2 * 3 * images * height * width
    check_folder(output.folder, overwrite=output.overwrite, needed_bytes=needed)


def place_beside(folder: Path, suffix: str) -> Path | None:
    """Where intermediate results are kept: beside the output, by its name and a suffix; None where
    nothing can be made there."""
    parent = next(path for path in folder.parents if path.exists())
    return folder.with_name(folder.name + suffix) if os.access(parent, os.W_OK) else None


def demand_clips(clips: Sequence[Path], stream: int | None = None) -> None:
    """Open every clip once."""
    if not clips:
        raise SettingsError("got no clip; name at least one file or folder")
    for clip in clips:
        demand_file(clip)
    from diffusion_geodesics.clips import open_clip

    for clip in clips:
        open_clip(clip, stream=stream)
