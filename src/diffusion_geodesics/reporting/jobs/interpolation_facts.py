"""The figures of an interpolation: cards, and a table of the segments of a longer film."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from diffusion_geodesics.interpolation.result import InterpolationResult, Segment
from diffusion_geodesics.reporting.blocks import Fact, Table
from diffusion_geodesics.reporting.jobs.common import cost_fact, model_fact
from diffusion_geodesics.reporting.jobs.interpolation_curves import traces


def facts(result: InterpolationResult) -> Iterator[Fact]:
    """Cards; for a longer film over all of it."""
    yield model_fact(result.model)
    lengths = {name: f"{length:.5g}" for name, length in result.lengths.items()}
    yield _among("Length in the metric", lengths)
    if result.distance is not None:
        error = result.distance_error or 0.0
        strength = result.alpha * result.dim
        yield Fact(
            "Distance",
            f"{result.distance:.5g} ± {error:.1g}",
            f"strength α·d = {strength:.3g}, α = {result.alpha:.3g}, d = {result.dim}",
        )
    moved = [s.matches.moved for s in result.segments if s.matches is not None]
    if moved:
        yield Fact(
            "Motion",
            f"{100 * sum(moved) / len(moved):.1f}% of the edge",
            "mean distance between places that correspond; the path follows them, is shortest in "
            "no fixed metric, and has no distance",
        )
    lowest = {t.name: f"{min(t.y):+.1f}" for t in traces(result, "log_density")}
    about = "; relative to the first image, at the noise level"
    yield _among("Log density, lowest", lowest, " nats", about)
    disagreement = max(s.density_disagreement for s in result.segments)
    yield Fact(
        "Log density, error",
        f"{disagreement:.1f} nats",
        "by how much the paths disagree on log p at the images; an exact score gives 0",
    )
    energy = {
        profiles[0].name: f"{min(p.least_energy for p in profiles):.2f}"
        for profiles in zip(*(s.profiles for s in result.segments), strict=True)
    }
    yield _among("Noise energy, lowest", energy, about="; relative to the ends")
    yield Fact(
        "Images reproduced at",
        _decibels(result.keyframe_psnr),
        f"the autoencoder alone: {_decibels(result.codec_psnr)}",
    )
    yield cost_fact(result.costs)


def _among(label: str, values: Mapping[str, str], unit: str = "", about: str = "") -> Fact:
    """A figure of the path, with those of the paths that it is compared with."""
    (_, own), *others = values.items()
    return Fact(label, own + unit, ", ".join(f"{name} {value}" for name, value in others) + about)


def segment_table(result: InterpolationResult) -> Table:
    """One row a segment."""
    rows = [_row(segment) for segment in result.segments]
    head = ("images", "length", "distance", "lowest log density", "noise energy", "solver")
    return Table(
        head,
        rows,
        note="Lengths and distances add up to those of the film; log densities are relative to "
        "the first image of the segment.",
    )


def _row(segment: Segment) -> tuple[str, ...]:
    distance, solution = segment.distance, segment.solution
    return (
        f"{segment.first + 1} → {segment.last + 1}",
        f"{segment.profile.length:.5g}",
        "–" if distance is None else f"{distance:.5g} ± {segment.distance_error or 0.0:.1g}",
        f"{float(segment.profile.log_density.min()):+.1f}",
        f"{segment.profile.least_energy:.2f}",
        "–"
        if solution is None
        else f"{solution.result.name.replace('_', ' ')}, {float(solution.residual):.1e}",
    )


def _decibels(values: Sequence[float]) -> str:
    """Two values, or the range of more."""
    if len(values) == 2:
        return " and ".join(f"{x:.1f}" for x in values) + " dB"
    return f"{min(values):.1f} to {max(values):.1f} dB"
