"""The report of an interpolation."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import PurePath

import torch
from torch import Tensor

from diffusion_geodesics.bvp import Solution
from diffusion_geodesics.interpolation.result import InterpolationResult, Segment, Strip
from diffusion_geodesics.interpolation.settings import Film as FilmSettings
from diffusion_geodesics.reporting.blocks import (
    Facts,
    Film,
    FilmRow,
    Picture,
    Pictures,
    Plot,
    Section,
    time_captions,
)
from diffusion_geodesics.reporting.jobs import common
from diffusion_geodesics.reporting.jobs import interpolation_figures as figures
from diffusion_geodesics.reporting.jobs.common import clamped
from diffusion_geodesics.reporting.jobs.interpolation_figures import TITLES
from diffusion_geodesics.reporting.pixels import with_alpha
from diffusion_geodesics.reporting.playback import Loop, Once, Order, ThereAndBack
from diffusion_geodesics.reporting.plots import convergence_plot
from diffusion_geodesics.reporting.report import Report
from diffusion_geodesics.reporting.strip import thin

MOST_SHOWN = 72  # frames of a film that its strip shows at most


def interpolation_report(result: InterpolationResult) -> Report:
    """Everything that is written about an interpolation."""
    settings, film, pictures = result.settings, result.settings.film, result.pictures
    images, inputs = common.sources(pictures, film.colour)
    frames, rests = _seen(result.strip, film), result.strip.timeline.keyframes
    clip = common.film_clip(frames, settings.playback, _order(film), rests, film.colour)
    named = enumerate(zip(clamped(pictures.images), pictures.names, strict=True), start=1)
    keyframes = [Picture([x], PurePath(name).name, f"image {i}") for i, (x, name) in named]
    several = [figures.segment_table(result)] if len(result.segments) > 1 else []
    return common.job_report(
        "interpolate",
        result,
        _record(result),
        {"images": images},
        title=TITLES[settings.path].film,
        lead=_lead(result),
        opening=(Pictures(keyframes), clip),
        sections=(
            Section("", [Facts(list(figures.facts(result))), *several]),
            Section("The film", [_film(result, frames)]),
            *_compared(result),
            Section("Density", list(figures.density(result))),
            Section("Is the path typical?", [figures.typicality(result)]),
            *_convergence(result),
        ),
        tensors={"path.safetensors": _tensors(result)},
        frames={"frames": frames, **inputs},
    )


def _order(film: FilmSettings) -> Order:
    if film.loop:
        return Loop()
    return Once() if film.once else ThereAndBack()


def _seen(strip: Strip, film: FilmSettings) -> Tensor:
    """Frames as they are written, with an alpha channel where the images have one."""
    frames = clamped(strip.frames)
    return frames if strip.alpha is None else with_alpha(frames, clamped(strip.alpha), film.colour)


def _worst(result: InterpolationResult) -> Segment | None:
    """The segment with the largest residual, of those that were solved for."""
    found = [(float(s.solution.residual), s) for s in result.segments if s.solution is not None]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _lead(result: InterpolationResult) -> str:
    words, worst = figures.shown(result).words, _worst(result)
    if worst is None or worst.solution is None:
        return f"{words}; no boundary value problem was solved."
    return (
        f"{words}. Solver: {worst.solution.result.name.replace('_', ' ')}, "
        f"{worst.solution.iterations} iterations, residual {float(worst.solution.residual):.1e}."
    )


def _film(result: InterpolationResult, frames: Tensor) -> Film:
    shown = thin(len(frames), MOST_SHOWN)
    row = FilmRow(result.strip.name, frames[shown], time_captions(result.times[shown]))
    few = "" if len(shown) == len(frames) else f"{len(shown)} of {len(frames)} frames."
    return Film([row], caption=few, file="strip.png")


def _compared(result: InterpolationResult) -> Iterator[Section]:
    others, film = result.compared, result.settings.film
    if others:
        rows = [FilmRow(strip.name, _seen(strip, film)) for strip in (result.strip, *others)]
        caption = "All at equal steps." if film.even else ""
        names = " and ".join(figures.called(strip.name) for strip in others)
        yield Section(f"Beside {names}", [Film(rows, caption=caption, file="comparison.png")])


def _convergence(result: InterpolationResult) -> Iterator[Section]:
    """How the solver went for the segment with the largest residual. Lengths are those of the card;
    in a moving frame, where none compares, they are left out."""
    segment = _worst(result)
    if segment is None or segment.solution is None or len(segment.solution.steps) < 2:
        return
    steps = segment.solution.steps
    drawing = convergence_plot(
        [float(s.residual.min()) for s in steps],
        [float(s.length.min()) for s in steps] if segment.profile.comparable else None,
        [s.intervals for s in steps],
        result.settings.solve.tol,
    )
    which = f"Images {segment.first + 1} → {segment.last + 1}, where the residual is largest."
    note = which if len(result.segments) > 1 else ""
    yield Section("How the solver went", [Plot(drawing)], note=note, folded=True)


def _tensors(result: InterpolationResult) -> dict[str, Tensor]:
    t = torch.linspace(0, 1, 33, dtype=torch.float64)
    found = {"t": t, "frame_position": result.times}
    for number, segment in enumerate(result.segments):
        mark = "" if len(result.segments) == 1 else f"{number:02d}."
        path = segment.profile.path
        found[f"{mark}path"] = path.path(t)
        found[f"{mark}latents"] = path.latent(t)
        if segment.matches is not None:
            found[f"{mark}matches"] = segment.matches.displacement
        if segment.beside is not None:
            found[f"{mark}geodesic"] = segment.beside.path.latent(t)
    return found


def _record(result: InterpolationResult) -> dict[str, object]:
    """What result.json holds besides that of every job."""
    own = "distance distance_error log_density times keyframe_psnr codec_psnr alpha dim"
    return {
        "path": result.settings.path.value,
        "shown": TITLES[result.settings.path].name,
        **common.values_of(result, own),
        "length": result.lengths,
        "log_density_reference": "the first image; natural logarithms, at the noise level",
        "keyframes": list(result.strip.timeline.keyframes),
        "loop": result.settings.film.loop,
        "segments": [_segment(segment) for segment in result.segments],
        "images": common.framed(result.pictures),
        "size": list(result.pictures.size),
    }


def _segment(segment: Segment) -> dict[str, object]:
    typicality = {
        p.name: {
            "least_noise_energy": float(p.noise_energy.min()),
            "density_gain": p.gain,
            "least_norm": float(p.norm.min()),
        }
        for p in segment.profiles
    }
    return {
        "images": [segment.first, segment.last],
        "length": segment.lengths,
        "length_error": {
            p.name: float(p.metric.length_error) for p in segment.profiles if p.comparable
        },
        "distance": segment.distance,
        "distance_error": segment.distance_error,
        "log_density_disagreement": segment.density_disagreement,
        "moved": None if segment.matches is None else segment.matches.moved,
        "sampled": None if segment.mixture is None else segment.mixture.sampled,
        "solver": _solved(segment.solution),
        "geodesic": _solved(segment.geodesic),
        "metamorphosis": None if segment.metamorphosis is None else asdict(segment.metamorphosis),
        "log_density": {p.name: {"t": p.t, "values": p.log_density} for p in segment.profiles},
        "typicality": typicality,
    }


def _solved(solution: Solution | None) -> dict[str, object] | None:
    """How a solver went."""
    if solution is None:
        return None
    return {
        "result": solution.result.name,
        "message": solution.result.message,
        "residual": float(solution.residual),
        "iterations": solution.iterations,
        "given_up": [{"intervals": g.intervals, "steps": g.steps} for g in solution.given_up],
    }
