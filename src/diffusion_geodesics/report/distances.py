"""The folder and the page of a distance matrix."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.report.data import Fact, StageCost
from diffusion_geodesics.report.distance_plots import embedding_plot, heat_map
from diffusion_geodesics.report.folder import PROGRAM, staged_folder
from diffusion_geodesics.report.jsonable import to_json
from diffusion_geodesics.report.page import data_uri, flat_settings, render_page, small_png
from diffusion_geodesics.report.write import Written


@final
@dataclass(frozen=True, eq=False)
class DistanceReport:
    """Everything there is to tell about the distances between images.

    Arguments:
        names: of the images, all different.
        images: (images, 3, height, width) with values in [0, 1].
        values, errors: distances and their error bars, (images, images).
        positions: of the images in the plane, (images, 2).
        share: what the two axes show of the distances, in [0, 1].
        reference: what densities are relative to, to complete "density relative to".
        result: contents of result.json.
        tensors: contents of distances.safetensors.
        status: how the solver ended, in a sentence.
        facts, warnings, settings, versions, cost: as in `Run`.
    """

    names: Sequence[str]
    images: Float[Tensor, "images 3 height width"]
    values: Float[Tensor, "images images"]
    errors: Float[Tensor, "images images"]
    positions: Float[Tensor, "images 2"]
    share: float
    reference: str
    result: Mapping[str, object]
    tensors: Mapping[str, Tensor]
    status: str = ""
    facts: Sequence[Fact] = ()
    warnings: Sequence[str] = ()
    settings: Mapping[str, object] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    cost: Sequence[StageCost] = ()


def write_distances(
    folder: str | Path, report: DistanceReport, *, overwrite: bool = False
) -> Written:
    """Write one folder: all of it, or nothing.

    - `distances.csv`: one line a pair: both names, distance, error
    - `heatmap.svg`, `embedding.svg`: the matrix, and the images in the plane
    - `distances.safetensors`: `report.tensors`
    - `result.json`: `report.result`, with `program` and the list of `files`
    - `report.html`: everything on one page that needs no other file

    Raises:
        FileExistsError, NotADirectoryError, ValueError: as `check_folder`.
    """
    from safetensors.torch import save

    to_json(report.result)  # complain about what cannot be written before the work is done
    heat = heat_map(report.values, report.names)
    plane = embedding_plot(report.positions, report.images)
    tensors = {name: t.detach().cpu().contiguous() for name, t in report.tensors.items()}
    with staged_folder(folder, overwrite=overwrite) as staging:
        texts = {
            "distances.csv": distances_csv(report),
            "heatmap.svg": heat,
            "embedding.svg": plane,
            "report.html": render_distances(report, heat=heat, plane=plane),
        }
        files = sorted({*texts, "distances.safetensors", "result.json"})
        texts["result.json"] = to_json({**report.result, "program": PROGRAM, "files": files})
        for name, text in texts.items():
            (staging / name).write_text(text, encoding="utf-8")
        (staging / "distances.safetensors").write_bytes(
            save(tensors, metadata={"program": PROGRAM})
        )
    return Written(Path(folder).expanduser().resolve(), tuple(files))


def distances_csv(report: DistanceReport) -> str:
    """One line for each pair of images: a, b, distance, error."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["a", "b", "distance", "error"])
    values, errors = report.values.tolist(), report.errors.tolist()
    for i in range(len(values)):
        for j in range(i + 1, len(values)):
            pair = (report.names[i], report.names[j])
            rows.writerow([*pair, f"{values[i][j]:.10g}", f"{errors[i][j]:.3g}"])
    return text.getvalue()


def render_distances(report: DistanceReport, *, heat: str, plane: str) -> str:
    """The page as HTML text, everything inside and all text escaped."""
    nearest = []
    for i, row in enumerate(report.values.tolist()):
        others = [(d, j) for j, d in enumerate(row) if j != i and math.isfinite(d)]
        nearest.append(min(others, default=None))
    return render_page(
        "distances.html.j2",
        report=report,
        heat=heat,
        plane=plane,
        thumbnails=[data_uri(small_png(image), "image/png") for image in report.images],
        nearest=nearest,
        errors=report.errors.tolist(),
        settings=list(flat_settings(report.settings)),
    )
