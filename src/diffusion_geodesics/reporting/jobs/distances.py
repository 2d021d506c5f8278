"""The report of distances of images."""

import math
from collections.abc import Iterator, Mapping
from itertools import combinations

from torch import Tensor

from diffusion_geodesics.distances import (
    Absolute,
    CommonMean,
    EndsMean,
    MetamorphosisMatrix,
    embed,
    nearest_neighbours,
)
from diffusion_geodesics.image_sets.agreement import rank_agreement
from diffusion_geodesics.image_sets.diagnostics import largest_share, short_names
from diffusion_geodesics.image_sets.distances import DistancesResult
from diffusion_geodesics.image_sets.matrices import Matrix
from diffusion_geodesics.image_sets.settings import MetricName
from diffusion_geodesics.reporting.blocks import Block, Cell, Fact, Facts, Plot, Section, Table
from diffusion_geodesics.reporting.jobs import common
from diffusion_geodesics.reporting.maps import Embedding, HeatMap
from diffusion_geodesics.reporting.report import Report, Sheet

REFERENCES = {
    CommonMean: "the geometric mean of the densities of all images",
    EndsMean: "the geometric mean of the densities of the pair's two images",
    Absolute: "1",
}
"""What densities are relative to, to complete "density relative to"."""
TITLES = {
    MetricName.DENSITY: "Geodesic distances",
    MetricName.METAMORPHOSIS: "Metamorphosis distances",
    MetricName.LATENT: "Distances of latents",
    MetricName.EUCLIDEAN: "Euclidean distances",
    MetricName.ALL: "Distances under every metric",
}
WORDS = {
    MetricName.METAMORPHOSIS: "Root mean square differences of pixels that may move, at a price: "
    "alike up to a deformation is near.",
    MetricName.LATENT: "Norms of the differences of clean latents.",
    MetricName.EUCLIDEAN: "Root mean square differences of the pixels.",
}
"""What distances are, in words; those of the density say how they were solved."""


def distances_report(result: DistancesResult) -> Report:
    """Everything that is written about distances."""
    pictures, chosen = result.pictures, result.settings.distance.metric
    names, shown = short_names(pictures.names), list(result.matrices)
    shown = shown if chosen is MetricName.ALL else shown[:1]
    images, inputs = common.sources(pictures)
    sections = [Section("", [Facts(list(_facts(result)))])]
    for metric in shown:
        blocks = _drawn(result, metric, names, "" if metric is shown[0] else f"-{metric.value}")
        if chosen is MetricName.ALL:
            sections.append(Section(TITLES[metric], blocks, _about(result, metric)))
        else:
            sections.append(Section("All distances, and the images in the plane", blocks))
    sections.append(Section("Nearest images", [_nearest(result, names), *_agreement(result)]))
    return common.job_report(
        "distance",
        result,
        _values(result, names),
        {"images": images},
        title=TITLES[chosen],
        lead=_about(result, chosen),
        sections=tuple(sections),
        tensors={"distances.safetensors": _tensors(result)},
        sheets={"distances.csv": _sheet(result, names)},
        frames=inputs,
    )


def _about(result: DistancesResult, metric: MetricName) -> str:
    """What the distances under a metric are, in a line."""
    if metric is MetricName.ALL:
        return "The same images under four metrics, and how differently these rank neighbours."
    if metric is not MetricName.DENSITY:
        return WORDS[metric]
    matrix = result.density.matrix
    good, worst = sum(r.ok for r in matrix.results), float(matrix.residual.max())
    return (
        f"{good} of {len(matrix.results)} pairs solved; worst residual {worst:.1e}. Densities "
        f"are relative to {REFERENCES[type(matrix.reference)]}."
    )


def _drawn(result: DistancesResult, metric: MetricName, names: list[str], end: str) -> list[Block]:
    """A heat map and an embedding; ``end`` is of the files' names."""
    values = result.matrices[metric].values.cpu()
    plane = embed(values)
    heat = Plot(HeatMap(values, names), file=f"heatmap{end}.svg")
    caption = f"The two axes show {100 * plane.share:.0f}% of the distances."
    drawing = Embedding(plane.positions, list(common.clamped(result.pictures.images)))
    return [heat, Plot(drawing, caption=caption, file=f"embedding{end}.svg")]


def _facts(result: DistancesResult) -> Iterator[Fact]:
    yield common.model_fact(result.model)
    if MetricName.DENSITY in result.matrices:
        yield from _density_facts(result)
    if MetricName.METAMORPHOSIS in result.matrices:
        found, chosen = result.metamorphosis, result.settings.distance
        share = float((found.motion / found.values.square()).nanmean())
        about = f"of the squares of distances, in the mean; λ = {chosen.motion_weight:g}"
        yield Fact("Motion", f"{100 * share:.0f}%", about)
        about = "difference between one segment and two, an estimate"
        yield Fact("Metamorphosis, errors", f"up to {100 * largest_share(found):.2g}%", about)
    total, pairs = result.costs.total, len(result.pictures.names)
    pairs = pairs * (pairs - 1) // 2
    about = f"{total.nfe / pairs:.0f} a pair; {total.seconds:.1f} s"
    yield Fact("Cost", f"{total.nfe:,} NFE", about)


def _density_facts(result: DistancesResult) -> Iterator[Fact]:
    matrix, dim, flat = result.density.matrix, result.density.dim, result.settings.metric.flat
    norms = result.density.latents.norm(dim=1)
    place = "flat space" if flat else f"the sphere of radius {norms.mean():.4g}"
    strength = f"α = {matrix.alpha:.3g}, d = {dim}, in {place}"
    yield Fact("Strength α·d", f"{matrix.alpha * dim:.3g}", strength)
    about = "quadrature, and what the paths disagree on densities"
    yield Fact("Error bars", f"up to {100 * largest_share(matrix):.2g}%", about)
    about = "root mean square over all pairs; an exact score gives 0"
    yield Fact("Densities, disagreement", f"{matrix.density_disagreement:.3g} nats", about)
    about = "kept" if flat else "projected onto the sphere of their mean"
    yield Fact("Norms of the latents", f"{norms.min():.4g} to {norms.max():.4g}", about)


def _nearest(result: DistancesResult, names: list[str]) -> Table:
    """Each image's nearest one under every metric that was measured."""
    head, columns = ["image"], [list[str | Cell](names)]
    for metric, matrix in result.matrices.items():
        values, errors = matrix.values.cpu(), matrix.errors.tolist()
        nearest = nearest_neighbours(values.nan_to_num(math.inf))[:, 0].tolist()
        head += [f"nearest, {metric.value}", "distance"]
        known = [(float(values[i, j]), errors[i][j]) for i, j in enumerate(nearest)]
        columns.append([names[j] for j in nearest])
        columns.append([Cell(f"{d:.4g}", f"± {e:.1g}" if e else "") for d, e in known])
    return Table(head, [list(row) for row in zip(*columns, strict=True)], numeric=False)


def _agreement(result: DistancesResult) -> list[Block]:
    found = rank_agreement({name: m.values for name, m in result.matrices.items()})
    count = len(result.pictures.names)
    rows = [
        [f"{a.first.value}, {a.second.value}", f"{a.tau:.2f}", f"{a.same_nearest} of {count}"]
        for a in found
    ]
    head = ("metrics", "Kendall's τ", "same nearest image")
    note = (
        "τ is between the orders of the other images by distance, the mean over all images: "
        "1 for the same order, 0 for unrelated ones."
    )
    return [Table(head, rows, "How far metrics agree on neighbours", note)] if rows else []


def _values(result: DistancesResult, names: list[str]) -> dict[str, object]:
    pictures, plane = result.pictures, embed(result.matrix.values.cpu())
    agreement = rank_agreement({name: m.values for name, m in result.matrices.items()})
    values = {
        "images": common.framed(pictures),
        "names": names,
        "metric": result.settings.distance.metric.value,
        "distances": result.matrix.values,
        "errors": result.matrix.errors,
        "embedding": {"positions": plane.positions, "share": plane.share},
        "size": list(pictures.size),
        "metrics": {metric.value: _parts(m) for metric, m in result.matrices.items()},
        "agreement": [
            {
                "metrics": [a.first.value, a.second.value],
                "tau": a.tau,
                "same_nearest": a.same_nearest,
            }
            for a in agreement
        ],
    }
    if result.solved is None:
        return values
    matrix, latents = result.solved.matrix, result.solved.latents
    both = zip(matrix.pairs.tolist(), matrix.results, matrix.residual.tolist(), strict=True)
    return values | {
        "reference": REFERENCES[type(matrix.reference)],
        "log_density": matrix.log_density,
        "log_density_disagreement": matrix.density_disagreement,
        "pairs": [{"pair": p, "result": r.name, "residual": residual} for p, r, residual in both],
        "alpha": matrix.alpha,
        "dim": result.solved.dim,
        "norms": latents.norm(dim=1),
    }


def _parts(matrix: Matrix) -> dict[str, object]:
    """The distances under a metric, their errors, and what they consist of."""
    found: dict[str, object] = {"distances": matrix.values, "errors": matrix.errors}
    if isinstance(matrix, MetamorphosisMatrix):
        found |= {"motion": matrix.motion, "appearance": matrix.appearance}
    return found


def _tensors(result: DistancesResult) -> Mapping[str, Tensor]:
    matrix = result.matrix
    found = {"distances": matrix.values, "errors": matrix.errors}
    found["positions"] = embed(matrix.values.cpu()).positions
    if result.solved is not None:
        known = result.solved
        found |= {"latents": known.latents, "log_ratio": known.matrix.log_ratio}
    return found


def _sheet(result: DistancesResult, names: list[str]) -> Sheet:
    """A row for each pair: the distance asked for with its error, then those of other metrics, and
    the two parts of the squares of metamorphosis distances."""
    columns = {"distance": result.matrix.values, "error": result.matrix.errors}
    for metric, matrix in result.matrices.items():
        if matrix is not result.matrix:
            columns[metric.value] = matrix.values
        if isinstance(matrix, MetamorphosisMatrix):
            columns |= {"motion": matrix.motion, "appearance": matrix.appearance}
    rows = [
        (names[i], names[j], *(float(f"{float(c[i, j]):.10g}") for c in columns.values()))
        for i, j in combinations(range(len(names)), 2)
    ]
    return Sheet(("a", "b", *columns), rows)
