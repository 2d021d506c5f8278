"""The report: one HTML page that needs no other file and no network."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from diffusion_geodesics.report.data import Run
from diffusion_geodesics.report.pixels import fit_height, png_bytes, to_image
from diffusion_geodesics.report.plots import convergence_plot, density_plot, typicality_plot

if TYPE_CHECKING:
    from PIL.Image import Image

_MEDIA = {
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
_IMAGE_HEIGHT = 384


def render_html(run: Run, *, strip: Image, comparison: Image | None, video: Path) -> str:
    """The report as HTML text. All text of the run is escaped; all media are inside.

    Arguments:
        run: what to report.
        strip: the film strip of the path.
        comparison: the strips of all paths, where there are several.
        video: a file that `Video.write` wrote, embedded.
    """
    from jinja2 import Environment, StrictUndefined

    text = _template()
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    drawable = [c for c in run.curves if c.norm is not None or c.noise_energy is not None]
    steps = run.convergence is not None and len(run.convergence.residual) > 0
    media = _MEDIA[video.suffix]
    return environment.from_string(text).render(
        run=run,
        first=_data(png_bytes(_small(to_image(run.first))), "image/png"),
        last=_data(png_bytes(_small(to_image(run.last))), "image/png"),
        strip=_data(png_bytes(strip), "image/png"),
        comparison=None if comparison is None else _data(png_bytes(comparison), "image/png"),
        video=_data(video.read_bytes(), media),
        media=media,
        paths=[film.name for film in run.films],
        density=density_plot(run.curves, run.reference) if run.curves else None,
        typicality=typicality_plot(run.curves, run.typical) if drawable else None,
        convergence=convergence_plot(run.convergence) if run.convergence and steps else None,
        total=tuple(
            sum(getattr(stage, column) for stage in run.cost)
            for column in ("rows", "calls", "seconds")
        ),
        settings=list(_flat(run.settings)),
    )


def _template() -> str:
    files = resources.files("diffusion_geodesics.report")
    return files.joinpath("templates", "report.html.j2").read_text(encoding="utf-8")


def _data(content: bytes, media: str) -> str:
    return f"data:{media};base64,{base64.b64encode(content).decode('ascii')}"


def _small(image: Image) -> Image:
    """The image no higher than it is ever shown."""
    return fit_height(image, min(image.height, _IMAGE_HEIGHT))


def _flat(settings: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names and values of settings, those of mappings inside with dotted names."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", "–" if value is None else str(value)
