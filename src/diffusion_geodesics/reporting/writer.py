"""A report as a folder."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from torch import Tensor

from diffusion_geodesics.reporting.blocks import Film, Plot, VideoClip
from diffusion_geodesics.reporting.embedded import EmbeddedFilm, embedded_film
from diffusion_geodesics.reporting.films import write_films
from diffusion_geodesics.reporting.page import render
from diffusion_geodesics.reporting.pixels import to_image
from diffusion_geodesics.reporting.report import PAGE, RESULT, SETTINGS, Report
from diffusion_geodesics.reporting.strip import film_strip
from diffusion_geodesics.reporting.tables import csv_text
from diffusion_geodesics.runtime.jsonable import to_json, unicode_text
from diffusion_geodesics.runtime.storage import PROGRAM, absolute_path, staged_folder


@final
@dataclass(frozen=True)
class Written:
    """What was written."""

    folder: Path
    """Absolute."""
    files: tuple[str, ...]
    """Everything in it, relative to it, in alphabetical order."""
    notes: tuple[str, ...] = ()
    """What is not as it was asked for, such as a film's rate."""


def write(report: Report, folder: str | Path, *, overwrite: bool = False) -> Written:
    """Write a report into one folder: all of it, or nothing.

    - ``result.json``: ``report.result``, with ``program`` and the list of ``files``
    - ``settings.toml``, the tensors, images, tables and other files that the report names
    - strips, plots and films: the files that its blocks name
    - ``report.html``: everything on one page that needs no other file

    What took longest to compute is written first, so that it is kept if the rest fails.
    """
    with staged_folder(folder, overwrite=overwrite) as staging:
        for name, tensors in report.tensors.items():
            put(staging / name, safetensors_bytes(tensors))
        for name, frames in report.frames.items():
            _write_frames(frames, staging / name)
        put(staging / RESULT, to_json({**report.result, "program": PROGRAM, "files": []}))
        _write_texts(report, staging)
        films = _write_media(report, staging)
        put(staging / PAGE, render(report, films))
        found = (f.relative_to(staging).as_posix() for f in staging.rglob("*") if f.is_file())
        files = tuple(sorted(found))
        notes = tuple(note for film in films.values() for note in film.notes)
        result = {**report.result, "program": PROGRAM, "files": files}
        put(staging / RESULT, to_json({**result, "film_notes": notes} if notes else result))
    return Written(absolute_path(folder), files, notes)


def _write_texts(report: Report, staging: Path) -> None:
    if report.settings:
        put(staging / SETTINGS, unicode_text(report.settings))
    for name, sheet in report.sheets.items():
        put(staging / name, csv_text(sheet))
    for name, content in report.extra_files.items():
        put(staging / name, unicode_text(content) if isinstance(content, str) else content)


def _write_media(report: Report, staging: Path) -> dict[str, EmbeddedFilm]:
    """Write strips, plots and films; returns the films for the page, by their clips' names."""
    films: dict[str, EmbeddedFilm] = {}
    for block in report.blocks():
        match block:
            case Film(file=name) if name:
                image = io.BytesIO()
                film_strip(block).save(image, format="PNG")
                put(staging / name, image.getvalue())
            case Plot(file=name) if name:
                svg, *others = block.drawing.svgs(name)
                if others:
                    raise ValueError(f"{name}: a drawing of {1 + len(others)} pictures is no file")
                put(staging / name, svg)
            case VideoClip(frames, name, formats, playback, rests):
                path = staging / name
                path.parent.mkdir(parents=True, exist_ok=True)
                how = {"stem": path.name, "rests": rests}
                files = write_films(frames, path.parent, formats, playback, **how)
                films[name] = embedded_film(block, files)
    return films


def _write_frames(frames: Tensor, folder: Path) -> None:
    folder.mkdir(parents=True)
    digits = max(3, len(str(len(frames) - 1)))
    for number, frame in enumerate(frames):
        to_image(frame).save(folder / f"{number:0{digits}d}.png", format="PNG")


def safetensors_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors as the content of a safetensors file."""
    from safetensors.torch import save

    # Cloned, because safetensors refuses tensors that share memory.
    plain = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    return save(plain, metadata={"program": PROGRAM})


def put(path: Path, content: str | bytes) -> None:
    """Write a file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
