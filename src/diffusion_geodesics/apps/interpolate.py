r"""Interpolation: a geodesic between two images, decoded.

Both images are encoded, inverted to a noise level by a deterministic sampler, joined there by a
geodesic of the noised density, and points along it are denoised and decoded. By default the
geodesic is one of a moving frame, carried along correspondences between the images.

References
----------
Yu et al., CVPR 2025, section 4 (interpolation).
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.apps.carriage import Carriage, carriage
from diffusion_geodesics.apps.chart import Chart, FlatChart, shell
from diffusion_geodesics.apps.events import Event, OnEvent, ignore
from diffusion_geodesics.apps.interpolation import AtypicalError, Interpolation, PathFilm
from diffusion_geodesics.apps.job import ImageSource, Job, prepare
from diffusion_geodesics.apps.pacing import frame_times
from diffusion_geodesics.apps.prompts import invert_prompts
from diffusion_geodesics.apps.settings import Family, PathSolver, Settings
from diffusion_geodesics.apps.survey import Candidate, Geometry, Survey, survey
from diffusion_geodesics.bvp import (
    BVPSolver,
    PreconditionedFlow,
    PublishedDescent,
    Solution,
    Step,
    solve_bvp,
)
from diffusion_geodesics.diffusion import (
    Condition,
    Cost,
    Ledger,
    Tally,
    count_flops,
    guidance_bump,
    invert,
    row_flops,
    sample,
)
from diffusion_geodesics.geodesic import initial_paths
from diffusion_geodesics.images import psnr
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.path import GreatArc, HalfwayNorm, Line, Spline, chord

COMPARED = 9
"""Most frames that are decoded of the path that the result is compared with."""


def interpolate(
    model: DiffusionModel,
    a: ImageSource,
    b: ImageSource,
    settings: Settings | None = None,
    *,
    on_event: OnEvent = ignore,
    **changes: Any,
) -> Interpolation:
    """Morph one image into another along a probability density geodesic.

    Args:
        model: from :func:`diffusion_geodesics.load_model`.
        a, b: the images: paths, Pillow images, or tensors (3, height, width) with values in
            [0, 1].
        settings: every choice; the defaults follow from the measurements in the docs.
        on_event: told of progress; raise in it to cancel.
        **changes: single settings by name, such as ``frames=33`` or ``prompt_a="a cat"``.

    Returns:
        An :class:`Interpolation`: frames, times, path, log density, distance, cost; ``save``
        writes the output folder.

    Raises:
        ValueError: a setting out of range, or two identical images.
        ImageError: an image that cannot be used.
        AtypicalError: the geodesic leaves the typical set, and that was not allowed.
        NonFiniteError, OutOfMemoryError: from the networks.

    Cost: 604 denoiser rows for the example portraits with the default settings, 157 of them by
    the solver, and never more than 897; ``Interpolation.ledger`` itemises them. The ratio
    estimate doubles the solver's.
    """
    settings = replace(settings or Settings(), **changes)
    job = prepare(model, a, b, settings)
    ledger = Ledger()
    on_event(Event("encode", 0, 1))
    started = time.perf_counter()
    found: list[Tensor] = []
    coding = count_flops(lambda: found.append(job.codec.encode(job.images)))
    clean = found[0]
    coding += (decoding := count_flops(lambda: found.append(job.codec.decode(clean))))
    coded = psnr(found[1], job.images.to(clean))
    tally = Tally(row_flops(job.denoiser, job.conditions[0]), decoding // 2)
    cost = Cost(1, 1, time.perf_counter() - started, (coding + tally.row) / 1e12)
    ledger = ledger.add("encode", cost)
    on_event(Event("encode", 1, 1))
    dtype = torch.float32 if clean.device.type == "mps" else torch.float64
    if settings.text_inversion is not None:
        job, cost, trained = invert_prompts(
            job, clean.to(dtype), model.hash, lambda done, of: on_event(Event("text", done, of))
        )
        ledger = ledger.add("text", tally.trained(cost, trained))
    ends, cost = invert(
        job.denoiser,
        clean.to(dtype),
        Condition.stack(job.conditions),
        steps=settings.steps,
        level=settings.level,
        sampler=settings.sampler.sampler,
        refinements=settings.refinements,
        on_step=lambda done, of: on_event(Event("invert", done, of)),
    )
    ledger = ledger.add("invert", tally.rows(cost))
    geometry = job.geometry(FlatChart() if settings.flat else shell(*ends), ends.shape[1])
    carried: Carriage | None = None
    if settings.carries:
        carried, cost = _carry(job, clean.to(dtype), ends, geometry, on_event)
        ledger = ledger.add("match", tally.rows(cost))
    solving = geometry if carried is None else replace(geometry, chart=carried.chart)
    solution: Solution | None = None
    if settings.family is Family.GEODESIC:
        solution, cost = _solve(solving, ends, settings, on_event)
        ledger = ledger.add("solve", tally.rows(cost))
    surveys, cost = _measure(geometry, solving.chart, ends, settings, solution, on_event)
    ledger = ledger.add("measure", tally.rows(cost))
    own, other = surveys[0], surveys[1]
    if solution is not None and not settings.allow_atypical:
        AtypicalError.check(own.track, other.track, settings)
    film, cost = _film(job, own, settings.frames, "decode", on_event)
    ledger = ledger.add("decode", tally.frames(cost, len(film.frames)))
    compared: PathFilm | None = None
    if settings.compare:
        compared, cost = _film(job, other, min(COMPARED, settings.frames), "compare", on_event)
        ledger = ledger.add("compare", tally.frames(cost, len(compared.frames)))
    endpoint = psnr(film.frames[[0, -1]], job.images.to(film.frames))
    if settings.keep_pixels:
        pixels = job.images.to(film.frames)
        film = replace(film, frames=torch.cat([pixels[:1], film.frames[1:-1], pixels[1:]]))
    return Interpolation(
        model_id=model.id,
        model_hash=model.hash,
        model_caveat=model.caveat,
        settings=settings,
        sources=job.sources,
        framing=job.notes,
        inputs=job.images,
        film=film,
        compared=compared,
        tracks=tuple(s.track for s in surveys),
        path=own.candidate.path,
        chart=solving.chart,
        solution=solution,
        matches=None if carried is None else carried.matches,
        alpha=geometry.alpha,
        dim=ends.shape[1],
        endpoint_psnr=(float(endpoint[0]), float(endpoint[1])),
        codec_psnr=(float(coded[0]), float(coded[1])),
        ledger=ledger,
        device=str(clean.device),
        dtype=str(model.dtype).removeprefix("torch."),
    )


def _carry(
    job: Job,
    clean: Float[Tensor, "2 dim"],
    ends: Float[Tensor, "2 dim"],
    geometry: Geometry,
    on_event: OnEvent,
) -> tuple[Carriage | None, Cost]:
    on_event(Event("match", 0, 1))
    started = time.perf_counter()
    found, cost = carriage(job, clean, ends, geometry.chart)
    on_event(Event("match", 1, 1))
    return found, replace(cost, seconds=time.perf_counter() - started)


def _solve(
    geometry: Geometry, ends: Float[Tensor, "2 dim"], settings: Settings, on_event: OnEvent
) -> tuple[Solution, Cost]:
    started = time.perf_counter()
    chart = geometry.chart

    def show(step: Step) -> None:
        detail = f"residual {float(step.residual.min()):.1e}, length {float(step.length.min()):.6g}"
        on_event(Event("solve", step.iteration, 0, detail))

    corners = chart.coordinates(torch.tensor([0.0, 1.0]), ends)
    solution = solve_bvp(
        geometry.search,
        solver_of(settings),
        initial_paths(corners[0], corners[1], chart.manifold, settings.starts, settings.seed),
        tol=settings.tol,
        max_steps=settings.max_steps,
        callback=show,
        throw=False,
    )
    on_event(Event("solve", solution.iterations, solution.iterations, solution.result.name))
    score = geometry.search_score
    rows, calls = (
        solution.score_evals * score.rows_per_point,
        solution.calls * score.calls_per_batch,
    )
    return solution, Cost(rows, calls, time.perf_counter() - started)


def solver_of(settings: Settings) -> BVPSolver[Any]:
    """The boundary value solver that the settings ask for."""
    match settings.solver:
        case PathSolver.PUBLISHED:
            return PublishedDescent()
        case PathSolver.PUBLISHED_FULL:
            return PublishedDescent(gives_up=False)
        case PathSolver.PRECONDITIONED:
            return PreconditionedFlow(settings.intervals)


def _measure(
    geometry: Geometry,
    frame: Chart,
    ends: Float[Tensor, "2 dim"],
    settings: Settings,
    solution: Solution | None,
    on_event: OnEvent,
) -> tuple[list[Survey], Cost]:
    """The chosen path first, then slerp (or lerp, where slerp was chosen) and the rest."""
    on_event(Event("measure", 0, 1))
    started = time.perf_counter()
    flat, chart = FlatChart(), geometry.chart
    corners = chart.coordinates(torch.tensor([0.0, 1.0]), ends)
    arc = GreatArc(*ends) if settings.flat else chord(corners[0], corners[1], chart.manifold)
    slerp = Candidate("slerp", arc, chart)
    lerp = Candidate("lerp", Line(*ends), flat)
    candidates = [slerp, lerp]
    if settings.family is Family.LERP:
        candidates = [lerp, slerp]
    elif settings.family is Family.HLERP:
        t = torch.linspace(0, 1, 33, dtype=torch.float64)
        candidates = [Candidate("hlerp", Spline(HalfwayNorm(*ends)(t)), flat), slerp, lerp]
    surveys = [survey(geometry, candidate) for candidate in candidates]
    if solution is not None:
        found = Candidate("geodesic", solution.path, frame)
        known = solution.profile if geometry.search_score is geometry.score else None
        surveys = [survey(geometry, found, known), *surveys]
    on_event(Event("measure", 1, 1))
    cost = Cost(
        sum(s.rows for s in surveys), sum(s.calls for s in surveys), time.perf_counter() - started
    )
    return surveys, cost


def _film(
    job: Job, found: Survey, count: int, stage: str, on_event: OnEvent
) -> tuple[PathFilm, Cost]:
    """Frames along a path, denoised and decoded."""
    started = time.perf_counter()
    settings = job.settings
    t = frame_times(settings.pace, count, found.track, found.profile)
    latents = found.candidate.latent(t)
    guidance = guidance_bump(t.to(latents), settings.guidance)
    clean, cost = sample(
        job.denoiser,
        latents,
        job.curve.at(t.to(latents)),
        steps=settings.steps,
        level=settings.level,
        sampler=settings.sampler.sampler,
        negative=job.negative,
        guidance=guidance,
        on_step=lambda done, of: on_event(Event(stage, done, of)),
    )
    frames = job.codec.decode(clean)
    density = found.track.log_density_at(t)
    film = PathFilm(found.candidate.name, frames, t, density)
    return film, replace(cost, seconds=time.perf_counter() - started)
