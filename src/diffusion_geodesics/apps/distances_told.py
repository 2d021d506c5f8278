"""Distances between images in words and figures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import torch

from diffusion_geodesics.apps.distances import Distances
from diffusion_geodesics.apps.versions import versions
from diffusion_geodesics.distance import Absolute, CommonMean, EndsMean, embed
from diffusion_geodesics.report import Fact, StageCost
from diffusion_geodesics.report.distances import DistanceReport

LARGE_ERROR = 0.05
"""Relative error bar from which on it is warned about."""
REFERENCES = {
    CommonMean: "the geometric mean of the densities of all images",
    EndsMean: "the geometric mean of the densities of the pair's two images",
    Absolute: "1",
}


def short_names(names: tuple[str, ...]) -> list[str]:
    """File names without folders and endings, numbered where several are the same."""
    stems = [Path(name).stem or name for name in names]
    seen = Counter(stems)
    return [f"{stem} ({i + 1})" if seen[stem] > 1 else stem for i, stem in enumerate(stems)]


def warnings_of(done: Distances) -> tuple[str, ...]:
    """What must be known before the figures are believed."""
    found: list[str] = []
    matrix, names = done.matrix, short_names(done.gallery.names)
    if matrix.failed:
        listed = ", ".join(f"{names[i]} and {names[j]}" for i, j in matrix.failed[:3])
        found.append(
            f"No geodesic was found for {len(matrix.failed)} of {len(matrix.pairs)} pairs ({listed}"
            f"{', ...' if len(matrix.failed) > 3 else ''}); their values are upper bounds."
        )
    share = _largest_share(done)
    if share > LARGE_ERROR:
        found.append(f"Error bars reach {100 * share:.0f}% of a distance.")
    if isinstance(matrix.reference, EndsMean):
        found.append(
            "Every pair has its own reference density, so distances of different pairs have "
            "different units and need not obey the triangle inequality."
        )
    return tuple(found)


def _largest_share(done: Distances) -> float:
    values, errors = done.matrix.values, done.matrix.errors
    return float(torch.where(values > 0, errors / values, 0).max())


def report_of(done: Distances) -> DistanceReport:
    """Everything that is written about distances."""
    matrix = done.matrix
    names = short_names(done.gallery.names)
    good = sum(r.ok for r in matrix.results)
    plane = embed(matrix.values.cpu())
    height, width = done.gallery.images.shape[2:]
    norms = done.gallery.latents.norm(dim=1)
    place = "flat space" if done.settings.flat else f"the sphere of radius {norms.mean():.4g}"
    level = matrix.log_density
    settings = {
        **done.settings.as_dict(),
        **{f"image {i + 1}": f"{n} ({note})" for i, (n, note) in enumerate(_sources(done))},
    }
    return DistanceReport(
        names=names,
        images=done.gallery.images.float().cpu().clamp(0, 1),
        values=matrix.values.cpu(),
        errors=matrix.errors.cpu(),
        positions=plane.positions,
        share=plane.share,
        reference=REFERENCES[type(matrix.reference)],
        result={
            "images": [{"source": n, "framing": note} for n, note in _sources(done)],
            "names": names,
            "distances": matrix.values,
            "errors": matrix.errors,
            "reference": REFERENCES[type(matrix.reference)],
            "log_density": level,
            "log_density_disagreement": matrix.density_disagreement,
            "pairs": [
                {"pair": pair, "result": result.name, "residual": residual}
                for pair, result, residual in zip(
                    matrix.pairs.tolist(), matrix.results, matrix.residual.tolist(), strict=True
                )
            ],
            "embedding": {"positions": plane.positions, "share": plane.share},
            "alpha": matrix.alpha,
            "dim": done.dim,
            "norms": norms,
            "cost": done.ledger.as_dict(),
            "settings": done.settings.as_dict(),
            "size": [int(height), int(width)],
            "model": {
                "id": done.model_id,
                "hash": done.model_hash,
                "device": done.device,
                "dtype": done.dtype,
            },
            "warnings": list(warnings_of(done)),
            "versions": versions(),
        },
        tensors={
            "latents": done.gallery.latents,
            "distances": matrix.values,
            "errors": matrix.errors,
            "log_ratio": matrix.log_ratio,
            "positions": plane.positions,
        },
        status=f"{good} of {len(matrix.results)} pairs solved; worst residual "
        f"{float(matrix.residual.max()):.1e}",
        facts=(
            Fact("Model", done.model_id, f"weights {done.model_hash[:12]}, on {done.device}"),
            Fact(
                "Strength α·d",
                f"{matrix.alpha * done.dim:.3g}",
                f"α = {matrix.alpha:.3g}, d = {done.dim}, in {place}",
            ),
            Fact(
                "Error bars",
                f"up to {100 * _largest_share(done):.2g}%",
                "quadrature, and what the paths disagree on densities",
            ),
            Fact(
                "Densities, disagreement",
                f"{matrix.density_disagreement:.3g} nats",
                "root mean square over all pairs; an exact score gives 0",
            ),
            Fact(
                "Norms of the latents",
                f"{norms.min():.4g} to {norms.max():.4g}",
                "kept" if done.settings.flat else "projected onto the sphere of their mean",
            ),
            Fact(
                "Cost",
                f"{done.ledger.total.rows:,} network rows",
                f"{matrix.score_evals / len(matrix.pairs):.0f} a pair",
            ),
        ),
        warnings=warnings_of(done),
        settings=settings,
        versions=versions(),
        cost=tuple(StageCost(n, c.rows, c.calls, c.seconds) for n, c in done.ledger.stages),
    )


def _sources(done: Distances) -> list[tuple[str, str]]:
    return list(zip(done.gallery.names, done.gallery.notes, strict=True))
