"""What all pages share: their style sheet, templates, and media inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.report.pixels import fit_height, to_image

_IMAGE_HEIGHT = 384


def render_page(template: str, **values: Any) -> str:
    """A page as HTML text; all values are escaped.

    Arguments:
        template: name of a file in `templates`, which is given `style` besides `values`.
        values: everything the template names; one that is missing is an error.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_file(template)).render(style=_file("style.css"), **values)


def _file(name: str) -> str:
    files = resources.files("diffusion_geodesics.report")
    return files.joinpath("templates", name).read_text(encoding="utf-8")


def data_uri(content: bytes, media: str) -> str:
    """A file as an address that holds it, such as data:image/png;base64,..."""
    return f"data:{media};base64,{base64.b64encode(content).decode('ascii')}"


def small_png(pixels: Float[Tensor, "3 height width"]) -> bytes:
    """The image as a PNG file, no higher than it is ever shown."""
    image, buffer = to_image(pixels), io.BytesIO()
    fit_height(image, min(image.height, _IMAGE_HEIGHT)).save(buffer, format="PNG")
    return buffer.getvalue()


def flat_settings(settings: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names and values of settings, those of mappings inside with dotted names."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat_settings(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _shown(value)


def _shown(value: object) -> str:
    """A setting in words."""
    match value:
        case None | "" | () | []:
            return "–"
        case bool():
            return "yes" if value else "no"
        case tuple() | list():
            return ", ".join(map(_shown, value))
        case _:
            return str(value)
