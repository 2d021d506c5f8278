"""Pictures and films inside a page, as data addresses."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import final

import torch
from PIL import features
from torch import Tensor

from diffusion_geodesics.reporting.blocks import VideoClip
from diffusion_geodesics.reporting.films import FilmFile, write_films
from diffusion_geodesics.reporting.pixels import fit_height, to_image
from diffusion_geodesics.reporting.playback import Upscaler
from diffusion_geodesics.reporting.video_formats import Mp4

LARGEST_FILM = 8_000_000  # bytes of a film above which the page shows a smaller preview
PREVIEW_EDGE = 640  # longest edge of a preview in pixels


@final
@dataclass(frozen=True)
class EmbeddedFilm:
    """A film as the page shows it."""

    address: str  # that holds it
    is_video: bool  # whether it is shown by a video player, not as an image
    repeats: bool  # whether it begins again at the end
    notes: Sequence[str] = ()  # what differs from what was asked, in the files that were written


def data_address(content: bytes, media_type: str) -> str:
    """An address that holds a file, such as data:image/png;base64,..."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def embedded_image(pixels: Tensor, height: int, quality: int = 90) -> str:
    """The address of an image, no higher than shown: WebP, or PNG where Pillow lacks that."""
    image, buffer = to_image(pixels), io.BytesIO()
    small = fit_height(image, min(image.height, height))
    if features.check("webp"):
        small.save(buffer, format="WEBP", quality=quality, method=4)
        return data_address(buffer.getvalue(), "image/webp")
    small.save(buffer, format="PNG")
    return data_address(buffer.getvalue(), "image/png")


def embedded_film(clip: VideoClip, files: Sequence[FilmFile]) -> EmbeddedFilm:
    """The film of a clip for its page: the first file that every browser shows, or a preview."""
    notes = [note for file in files for note in file.notes]
    repeats = clip.playback.order.repeats
    for file in files:
        media = file.format.media_type
        if media and file.path.stat().st_size <= LARGEST_FILM:
            address = data_address(file.path.read_bytes(), media)
            return EmbeddedFilm(address, media.startswith("video/"), repeats, notes)
    address = data_address(_preview(clip), Mp4().media_type)
    return EmbeddedFilm(address, True, repeats, notes)


def _preview(clip: VideoClip) -> bytes:
    playback = replace(clip.playback, upscale=_limited(clip.playback.upscale))
    with TemporaryDirectory() as folder:
        place = Path(folder)
        (file,) = write_films(clip.frames, place, [Mp4(crf=23)], playback, rests=clip.rests)
        return file.path.read_bytes()


def _limited(upscale: Upscaler) -> Upscaler:
    """The upscaler, followed by a reduction to the size of a preview."""

    def apply(frames: Tensor) -> Tensor:
        larger = upscale(frames)
        factor = PREVIEW_EDGE / max(larger.shape[2:])
        if factor >= 1:
            return larger
        size = [max(1, round(edge * factor)) for edge in larger.shape[2:]]
        smaller = torch.nn.functional.interpolate(larger, size, mode="bilinear", antialias=True)
        return smaller.clamp(0, 1)

    return apply
