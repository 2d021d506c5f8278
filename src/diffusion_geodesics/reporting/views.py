"""Blocks as the values that the page's template shows."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from diffusion_geodesics.reporting.blocks import (
    Block,
    Facts,
    Film,
    Picture,
    Pictures,
    Plot,
    Table,
    Text,
    VideoClip,
)
from diffusion_geodesics.reporting.embedded import EmbeddedFilm, embedded_image
from diffusion_geodesics.reporting.report import CostRow
from diffusion_geodesics.reporting.strip import ShownRow, shown_rows, thin
from diffusion_geodesics.reporting.tables import as_cell

FRAME_HEIGHT, PICTURE_HEIGHT = 192, 448
"""Most pixels from top to bottom of frames in a strip, and of pictures."""
MOST_FRAMES = 64
"""Most frames of one path that a page shows; all are in the folder."""

View = dict[str, Any]


def view(block: Block, name: str, films: Mapping[str, EmbeddedFilm]) -> View:
    """What the template needs of a block, with its kind."""
    match block:
        case Facts():
            return {"kind": "facts", "title": block.title, "items": block.items}
        case Table():
            rows = [[as_cell(cell) for cell in row] for row in block.rows]
            head = [as_cell(cell) for cell in block.head]
            return {
                "kind": "table",
                "title": block.title,
                "table": block,
                "head": head,
                "rows": rows,
            }
        case Text():
            return {"kind": "text", "title": block.title, "text": block}
        case Plot():
            return _plot(block, name)
        case Pictures():
            items = [_picture(picture) for picture in block.items]
            caption = block.caption
            return {"kind": "pictures", "title": block.title, "items": items, "caption": caption}
        case Film():
            return _film(block)
        case VideoClip():
            height, width = block.frames.shape[2:]
            return {
                "kind": "clip",
                "title": block.title,
                "clip": block,
                "film": films[block.name],
                "aspect": f"{width / height:.4f}",
            }


def cost_table(rows: Sequence[CostRow]) -> Table:
    """Stages and their sum."""
    counted = any(row.tflop is not None for row in rows)
    total = CostRow(
        "total",
        sum(row.nfe for row in rows),
        sum(row.batches for row in rows),
        sum(row.seconds for row in rows),
        sum(row.tflop or 0 for row in rows),
    )
    lines = [
        [row.stage, f"{row.nfe:,}", f"{row.batches:,}", f"{row.seconds:,.1f}"]
        + ([_tflop(row.tflop)] if counted else [])
        for row in (*rows, total)
    ]
    return Table(
        ["stage", "NFE", "batches", "seconds", *(["TFLOP"] if counted else [])],
        lines,
        note="NFE: network function evaluations, one latent through the denoiser once. A batch is "
        "one call of the network with many latents.",
    )


def settings_table(text: str) -> Table | None:
    """Settings by their dotted names; None for a text that is no TOML."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
    return Table((), [(name, value) for name, value in _flat(found)], numeric=False)


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


def _tflop(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:,.3g}"


def _plot(block: Plot, name: str) -> View:
    from markupsafe import Markup

    return {
        "kind": "plot",
        "title": block.title,
        "caption": block.caption,
        "pictures": [Markup(svg) for svg in block.drawing.svgs(name)],
        "narrowest": block.drawing.narrowest,
    }


def _picture(picture: Picture) -> View:
    return {
        "images": [_image(image, PICTURE_HEIGHT) for image in picture.images],
        "caption": picture.caption,
        "alt": picture.alt or picture.caption or "picture",
    }


def _image(pixels: Tensor, height: int) -> View:
    return {
        "address": embedded_image(pixels, height),
        "has_alpha": pixels.shape[0] == 4,
        "width": pixels.shape[2],
        "height": pixels.shape[1],
    }


def _film(block: Film) -> View:
    rows = shown_rows(block)
    caption = block.caption
    if len(rows) == 1 and (n := len(rows[0].indices)) > MOST_FRAMES:
        kept = thin(n, MOST_FRAMES)
        captions = [rows[0].captions[i] for i in kept if rows[0].captions]
        rows = [ShownRow(rows[0].row, kept, captions)]
        caption = f"{caption} {len(kept)} of {n} frames are shown.".strip()
    return {
        "kind": "film",
        "title": block.title,
        "caption": caption,
        "rows": [
            {
                "name": shown.row.name,
                "frames": [_frame(shown, at) for at in range(len(shown.indices))],
            }
            for shown in rows
        ],
    }


def _frame(shown: ShownRow, at: int) -> View:
    i, n = shown.indices[at], len(shown.row.frames)
    caption = shown.captions[at] if shown.captions else ""
    image = _image(shown.row.frames[i], FRAME_HEIGHT)
    where = f", {caption}" if caption else ""
    return {**image, "caption": caption, "alt": f"{shown.row.name}, frame {i + 1} of {n}{where}"}
