"""What the reports of several jobs have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diffusion_geodesics.latents.pictures import Pictures
from diffusion_geodesics.latents.playback import PlaybackSettings
from diffusion_geodesics.models.info import ModelInfo
from diffusion_geodesics.reporting.blocks import Fact, VideoClip
from diffusion_geodesics.reporting.films import film_format
from diffusion_geodesics.reporting.pixels import WHITE, Colour, with_alpha
from diffusion_geodesics.reporting.playback import Order, Playback
from diffusion_geodesics.reporting.report import CostRow
from diffusion_geodesics.reporting.upscaling import Lanczos, LanczosToHeight
from diffusion_geodesics.runtime.cost import CostBreakdown
from diffusion_geodesics.runtime.diagnostic import Diagnostic
from diffusion_geodesics.runtime.paths import expand

INPUTS = "inputs"
"""Folder for images that came from no file."""


def cost_rows(costs: CostBreakdown) -> tuple[CostRow, ...]:
    """What every stage cost."""
    return tuple(
        CostRow(name, c.nfe, c.batches, c.seconds, c.tflop or None) for name, c in costs.stages
    )


def messages(warnings: Sequence[Diagnostic]) -> tuple[str, ...]:
    """What must be known, as text."""
    return tuple(str(warning) for warning in warnings)


def model_fact(model: ModelInfo) -> Fact:
    """The model as a card."""
    about = f"weights {model.hash[:12]}, on {model.device}"
    return Fact("Model", model.id, "; ".join(filter(None, (about, model.caveat))))


def cost_fact(costs: CostBreakdown) -> Fact:
    """The cost as a card."""
    total = costs.total
    return Fact("Cost", f"{total.nfe:,} NFE", f"{total.batches} batches, {total.seconds:.1f} s")


def model_header(model: ModelInfo) -> dict[str, str]:
    """The model as a group of a settings file."""
    folder = expand(model.id)
    place = str(folder.resolve()) if folder.is_dir() else model.id
    return {"model": place, "device": model.device, "dtype": model.dtype}


def sources(pictures: Pictures, background: Colour = WHITE) -> tuple[list[str], dict[str, Any]]:
    """Where the images are for a run that repeats this one, and the folder of those that came from
    no file, to be written."""
    files = [expand(name) for name in pictures.names]
    if all(file.is_file() for file in files):
        return [str(file.resolve()) for file in files], {}
    numbers = range(len(pictures.images))
    images = clamped(pictures.images)
    if pictures.alpha is not None:
        images = with_alpha(images, clamped(pictures.alpha), background)
    return [f"{INPUTS}/{i:03d}.png" for i in numbers], {INPUTS: images}


def clamped(images: Any) -> Any:
    """Images on the CPU with values in [0, 1]."""
    return images.detach().float().cpu().clamp(0, 1)


def film_clip(
    frames: Any,
    settings: PlaybackSettings,
    order: Order,
    rests: Sequence[int] | None = None,
    background: Colour = WHITE,
) -> VideoClip:
    """A film as the settings want it played and written."""
    upscale = LanczosToHeight() if settings.upscale is None else Lanczos(settings.upscale)
    return VideoClip(
        clamped(frames),
        formats=tuple(film_format(kind.value) for kind in settings.format),
        playback=Playback(settings.fps, settings.hold, order, upscale, background),
        rests=rests,
        alt="the film",
    )
