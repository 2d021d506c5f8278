"""How films of frames play, and in which files: settings that jobs share."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from diffusion_geodesics.latents.settings import AsText, comma_separated
from diffusion_geodesics.runtime.settings import SettingsGroup


class FormatName(Enum):
    """A kind of film file."""

    MP4 = "mp4"
    MP4_444 = "mp4-444"
    WEBM = "webm"
    AV1 = "av1"
    PRORES = "prores"
    FFV1 = "ffv1"
    GIF = "gif"
    WEBP = "webp"
    APNG = "apng"
    PNG = "png"


class PlaybackSettings(SettingsGroup):
    """How a film plays, and in which files."""

    title: ClassVar[str] = "Film files"

    format: Annotated[
        tuple[FormatName, ...],
        BeforeValidator(comma_separated),
        Field(min_length=1),
        AsText("FORMAT,FORMAT,..."),
    ] = (FormatName.MP4,)
    """Files to write: mp4, mp4-444, webm, av1, prores, ffv1, gif, webp, apng, png. The first is
    shown in the report."""
    fps: float = Field(default=10.0, ge=1, le=120)
    """Frames a second."""
    hold: int = Field(default=5, ge=1, le=10_000)
    """How many times a frame is shown on which the film rests."""
    upscale: int | None = Field(default=None, ge=1, le=16)
    """Factor by which frames are enlarged in film files; by default to at least 384 pixels of
    height."""
