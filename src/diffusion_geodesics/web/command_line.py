"""The command line that makes what the page has made."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.latents.settings import AsText
from diffusion_geodesics.runtime.settings import flat_fields
from diffusion_geodesics.web.fields import shown

if TYPE_CHECKING:
    from diffusion_geodesics.models.info import ModelInfo


def interpolate_command(
    pictures: Sequence[str], settings: InterpolationSettings, model: ModelInfo
) -> str:
    """The command that makes the same film from the same pictures."""
    words = ["geodesic", "interpolate", *(_file(p) for p in pictures), "-o", "out"]
    if model.id != "embedded":
        words += ["--model", model.id]
    for name, value in settings.explicit().items():
        words += _option(name, value)
    return shlex.join(words)


def _file(name: str) -> str:
    return f"./{name}" if name.startswith("-") else name


def _option(name: str, value: Any) -> Iterator[str]:
    """A setting as options of the command line."""
    plain, flag = shown(value), f"--{name.replace('_', '-')}"
    field = flat_fields(InterpolationSettings)[name].info
    if value == field.default or value is None:
        return
    if isinstance(plain, bool):
        yield flag if plain else f"--no-{name.replace('_', '-')}"
    elif any(isinstance(mark, AsText) for mark in field.metadata):
        separator = "x" if name == "size" else ","
        yield f"{flag}={separator.join(map(str, plain)) if isinstance(plain, list) else plain}"
    elif isinstance(plain, list):
        yield from (f"{flag}={each}" for each in plain)
    else:
        yield f"{flag}={plain}"
