"""The report: one HTML page that needs no other file and no network."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.report.data import Run
from diffusion_geodesics.report.pixels import fit_height, to_image
from diffusion_geodesics.report.plots import convergence_plot, density_plot, typicality_plot

_MEDIA = {
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
_IMAGE_HEIGHT = 384


def render_html(run: Run, *, strip: Path, comparison: Path | None, video: Path) -> str:
    """The report as HTML text. All text of the run is escaped; all media are inside.

    Arguments:
        run: what to report.
        strip: a PNG file with the film strip of the path.
        comparison: a PNG file with the strips of all paths, where there are several.
        video: a file that `Video.write` wrote.
    """
    from jinja2 import Environment, StrictUndefined

    text = _template()
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    drawable = [c for c in run.curves if c.norm is not None or c.noise_energy is not None]
    return environment.from_string(text).render(
        run=run,
        first=_data(_small_png(run.first), "image/png"),
        last=_data(_small_png(run.last), "image/png"),
        strip=_data(strip.read_bytes(), "image/png"),
        comparison=comparison and _data(comparison.read_bytes(), "image/png"),
        video=_data(video.read_bytes(), _MEDIA[video.suffix]),
        is_video=_MEDIA[video.suffix].startswith("video/"),
        paths=[film.name for film in run.films],
        density=density_plot(run.curves, run.reference) if run.curves else None,
        typicality=typicality_plot(run.curves, run.typical) if drawable else None,
        convergence=convergence_plot(run.convergence) if run.convergence else None,
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


def _small_png(pixels: Float[Tensor, "3 height width"]) -> bytes:
    """The image as a PNG file, no higher than it is ever shown."""
    image, buffer = to_image(pixels), io.BytesIO()
    fit_height(image, min(image.height, _IMAGE_HEIGHT)).save(buffer, format="PNG")
    return buffer.getvalue()


def _flat(settings: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names and values of settings, those of mappings inside with dotted names."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
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
