"""The report of an interpolation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath

import torch

from diffusion_geodesics.bvp import Solution
from diffusion_geodesics.interpolation.result import InterpolationResult, Segment, Strip
from diffusion_geodesics.interpolation.settings import PathName
from diffusion_geodesics.reporting.blocks import (
    Block,
    Fact,
    Facts,
    Film,
    FilmRow,
    Picture,
    Pictures,
    Plot,
    Section,
    Text,
    time_captions,
)
from diffusion_geodesics.reporting.jobs.common import (
    clamped,
    cost_fact,
    cost_rows,
    film_clip,
    messages,
    model_fact,
    model_header,
    sources,
)
from diffusion_geodesics.reporting.plots import (
    Band,
    Level,
    LinePlot,
    Mark,
    Panel,
    Trace,
    convergence_plot,
)
from diffusion_geodesics.reporting.report import Report
from diffusion_geodesics.runtime.settings_file import settings_toml
from diffusion_geodesics.runtime.versions import versions

TITLES: Mapping[PathName, str] = {
    PathName.NATURAL: "A natural morph",
    PathName.GEODESIC: "A density geodesic",
    PathName.SLERP: "A slerp morph",
    PathName.LERP: "A lerp morph",
    PathName.HLERP: "An hlerp morph",
}
WORDS: Mapping[PathName, str] = {
    PathName.NATURAL: "warped along correspondences of the images and bent by the density",
    PathName.GEODESIC: "the shortest path through probable images",
    PathName.SLERP: "the great circle between the latents",
    PathName.LERP: "the straight line between the latents",
    PathName.HLERP: "the direction of lerp, with a norm halfway to slerp's",
}
"""What each path is, in a few words."""


def interpolation_report(result: InterpolationResult) -> Report:
    """Everything that is written about an interpolation."""
    images, inputs = sources(result.pictures)
    settings, film = result.settings, result.settings.film
    header = {"images": images, "model": model_header(result.model)}
    clip = film_clip(result.frames, settings.playback, film.order, result.strip.timeline.keyframes)
    return Report(
        title=TITLES[settings.path],
        lead=_lead(result),
        opening=(_keyframes(result), clip),
        warnings=messages(result.warnings),
        sections=(
            Section("", [Facts(list(_facts(result)))]),
            Section("The film", [_film(result)]),
            *_compared(result),
            Section("Density", list(_density(result))),
            Section("Is the path typical?", [_typicality(result)]),
            *_convergence(result),
        ),
        result=interpolation_result(result),
        settings=settings_toml("interpolate", settings, header),
        tensors={"path.safetensors": _tensors(result)},
        frames={"frames": clamped(result.frames), **inputs},
        cost=cost_rows(result.costs),
        versions=versions(),
    )


def interpolation_result(result: InterpolationResult) -> dict[str, object]:
    """The contents of result.json."""
    height, width = result.pictures.size
    places = result.strip.timeline
    return {
        "job": "interpolate",
        "path": result.settings.path.value,
        "length": result.lengths,
        "distance": result.distance,
        "distance_error": result.distance_error,
        "log_density": result.log_density.tolist(),
        "log_density_reference": "the first image; natural logarithms, at the noise level",
        "times": result.times.tolist(),
        "keyframes": list(places.keyframes),
        "segments": [_segment(segment) for segment in result.segments],
        "keyframe_psnr": list(result.keyframe_psnr),
        "codec_psnr": list(result.codec_psnr),
        "alpha": result.alpha,
        "dim": result.dim,
        "cost": result.costs.as_dict(),
        "settings": result.settings.as_nested(),
        "images": [
            {"source": source, "framing": note}
            for source, note in zip(result.pictures.names, result.pictures.notes, strict=True)
        ],
        "size": [height, width],
        "model": result.model.as_dict(),
        "warnings": [warning.as_dict() for warning in result.warnings],
        "versions": versions(),
    }


def _segment(segment: Segment) -> dict[str, object]:
    return {
        "images": [segment.first, segment.last],
        "length": segment.lengths,
        "distance": segment.distance,
        "distance_error": segment.distance_error,
        "log_density_disagreement": segment.density_disagreement,
        "moved": None if segment.matches is None else segment.matches.moved,
        "solver": None if segment.solution is None else _solver(segment.solution),
        "typicality": {
            p.name: {
                "least_noise_energy": p.least_energy,
                "density_gain": p.gain,
                "least_norm": float(p.norm.min()),
            }
            for p in segment.profiles
        },
    }


def _solver(solution: Solution) -> dict[str, object]:
    return {
        "result": solution.result.name,
        "message": solution.result.message,
        "residual": float(solution.residual),
        "iterations": solution.iterations,
        "given_up": [{"intervals": g.intervals, "steps": g.steps} for g in solution.given_up],
    }


def _lead(result: InterpolationResult) -> str:
    words = WORDS[result.settings.path]
    solutions = [s.solution for s in result.segments if s.solution is not None]
    if not solutions:
        return f"{words[0].upper()}{words[1:]}; no boundary value problem was solved."
    worst = max(solutions, key=lambda s: float(s.residual))
    return (
        f"{words[0].upper()}{words[1:]}. Solver: {worst.result.name.replace('_', ' ')}, "
        f"{worst.iterations} iterations, residual {float(worst.residual):.1e}."
    )


def _keyframes(result: InterpolationResult) -> Block:
    items = [
        Picture([image], PurePath(name).name, f"image {i + 1}")
        for i, (image, name) in enumerate(
            zip(clamped(result.pictures.images), result.pictures.names, strict=True)
        )
    ]
    return Pictures(items)


def _facts(result: InterpolationResult) -> Iterator[Fact]:
    yield model_fact(result.model)
    own, others = result.segments[0].profile, result.segments[0].references
    lengths = result.lengths
    yield Fact(
        "Length in the metric",
        f"{lengths[own.name]:.5g}",
        ", ".join(f"{name} {value:.5g}" for name, value in lengths.items() if name != own.name),
    )
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
    yield Fact(
        "Log density, lowest",
        f"{min(float(s.profile.log_density.min()) for s in result.segments):+.1f} nats",
        ", ".join(f"{p.name} {float(p.log_density.min()):+.1f}" for p in others)
        + "; relative to the first image, at the noise level",
    )
    disagreement = max(s.density_disagreement for s in result.segments)
    yield Fact(
        "Log density, error",
        f"{disagreement:.1f} nats",
        "by how much the paths disagree on log p at the images; an exact score gives 0",
    )
    yield Fact(
        "Noise energy, lowest",
        f"{min(s.profile.least_energy for s in result.segments):.2f}",
        ", ".join(f"{p.name} {p.least_energy:.2f}" for p in others) + "; relative to the ends",
    )
    yield Fact(
        "Images reproduced at",
        " and ".join(f"{x:.1f}" for x in result.keyframe_psnr) + " dB",
        "the autoencoder alone: " + " and ".join(f"{x:.1f}" for x in result.codec_psnr) + " dB",
    )
    yield cost_fact(result.costs)


def _film(result: InterpolationResult) -> Film:
    captions = time_captions(result.times)
    row = FilmRow(result.strip.name, clamped(result.frames), captions)
    return Film([row], file="strip.png")


def _compared(result: InterpolationResult) -> Iterator[Section]:
    other = result.compared
    if other is None:
        return
    rows = [_row(result.strip, None), _row(other, None)]
    yield Section(
        f"Beside {other.name}",
        [Film(rows, caption="Both at equal steps.", file="comparison.png")],
    )


def _row(strip: Strip, captions: tuple[str, ...] | None) -> FilmRow:
    return FilmRow(strip.name, clamped(strip.frames), captions or ())


def _traces(result: InterpolationResult, quantity: str) -> list[Trace]:
    """A quantity of every path over the whole chain."""
    traces = []
    for which, profile in enumerate(result.segments[0].profiles):
        t, values, below = [], [], 0.0
        for number, segment in enumerate(result.segments):
            found = getattr(segment.profiles[which], quantity).cpu().double()
            t.append(number + segment.profiles[which].t.cpu())
            values.append(found + (below if quantity == "log_density" else 0.0))
            below += float(found[-1])
        traces.append(Trace(profile.name, torch.cat(t), torch.cat(values)))
    return traces


def _axis(result: InterpolationResult) -> tuple[str, list[Mark], tuple[float, float]]:
    count = len(result.segments)
    marks = [Mark(float(i)) for i in range(1, count)]
    label = "t, from the first image to the second" if count == 1 else "t, image by image"
    return label, marks, (0.0, float(count))


def _density(result: InterpolationResult) -> Iterator[Block]:
    label, marks, limits = _axis(result)
    panel = Panel(
        "log density less that of the first image, nats",
        label,
        _traces(result, "log_density"),
        levels=[Level(0.0, "the first image")],
        marks=marks,
        limits=limits,
    )
    yield Plot(LinePlot([panel]))
    projected = [p.name for p in result.segments[0].profiles if p.projected]
    if projected:
        yield Text(
            [
                f"Lengths of {' and '.join(projected)} are those of the paths brought to the "
                "coordinates of the metric; their densities are those of the paths themselves."
            ]
        )


def _typicality(result: InterpolationResult) -> Plot:
    label, marks, limits = _axis(result)
    ends = result.segments[0].profile.noise_energy[[0, -1]]
    band = Band(0.75 * float(ends.min()), 1.25 * float(ends.max()), "typical")
    panels = [
        Panel("norm of the latent", label, _traces(result, "norm"), marks=marks, limits=limits),
        Panel(
            "noise energy σ‖s‖/√d",
            label,
            _traces(result, "noise_energy"),
            bands=[band],
            marks=marks,
            limits=limits,
        ),
    ]
    return Plot(LinePlot(panels))


def _convergence(result: InterpolationResult) -> Iterator[Section]:
    solution = result.segments[0].solution
    steps = () if solution is None else solution.steps
    if len(steps) < 2:
        return
    drawing = convergence_plot(
        [float(s.residual.min()) for s in steps],
        [float(s.length.min()) for s in steps],
        [s.intervals for s in steps],
        result.settings.solve.tol,
    )
    yield Section("How the solver went", [Plot(drawing)], folded=True)


def _tensors(result: InterpolationResult) -> dict[str, torch.Tensor]:
    t = torch.linspace(0, 1, 33, dtype=torch.float64)
    found = {"t": t, "frame_position": result.times}
    for number, segment in enumerate(result.segments):
        mark = "" if len(result.segments) == 1 else f"{number:02d}."
        path = segment.profile.path
        found[f"{mark}path"] = path.path(t)
        found[f"{mark}latents"] = path.latent(t)
        if segment.matches is not None:
            found[f"{mark}matches"] = segment.matches.displacement
    return found
