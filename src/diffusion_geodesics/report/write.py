"""One run, one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

from diffusion_geodesics.report.data import Run
from diffusion_geodesics.report.folder import PROGRAM, staged_folder
from diffusion_geodesics.report.html import render_html
from diffusion_geodesics.report.jsonable import to_json
from diffusion_geodesics.report.pixels import to_image
from diffusion_geodesics.report.strip import compare_strip, film_strip


@final
@dataclass(frozen=True)
class Written:
    """What was written.

    Arguments:
        folder: the folder, absolute.
        files: everything in it, relative to it, in alphabetical order, with forward slashes.
    """

    folder: Path
    files: tuple[str, ...]


def write_run(folder: str | Path, run: Run, *, overwrite: bool = False) -> Written:
    """Write a run into one folder: all of it, or nothing.

    - `result.json`: `run.result`, with `program` and the list of `files`
    - `path.safetensors`: `run.tensors`
    - `frames/000.png` ...: the frames of the path as decoded, in their own size
    - `strip.png`: all frames of the path; `comparison.png`: a row for each path, if there are more
    - `morph.mp4`, and one file for each other format of `run.video`
    - `report.html`: everything on one page that needs no other file

    Raises:
        FileExistsError: the folder is there, and is not a former run that may be overwritten.
        NotADirectoryError: a file is in the way.
        ValueError: the folder is the current one or contains it; films that do not go together.
        TypeError: `run.result` holds something that JSON cannot.
    """
    from safetensors.torch import save

    to_json(run.result)  # complain about what cannot be written before the work is done
    path = run.films[0]
    with staged_folder(folder, overwrite=overwrite) as staging:
        (staging / "frames").mkdir()
        for i, frame in enumerate(path.frames):
            to_image(frame).save(staging / "frames" / f"{i:03d}.png")
        strip = staging / "strip.png"
        film_strip(path).save(strip)
        comparison = staging / "comparison.png" if len(run.films) > 1 else None
        if comparison is not None:
            compare_strip(run.films).save(comparison)
        videos = run.video.write(path.frames, staging)
        tensors = {name: t.detach().cpu().contiguous() for name, t in run.tensors.items()}
        # Not `save_file`, which makes a file that nobody else may read.
        (staging / "path.safetensors").write_bytes(save(tensors, metadata={"program": PROGRAM}))
        page = render_html(run, strip=strip, comparison=comparison, video=videos[0])
        (staging / "report.html").write_text(page, encoding="utf-8")
        found = (f.relative_to(staging).as_posix() for f in staging.rglob("*") if f.is_file())
        files = sorted({*found, "result.json"})
        result = {**run.result, "program": PROGRAM, "files": files}
        (staging / "result.json").write_text(to_json(result), encoding="utf-8")
    return Written(Path(folder).expanduser().resolve(), tuple(files))
