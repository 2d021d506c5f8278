"""The report of an interpolation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath

import torch
from torch import Tensor

from diffusion_geodesics.interpolation.result import InterpolationResult, Strip
from diffusion_geodesics.interpolation.settings import Film as FilmSettings
from diffusion_geodesics.interpolation.settings import PathName
from diffusion_geodesics.reporting.blocks import (
    Block,
    Facts,
    Film,
    FilmRow,
    Picture,
    Pictures,
    Plot,
    Section,
    time_captions,
)
from diffusion_geodesics.reporting.jobs.common import (
    clamped,
    cost_rows,
    film_clip,
    messages,
    model_header,
    sources,
)
from diffusion_geodesics.reporting.jobs.interpolation_curves import density, typicality
from diffusion_geodesics.reporting.jobs.interpolation_facts import facts, segment_table
from diffusion_geodesics.reporting.jobs.interpolation_record import interpolation_result
from diffusion_geodesics.reporting.pixels import with_alpha
from diffusion_geodesics.reporting.playback import Loop, Once, Order, ThereAndBack
from diffusion_geodesics.reporting.plots import convergence_plot
from diffusion_geodesics.reporting.report import Report
from diffusion_geodesics.reporting.strip import thin
from diffusion_geodesics.runtime.settings_file import settings_toml
from diffusion_geodesics.runtime.versions import versions

MOST_SHOWN = 72
"""Frames of a film that its strip shows at most."""
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
    settings, film = result.settings, result.settings.film
    images, inputs = sources(result.pictures, film.colour)
    header = {"images": images, "model": model_header(result.model)}
    places, frames = result.strip.timeline, _seen(result.strip, film)
    clip = film_clip(frames, settings.playback, _order(film), places.keyframes, film.colour)
    several = [segment_table(result)] if len(result.segments) > 1 else []
    return Report(
        title=TITLES[settings.path],
        lead=_lead(result),
        opening=(_keyframes(result), clip),
        warnings=messages(result.warnings),
        sections=(
            Section("", [Facts(list(facts(result))), *several]),
            Section("The film", [_film(result, frames)]),
            *_compared(result),
            Section("Density", list(density(result))),
            Section("Is the path typical?", [typicality(result)]),
            *_convergence(result),
        ),
        result=interpolation_result(result),
        settings=settings_toml("interpolate", settings, header),
        tensors={"path.safetensors": _tensors(result)},
        frames={"frames": frames, **inputs},
        cost=cost_rows(result.costs),
        versions=versions(),
    )


def _order(film: FilmSettings) -> Order:
    if film.loop:
        return Loop()
    return Once() if film.once else ThereAndBack()


def _seen(strip: Strip, film: FilmSettings) -> Tensor:
    """Frames as they are written, with an alpha channel where the images have one."""
    frames = clamped(strip.frames)
    if strip.alpha is None:
        return frames
    return with_alpha(frames, clamped(strip.alpha), film.colour)


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


def _film(result: InterpolationResult, frames: Tensor) -> Film:
    shown = thin(len(frames), MOST_SHOWN)
    row = FilmRow(result.strip.name, frames[shown], time_captions(result.times[shown]))
    few = "" if len(shown) == len(frames) else f"{len(shown)} of {len(frames)} frames."
    return Film([row], caption=few, file="strip.png")


def _compared(result: InterpolationResult) -> Iterator[Section]:
    other, film = result.compared, result.settings.film
    if other is None:
        return
    rows = [FilmRow(strip.name, _seen(strip, film)) for strip in (result.strip, other)]
    caption = "Both at equal steps." if result.settings.film.even else ""
    yield Section(f"Beside {other.name}", [Film(rows, caption=caption, file="comparison.png")])


def _convergence(result: InterpolationResult) -> Iterator[Section]:
    """How the solver went for the segment with the largest residual."""
    found = [(float(s.solution.residual), s) for s in result.segments if s.solution is not None]
    segment = max(found, key=lambda pair: pair[0])[1] if found else None
    solution = None if segment is None else segment.solution
    if segment is None or solution is None or len(solution.steps) < 2:
        return
    drawing = convergence_plot(
        [float(s.residual.min()) for s in solution.steps],
        [float(s.length.min()) for s in solution.steps],
        [s.intervals for s in solution.steps],
        result.settings.solve.tol,
    )
    which = f"Images {segment.first + 1} → {segment.last + 1}, where the residual is largest."
    note = which if len(result.segments) > 1 else ""
    yield Section("How the solver went", [Plot(drawing)], note=note, folded=True)


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
