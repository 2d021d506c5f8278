"""The reports of distances and densities of images."""

from __future__ import annotations

import math
from collections.abc import Iterator

from diffusion_geodesics.distances import Absolute, CommonMean, EndsMean, embed
from diffusion_geodesics.image_sets.densities import DensitiesResult
from diffusion_geodesics.image_sets.diagnostics import largest_share, short_names
from diffusion_geodesics.image_sets.distances import DistancesResult
from diffusion_geodesics.reporting.blocks import Cell, Fact, Facts, Plot, Section, Table
from diffusion_geodesics.reporting.jobs.common import (
    clamped,
    cost_rows,
    messages,
    model_fact,
    model_header,
    sources,
)
from diffusion_geodesics.reporting.maps import Embedding, HeatMap
from diffusion_geodesics.reporting.report import Report, Sheet
from diffusion_geodesics.runtime.jsonable import to_json
from diffusion_geodesics.runtime.settings_file import settings_toml
from diffusion_geodesics.runtime.versions import versions

REFERENCES = {
    CommonMean: "the geometric mean of the densities of all images",
    EndsMean: "the geometric mean of the densities of the pair's two images",
    Absolute: "1",
}
"""What densities are relative to, to complete "density relative to"."""


def distances_report(result: DistancesResult) -> Report:
    """Everything that is written about distances."""
    matrix, names = result.matrix, short_names(result.pictures.names)
    plane = embed(matrix.values.cpu())
    images, inputs = sources(result.pictures)
    header = {"images": images, "model": model_header(result.model)}
    good = sum(r.ok for r in matrix.results)
    heat = Plot(HeatMap(matrix.values.cpu(), names), file="heatmap.svg")
    caption = f"The two axes show {100 * plane.share:.0f}% of the distances."
    place = Plot(
        Embedding(plane.positions, list(clamped(result.pictures.images))),
        caption=caption,
        file="embedding.svg",
    )
    return Report(
        title="Geodesic distances",
        lead=f"{good} of {len(matrix.results)} pairs solved; worst residual "
        f"{float(matrix.residual.max()):.1e}. Densities are relative to "
        f"{REFERENCES[type(matrix.reference)]}.",
        warnings=messages(result.warnings),
        sections=(
            Section("", [Facts(list(_facts(result)))]),
            Section("All distances", [heat]),
            Section("The images in the plane", [place]),
            Section("Nearest images", [_nearest(result, names)]),
        ),
        result=distances_result(result),
        settings=settings_toml("distance", result.settings, header),
        tensors={
            "distances.safetensors": {
                "latents": result.latents,
                "distances": matrix.values,
                "errors": matrix.errors,
                "log_ratio": matrix.log_ratio,
                "positions": plane.positions,
            }
        },
        sheets={"distances.csv": _sheet(result, names)},
        frames=inputs,
        cost=cost_rows(result.costs),
        versions=versions(),
    )


def distances_result(result: DistancesResult) -> dict[str, object]:
    """The contents of result.json."""
    matrix = result.matrix
    plane = embed(matrix.values.cpu())
    pictures = result.pictures
    return {
        "job": "distance",
        "images": [
            {"source": n, "framing": f} for n, f in zip(pictures.names, pictures.notes, strict=True)
        ],
        "names": short_names(pictures.names),
        "distances": matrix.values,
        "errors": matrix.errors,
        "reference": REFERENCES[type(matrix.reference)],
        "log_density": matrix.log_density,
        "log_density_disagreement": matrix.density_disagreement,
        "pairs": [
            {"pair": pair, "result": found.name, "residual": residual}
            for pair, found, residual in zip(
                matrix.pairs.tolist(), matrix.results, matrix.residual.tolist(), strict=True
            )
        ],
        "embedding": {"positions": plane.positions, "share": plane.share},
        "alpha": matrix.alpha,
        "dim": result.dim,
        "norms": result.latents.norm(dim=1),
        "cost": result.costs.as_dict(),
        "settings": result.settings.as_nested(),
        "size": list(pictures.size),
        "model": result.model.as_dict(),
        "warnings": [warning.as_dict() for warning in result.warnings],
        "versions": versions(),
    }


def _facts(result: DistancesResult) -> Iterator[Fact]:
    matrix, norms = result.matrix, result.latents.norm(dim=1)
    flat = result.settings.metric.flat
    place = "flat space" if flat else f"the sphere of radius {norms.mean():.4g}"
    yield model_fact(result.model)
    yield Fact(
        "Strength α·d",
        f"{matrix.alpha * result.dim:.3g}",
        f"α = {matrix.alpha:.3g}, d = {result.dim}, in {place}",
    )
    yield Fact(
        "Error bars",
        f"up to {100 * largest_share(matrix):.2g}%",
        "quadrature, and what the paths disagree on densities",
    )
    yield Fact(
        "Densities, disagreement",
        f"{matrix.density_disagreement:.3g} nats",
        "root mean square over all pairs; an exact score gives 0",
    )
    yield Fact(
        "Norms of the latents",
        f"{norms.min():.4g} to {norms.max():.4g}",
        "kept" if flat else "projected onto the sphere of their mean",
    )
    total = result.costs.total
    yield Fact("Cost", f"{total.nfe:,} NFE", f"{total.nfe / len(matrix.pairs):.0f} a pair")


def _nearest(result: DistancesResult, names: list[str]) -> Table:
    errors = result.matrix.errors.tolist()
    rows: list[list[str | Cell]] = []
    for i, row in enumerate(result.matrix.values.tolist()):
        others = [(d, j) for j, d in enumerate(row) if j != i and math.isfinite(d)]
        if others:
            distance, j = min(others)
            rows.append([names[i], names[j], Cell(f"{distance:.4g}", f"± {errors[i][j]:.1g}")])
    return Table(("image", "nearest", "distance"), rows)


def _sheet(result: DistancesResult, names: list[str]) -> Sheet:
    values, errors = result.matrix.values.tolist(), result.matrix.errors.tolist()
    count = range(len(values))
    rows = [
        (names[i], names[j], float(f"{values[i][j]:.10g}"), float(f"{errors[i][j]:.3g}"))
        for i in count
        for j in count
        if i < j
    ]
    return Sheet(("a", "b", "distance", "error"), rows)


def density_json(result: DensitiesResult) -> str:
    """Everything about log densities, as JSON."""
    found = result.density
    return to_json(
        {
            "job": "density",
            "densities": result.rows(),
            "bits": result.bits,
            "bin_width": found.bin_width,
            "dim": found.dim,
            "noise_to_signal": found.sigma,
            "noise_to_signal_at_the_end": found.sigma_max,
            "trace": repr(found.trace),
            "derivative": repr(found.derivative),
            "result": found.result.name,
            "message": found.result.value,
            "steps": {"accepted": found.steps[0], "rejected": found.steps[1]},
            "warnings": [warning.as_dict() for warning in result.warnings],
            "model": result.model.as_dict(),
            "settings": result.settings.as_nested(),
            "cost": result.costs.as_dict(),
        }
    )
