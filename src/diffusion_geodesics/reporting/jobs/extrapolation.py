"""The report of an extrapolation."""

from __future__ import annotations

from collections.abc import Iterator

from diffusion_geodesics.extrapolation.ray import LatentRay
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
from diffusion_geodesics.reporting.playback import Once
from diffusion_geodesics.reporting.plots import Band, Level, LinePlot, Panel, Trace
from diffusion_geodesics.reporting.report import Report
from diffusion_geodesics.runtime.settings_file import settings_toml
from diffusion_geodesics.runtime.versions import versions


def extrapolation_report(result: ExtrapolationResult) -> Report:
    """Everything that is written about an extrapolation."""
    images, inputs = sources(result.pictures)
    header = {
        "start_image": result.source or images[0],
        "direction": dict(result.direction_settings),
        "model": model_header(result.model),
    }
    unused = () if result.launch.solution else ("solve",)
    starts = [
        Picture([image], name)
        for image, name in zip(clamped(result.pictures.images), result.pictures.names, strict=True)
    ]
    clip = film_clip(result.frames, result.settings.playback, Once())
    return Report(
        title="A density ray",
        lead=f"{result.direction[0].upper()}{result.direction[1:]}. "
        f"{result.ray.result.name.replace('_', ' ').capitalize()}: {result.ray.result.message}.",
        opening=(Pictures(starts), clip),
        warnings=messages(result.warnings),
        sections=(
            Section("", [Facts(list(_facts(result))), *_applied(result)]),
            Section("The film", [_film(result)], note=f"t in units of {result.launch.unit}"),
            *_compared(result),
            Section("Density, and the growth of small errors", [_density(result)]),
            Section("Is the ray typical?", [_typicality(result)]),
        ),
        result=extrapolation_result(result),
        settings=settings_toml("extrapolate", result.settings, header, unused),
        tensors={
            "path.safetensors": {
                "t": result.ray.t,
                "latents": result.ray.latents,
                "frame_t": result.times,
                "start": result.launch.x,
                "velocity": result.launch.velocity,
            }
        },
        frames={"frames": clamped(result.frames), **inputs},
        cost=cost_rows(result.costs),
        versions=versions(),
    )


def extrapolation_result(result: ExtrapolationResult) -> dict[str, object]:
    """The contents of result.json."""
    ray, solution, landing = result.ray, result.launch.solution, result.arrival
    height, width = result.pictures.size
    index = ray.frames
    return {
        "job": "extrapolate",
        "result": ray.result.name,
        "message": ray.result.message,
        "direction": result.direction,
        "unit": result.launch.unit,
        "t_max": float(ray.t[-1]),
        "t_asked": result.t_asked,
        "times": result.times.tolist(),
        "log_density": result.log_density.tolist(),
        "log_density_reference": "the first frame; natural logarithms, at the noise level",
        "log_density_error": ray.density_error,
        "norm": ray.norm[index].tolist(),
        "noise_energy": ray.noise_energy[index].tolist(),
        "growth": result.growth.tolist(),
        "arc": ray.arc[index].tolist(),
        "error": ray.error,
        "applied": list(result.applied),
        "corrected": ray.corrected,
        "arrival": None
        if landing is None
        else {"miss": landing.miss, "chord": landing.chord, "allowed": landing.allowed},
        "boundary_solution": None
        if solution is None
        else {"result": solution.result.name, "residual": float(solution.residual)},
        "codec_psnr": result.codec_psnr,
        "alpha": ray.alpha,
        "dim": result.dim,
        "sigma": result.sigma,
        "cost": result.costs.as_dict(),
        "settings": result.settings.as_nested(),
        "images": list(result.pictures.names),
        "framing": list(result.pictures.notes),
        "size": [height, width],
        "model": result.model.as_dict(),
        "warnings": [warning.as_dict() for warning in result.warnings],
        "versions": versions(),
    }


def _facts(result: ExtrapolationResult) -> Iterator[Fact]:
    ray = result.ray
    yield model_fact(result.model)
    yield Fact("Went", f"{float(ray.t[-1]):.3g}", f"in units of {result.launch.unit}")
    yield Fact(
        "Log density at the end",
        f"{float(ray.log_density[-1]):+.1f} nats",
        f"lowest {float(ray.log_density.min()):+.1f}; relative to the start, at the noise level; ± "
        f"{ray.density_error:.1g}",
    )
    yield Fact(
        "Noise energy",
        f"{float(ray.noise_energy.min()):.2f} to {float(ray.noise_energy.max()):.2f}",
        "typical {:.2f} to {:.2f}".format(*result.typical),
    )
    yield Fact("Norm at the end", f"{float(ray.norm[-1]):.1f}", f"start {float(ray.norm[0]):.1f}")
    yield Fact(
        "Growth of small errors",
        f"{float(result.growth[-1]):.3g}",
        f"1 in flat space; strength α·d = {ray.alpha * result.dim:.3g}, d = {result.dim}",
    )
    landing = result.arrival
    if landing is not None:
        yield Fact(
            "Misses the second image by",
            f"{100 * landing.miss / landing.chord:.2g}% of the chord",
            f"{100 * landing.allowed / landing.chord:.2g}% is allowed by the growth factor",
        )
    yield cost_fact(result.costs)


def _applied(result: ExtrapolationResult) -> Iterator[Text]:
    if result.applied:
        yield Text(points=result.applied, title="Remedies that were applied")


def _film(result: ExtrapolationResult) -> Film:
    row = FilmRow("geodesic", clamped(result.frames), time_captions(result.times))
    return Film([row], file="strip.png")


def _compared(result: ExtrapolationResult) -> Iterator[Section]:
    if result.straight_frames is None:
        return
    rows = [
        FilmRow("geodesic", clamped(result.frames)),
        FilmRow("straight", clamped(result.straight_frames)),
    ]
    film = Film(rows, file="comparison.png")
    yield Section("Beside the straight continuation", [film])


def _traces(result: ExtrapolationResult, quantity: str) -> list[Trace]:
    rays: dict[str, LatentRay | None] = {"geodesic": result.ray, "straight": result.straight_ray}
    return [
        Trace(name, ray.t, getattr(ray, quantity)) for name, ray in rays.items() if ray is not None
    ]


def _density(result: ExtrapolationResult) -> Plot:
    panels = [
        Panel(
            "log density, nats",
            "t",
            _traces(result, "log_density"),
            levels=[Level(0.0, "the start")],
        ),
        Panel(
            "growth of small errors",
            "t",
            _traces(result, "growth"),
            log_y=True,
            levels=[Level(1.0, "flat space")],
        ),
    ]
    return Plot(LinePlot(panels))


def _typicality(result: ExtrapolationResult) -> Plot:
    panels = [
        Panel("norm of the latent", "t", _traces(result, "norm")),
        Panel(
            "noise energy σ‖s‖/√d",
            "t",
            _traces(result, "noise_energy"),
            bands=[Band(*result.typical, "typical")],
        ),
    ]
    return Plot(LinePlot(panels))
