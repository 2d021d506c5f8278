"""The reports of distances and densities of images."""

import math
from collections.abc import Iterator
from itertools import combinations

from diffusion_geodesics.distances import Absolute, CommonMean, EndsMean, embed
from diffusion_geodesics.image_sets.densities import DensitiesResult
from diffusion_geodesics.image_sets.diagnostics import largest_share, short_names
from diffusion_geodesics.image_sets.distances import DistancesResult
from diffusion_geodesics.reporting.blocks import Cell, Fact, Facts, Plot, Section, Table
from diffusion_geodesics.reporting.jobs import common
from diffusion_geodesics.reporting.maps import Embedding, HeatMap
from diffusion_geodesics.reporting.report import Report, Sheet
from diffusion_geodesics.runtime.jsonable import to_json

REFERENCES = {
    CommonMean: "the geometric mean of the densities of all images",
    EndsMean: "the geometric mean of the densities of the pair's two images",
    Absolute: "1",
}
"""What densities are relative to, to complete "density relative to"."""


def distances_report(result: DistancesResult) -> Report:
    """Everything that is written about distances."""
    matrix, pictures = result.matrix, result.pictures
    names, plane = short_names(pictures.names), embed(matrix.values.cpu())
    images, inputs = common.sources(pictures)
    reference = REFERENCES[type(matrix.reference)]
    both = zip(matrix.pairs.tolist(), matrix.results, matrix.residual.tolist(), strict=True)
    values = {
        "images": common.framed(pictures),
        "names": names,
        "distances": matrix.values,
        "errors": matrix.errors,
        "reference": reference,
        "log_density": matrix.log_density,
        "log_density_disagreement": matrix.density_disagreement,
        "pairs": [{"pair": p, "result": r.name, "residual": residual} for p, r, residual in both],
        "embedding": {"positions": plane.positions, "share": plane.share},
        "alpha": matrix.alpha,
        "dim": result.dim,
        "norms": result.latents.norm(dim=1),
        "size": list(pictures.size),
    }
    good, worst = sum(r.ok for r in matrix.results), float(matrix.residual.max())
    heat = Plot(HeatMap(matrix.values.cpu(), names), file="heatmap.svg")
    caption = f"The two axes show {100 * plane.share:.0f}% of the distances."
    drawing = Embedding(plane.positions, list(common.clamped(pictures.images)))
    place = Plot(drawing, caption=caption, file="embedding.svg")
    tensors = {
        "latents": result.latents,
        "distances": matrix.values,
        "errors": matrix.errors,
        "log_ratio": matrix.log_ratio,
        "positions": plane.positions,
    }
    return common.job_report(
        "distance",
        result,
        values,
        {"images": images},
        title="Geodesic distances",
        lead=f"{good} of {len(matrix.results)} pairs solved; worst residual {worst:.1e}. Densities "
        f"are relative to {reference}.",
        sections=(
            Section("", [Facts(list(_facts(result)))]),
            Section("All distances", [heat]),
            Section("The images in the plane", [place]),
            Section("Nearest images", [_nearest(result, names)]),
        ),
        tensors={"distances.safetensors": tensors},
        sheets={"distances.csv": _sheet(result, names)},
        frames=inputs,
    )


def _facts(result: DistancesResult) -> Iterator[Fact]:
    matrix, norms, total = result.matrix, result.latents.norm(dim=1), result.costs.total
    flat = result.settings.metric.flat
    place = "flat space" if flat else f"the sphere of radius {norms.mean():.4g}"
    yield common.model_fact(result.model)
    strength = f"α = {matrix.alpha:.3g}, d = {result.dim}, in {place}"
    yield Fact("Strength α·d", f"{matrix.alpha * result.dim:.3g}", strength)
    about = "quadrature, and what the paths disagree on densities"
    yield Fact("Error bars", f"up to {100 * largest_share(matrix):.2g}%", about)
    about = "root mean square over all pairs; an exact score gives 0"
    yield Fact("Densities, disagreement", f"{matrix.density_disagreement:.3g} nats", about)
    about = "kept" if flat else "projected onto the sphere of their mean"
    yield Fact("Norms of the latents", f"{norms.min():.4g} to {norms.max():.4g}", about)
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
    rows = [
        (names[i], names[j], float(f"{values[i][j]:.10g}"), float(f"{errors[i][j]:.3g}"))
        for i, j in combinations(range(len(values)), 2)
    ]
    return Sheet(("a", "b", "distance", "error"), rows)


def density_json(result: DensitiesResult) -> str:
    """Everything about log densities, as JSON."""
    found = result.density
    values = {
        "densities": result.rows(),
        "bits": result.bits,
        **common.values_of(found, "bin_width dim"),
        "noise_to_signal": found.sigma,
        "noise_to_signal_at_the_end": found.sigma_max,
        "trace": repr(found.trace),
        "derivative": repr(found.derivative),
        "result": found.result.name,
        "message": found.result.value,
        "steps": {"accepted": found.steps[0], "rejected": found.steps[1]},
    }
    return to_json(common.record("density", result, values))
