"""The report of an extrapolation."""

from collections.abc import Iterator
from typing import Any

from diffusion_geodesics.extrapolation.result import ExtrapolationResult
from diffusion_geodesics.reporting.blocks import (
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
from diffusion_geodesics.reporting.jobs import common
from diffusion_geodesics.reporting.jobs.common import clamped
from diffusion_geodesics.reporting.playback import Once
from diffusion_geodesics.reporting.plots import Band, Level, LinePlot, Panel, Trace
from diffusion_geodesics.reporting.report import Report


def extrapolation_report(result: ExtrapolationResult) -> Report:
    """Everything that is written about an extrapolation."""
    ray, launch, pictures = result.ray, result.launch, result.pictures
    images, inputs = common.sources(pictures)
    named = zip(clamped(pictures.images), pictures.names, strict=True)
    starts = Pictures([Picture([image], name) for image, name in named])
    row = FilmRow("geodesic", clamped(result.frames), time_captions(result.times))
    film = Section("The film", [Film([row], file="strip.png")], note=f"t in units of {launch.unit}")
    zero, one = [Level(0.0, "the start")], [Level(1.0, "flat space")]
    density = [_panel(result, "log density, nats", "log_density", levels=zero)]
    if bool(ray.growth.isfinite().any()):
        density += [_panel(result, "growth of small errors", "growth", log_y=True, levels=one)]
    typical = [Band(*result.typical, "typical")]
    typicality = (
        _panel(result, "norm of the latent", "norm"),
        _panel(result, "noise energy σ‖s‖/√d", "noise_energy", bands=typical),
    )
    path = {"t": ray.t, "latents": ray.latents, "frame_t": result.times, "start": launch.x}
    start = result.source or images[0]
    remedies = Text(points=result.applied, title="Remedies that were applied")
    applied = [remedies] if result.applied else []
    return common.job_report(
        "extrapolate",
        result,
        _record(result),
        {"start_image": start, "direction": dict(result.direction_settings)},
        without=() if launch.solution else ("solve",),
        title="A density ray",
        lead=f"{result.direction[0].upper()}{result.direction[1:]}. "
        f"{ray.result.name.replace('_', ' ').capitalize()}: {ray.result.message}.",
        opening=(starts, common.film_clip(result.frames, result.settings.playback, Once())),
        sections=(
            Section("", [Facts(list(_facts(result))), *applied]),
            film,
            *_compared(result),
            Section("Density, and the growth of small errors", [Plot(LinePlot(density))]),
            Section("Is the ray typical?", [Plot(LinePlot(typicality))]),
        ),
        tensors={"path.safetensors": {**path, "velocity": launch.velocity}},
        frames={"frames": clamped(result.frames), **inputs},
    )


def _record(result: ExtrapolationResult) -> dict[str, object]:
    """What result.json holds besides that of every job."""
    ray, solution, landing = result.ray, result.launch.solution, result.arrival
    arrival = solved = None
    if landing is not None:
        arrival = {"miss": landing.miss, "chord": landing.chord, "allowed": landing.allowed}
    if solution is not None:
        solved = {"result": solution.result.name, "residual": float(solution.residual)}
    own = "direction t_asked times log_density growth applied codec_psnr dim sigma"
    return {
        **common.values_of(result, own),
        **common.values_of(ray, "error corrected alpha"),
        "result": ray.result.name,
        "message": ray.result.message,
        "unit": result.launch.unit,
        "t_max": float(ray.t[-1]),
        "log_density_reference": "the first frame; natural logarithms, at the noise level",
        "log_density_error": ray.density_error,
        "norm": ray.norm[ray.frames],
        "noise_energy": ray.noise_energy[ray.frames],
        "arc": ray.arc[ray.frames],
        "arrival": arrival,
        "boundary_solution": solved,
        "images": list(result.pictures.names),
        "framing": list(result.pictures.notes),
        "size": list(result.pictures.size),
    }


def _facts(result: ExtrapolationResult) -> Iterator[Fact]:
    ray, landing, energy = result.ray, result.arrival, result.ray.noise_energy
    yield common.model_fact(result.model)
    yield Fact("Went", f"{float(ray.t[-1]):.3g}", f"in units of {result.launch.unit}")
    lowest = f"lowest {float(ray.log_density.min()):+.1f}; relative to the start"
    about = f"{lowest}, at the noise level; ± {ray.density_error:.1g}"
    yield Fact("Log density at the end", f"{float(ray.log_density[-1]):+.1f} nats", about)
    usual = "typical {:.2f} to {:.2f}".format(*result.typical)
    yield Fact("Noise energy", f"{float(energy.min()):.2f} to {float(energy.max()):.2f}", usual)
    yield Fact("Norm at the end", f"{float(ray.norm[-1]):.1f}", f"start {float(ray.norm[0]):.1f}")
    flat = f"1 in flat space; strength α·d = {ray.alpha * result.dim:.3g}, d = {result.dim}"
    yield Fact("Growth of small errors", result.final_growth, flat)
    if landing is not None:
        missed = f"{100 * landing.miss / landing.chord:.2g}% of the chord"
        allowed = f"{100 * landing.allowed / landing.chord:.2g}% is allowed by the growth factor"
        yield Fact("Misses the second image by", missed, allowed)
    yield common.cost_fact(result.costs)


def _compared(result: ExtrapolationResult) -> Iterator[Section]:
    if result.straight_frames is not None:
        both = {"geodesic": result.frames, "straight": result.straight_frames}
        rows = [FilmRow(name, clamped(frames)) for name, frames in both.items()]
        film = Film(rows, file="comparison.png")
        yield Section("Beside the straight continuation", [film])


def _panel(result: ExtrapolationResult, title: str, quantity: str, **looks: Any) -> Panel:
    """A quantity along the ray, and along the straight one if there is one."""
    rays = {"geodesic": result.ray, "straight": result.straight_ray}
    shown = {name: ray for name, ray in rays.items() if ray is not None}
    traces = [Trace(name, ray.t, getattr(ray, quantity)) for name, ray in shown.items()]
    return Panel(title, "t", traces, **looks)
