"""The page of a report: HTML that needs no other file and no network."""

import math
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from torch import Tensor

from diffusion_geodesics.reporting import blocks
from diffusion_geodesics.reporting.drawing import shown
from diffusion_geodesics.reporting.embedded import EmbeddedFilm, embedded_image
from diffusion_geodesics.reporting.report import Report
from diffusion_geodesics.reporting.strip import ShownRow, shown_rows, thin
from diffusion_geodesics.reporting.tables import as_cell
from diffusion_geodesics.runtime.cost import CostBreakdown

LISTED_FROM = 7  # sections from which on a page begins with a list of them
FRAME_HEIGHT, PICTURE_HEIGHT = 192, 448
"""Most pixels from top to bottom of frames in a strip, and of pictures."""
MOST_FRAMES = 64  # most frames of one path that a page shows; all are in the folder
KINDS: Mapping[type, str] = {
    blocks.Facts: "facts",
    blocks.Table: "table",
    blocks.Text: "text",
    blocks.Plot: "plot",
    blocks.Pictures: "pictures",
    blocks.Film: "film",
    blocks.VideoClip: "clip",
}
"""By the class of a block, the macro of the template that shows it."""


def render(report: Report, films: Mapping[str, EmbeddedFilm]) -> str:
    """The report as HTML text, with the films of its clips by their names.

    All text of the report is escaped; all media are inside.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: shown(value) if type(value) is str else value,
    )
    environment.globals |= {
        "as_cell": as_cell,
        "films": films,
        "kind": lambda block: KINDS[type(block)],
        "picture": lambda pixels: _image(pixels, PICTURE_HEIGHT),
        "strip": _strip,
        "svgs": _svgs,
    }
    titled = [(i, section.title) for i, section in enumerate(report.sections) if section.title]
    return environment.from_string(_file("report.html.j2")).render(
        style=_file("style.css"),
        report=report,
        contents=titled if len(titled) >= LISTED_FROM else [],
        cost=cost_table(report.cost) if report.cost.stages else None,
        settings=settings_table(report.settings),
    )


def cost_table(costs: CostBreakdown) -> blocks.Table:
    """Stages and their sum."""
    counted = costs.total.tflop != 0
    lines = []
    for name, cost in (*costs.stages, ("total", costs.total)):
        known = cost.tflop and math.isfinite(cost.tflop)
        operations = [f"{cost.tflop:,.3g}" if known else "–"] if counted else []
        figures = (f"{cost.nfe:,}", f"{cost.batches:,}", f"{cost.seconds:,.1f}")
        lines.append([name, *figures, *operations])
    head = ["stage", "NFE", "batches", "seconds", *(["TFLOP"] if counted else [])]
    note = "NFE: network function evaluations, one latent through the denoiser once. A batch is "
    return blocks.Table(head, lines, note=note + "one call of the network with many latents.")


def settings_table(text: str) -> blocks.Table | None:
    """Settings by their dotted names; None for a text that is no TOML."""
    try:
        return blocks.Table((), list(_flat(tomllib.loads(text))), numeric=False)
    except tomllib.TOMLDecodeError:
        return None


def _flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _setting(value)


def _setting(value: object) -> str:
    match value:
        case "" | []:
            return "–"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(_setting, value))
        case _:
            return str(value)


def _svgs(plot: blocks.Plot, name: str) -> list[Any]:
    from markupsafe import Markup

    return [Markup(svg) for svg in plot.drawing.svgs(name)]


def _image(pixels: Tensor, height: int) -> dict[str, Any]:
    return {
        "address": embedded_image(pixels, height),
        "has_alpha": pixels.shape[0] == 4,
        "width": pixels.shape[2],
        "height": pixels.shape[1],
    }


def _strip(film: blocks.Film) -> dict[str, Any]:
    """The rows of a film with the frames that are shown, and its caption."""
    rows, caption = shown_rows(film), film.caption
    if len(rows) == 1 and (n := len(rows[0].indices)) > MOST_FRAMES:
        kept = thin(n, MOST_FRAMES)
        captions = [rows[0].captions[i] for i in kept if rows[0].captions]
        rows = [ShownRow(rows[0].row, kept, captions)]
        caption = f"{caption} {len(kept)} of {n} frames are shown.".strip()
    found = [
        {"name": row.row.name, "frames": [_frame(row, at) for at in range(len(row.indices))]}
        for row in rows
    ]
    return {"rows": found, "caption": caption}


def _frame(shown: ShownRow, at: int) -> dict[str, Any]:
    i, n = shown.indices[at], len(shown.row.frames)
    caption = shown.captions[at] if shown.captions else ""
    where = f", {caption}" if caption else ""
    alt = f"{shown.row.name}, frame {i + 1} of {n}{where}"
    return {**_image(shown.row.frames[i], FRAME_HEIGHT), "caption": caption, "alt": alt}


def _file(name: str) -> str:
    files = resources.files("diffusion_geodesics.reporting")
    return files.joinpath("templates", name).read_text(encoding="utf-8")
