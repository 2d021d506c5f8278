"""The analysis itself: clips in, frames streamed, parts measured one after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate as resize

from diffusion_geodesics.apps.analyze.analysis import Analysis
from diffusion_geodesics.apps.analyze.curves import arc_length, at_arc_length
from diffusion_geodesics.apps.analyze.domain import (
    SETTLED,
    Domain,
    Familiarity,
    denoising_error,
    geometry_dtype,
    learn_domain,
)
from diffusion_geodesics.apps.analyze.ground import Ground
from diffusion_geodesics.apps.analyze.part import FilmRow, Measured, PartAnalysis, measure_part
from diffusion_geodesics.apps.analyze.settings import AnalysisSettings
from diffusion_geodesics.apps.events import Event, OnEvent, ignore
from diffusion_geodesics.clips import Clip, ClipError, Frame, open_clip, shots
from diffusion_geodesics.diffusion import (
    Codec,
    Condition,
    Cost,
    Denoiser,
    Ledger,
    LevelScore,
    invert,
    sample,
)
from diffusion_geodesics.framing import choose_size, fit
from diffusion_geodesics.images import psnr
from diffusion_geodesics.manifold import Sphere
from diffusion_geodesics.models import DiffusionModel

ClipSource = str | Path | Clip

_BATCH = 16
_CHECKED = 16
"""Latents of a part whose denoising error is measured."""
_THUMBNAIL = 192
"""Height of the frames that are kept for strips."""


def analyze(
    model: DiffusionModel,
    clips: ClipSource | Sequence[ClipSource],
    settings: AnalysisSettings | None = None,
    *,
    on_event: OnEvent = ignore,
    **changes: Any,
) -> Analysis:
    """How far clips are from density geodesics, with controls.

    Frames are read, brought to the working size, encoded in batches, and inverted to the noise
    level; there the sequence of latents is held against geodesics, window by window, as are its
    controls. A cut ends a part and begins another. Memory does not grow with the length of a clip:
    full-size frames are held one at a time, latents for one part.

    Args:
        model: from :func:`diffusion_geodesics.load_model`.
        clips: one or several: files, folders of frames, or clips.
        settings: every choice.
        on_event: told of progress; raise in it to cancel.
        **changes: single settings by name.

    Returns:
        An :class:`Analysis`; ``save`` writes the output folder.

    Raises:
        ClipError: a clip that cannot be used, or without a part of at least five frames.
        ValueError: a setting out of range.
        NonFiniteError, OutOfMemoryError: from the networks.

    Cost: about 12 network rows a frame for the inversion and 30 for geodesics and controls, and
    about 900 once: to know the model's domain and to decode the frames of the report.
    """
    settings = replace(settings or AnalysisSettings(), **changes)
    sources = [clips] if isinstance(clips, str | Path | Clip) else list(clips)
    if not sources:
        raise ClipError("got no clip; name at least one file or folder")
    opened = [s if isinstance(s, Clip) else open_clip(s, stream=settings.stream) for s in sources]
    condition = model.encode_prompt(settings.prompt)
    domains: dict[tuple[int, int], Domain] = {}
    ledger = Ledger()
    parts: list[PartAnalysis] = []
    notes: list[str] = []
    for clip in opened:
        notes += [f"{clip.name}: {note}" for note in clip.notes]
        size = choose_size(
            [clip.size],
            native=model.native_size,
            multiple=model.size_multiple,
            requested=settings.size,
        )
        bench = _Bench(model.codec(*size), model.denoiser(*size), condition, settings, on_event)
        if size not in domains:
            on_event(Event("Drawing images to compare", 0, 1))
            domains[size], cost = learn_domain(bench.codec, bench.denoiser, condition, settings)
            ledger = ledger.add("know the domain", cost)
            on_event(Event("Drawing images to compare", 1, 1))
        found = 0
        total = 0
        for roll in _rolls(clip, bench, size):
            total += len(roll.frames)
            ledger = ledger.add("encode", roll.cost)
            if len(roll.frames) < settings.least:
                if roll.ended or found:
                    notes.append(
                        f"{clip.name}: {len(roll.frames)} frames from number {roll.frames[0]} on "
                        f"were left out, a part needs {settings.least}"
                    )
                continue
            part, ledger = _part(clip.name, found, roll, bench, domains[size], ledger)
            parts.append(part)
            found += 1
        if not found:
            raise ClipError(
                f"{clip.name} gives {total} frame{'s' * (total != 1)} to analyse; expected at "
                f"least {settings.least} in a row without a cut: a longer range, or a smaller "
                "stride"
            )
    return Analysis(
        model_id=model.id,
        model_hash=model.hash,
        settings=settings,
        parts=tuple(parts),
        notes=tuple(notes),
        ledger=ledger,
        device=str(model.device),
        dtype=str(model.dtype).removeprefix("torch."),
    )


@dataclass(frozen=True)
class _Bench:
    """What frames of one size are worked on with."""

    codec: Codec
    denoiser: Denoiser
    condition: Condition
    settings: AnalysisSettings
    on_event: OnEvent


@dataclass
class _Roll:
    """The frames of a part as they come in: latents and thumbnails, no full-size pixels."""

    frames: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    waiting: list[Tensor] = field(default_factory=list)
    clean: list[Tensor] = field(default_factory=list)
    thumbnails: list[Tensor] = field(default_factory=list)
    psnr: list[Tensor] = field(default_factory=list)
    cost: Cost = field(default_factory=Cost)
    ended: str = ""

    def take(self, frame: Frame, codec: Codec) -> None:
        """Add a frame, encoding when a batch is full."""
        self.frames.append(frame.index)
        self.times.append(frame.time)
        self.waiting.append(frame.image)
        if len(self.waiting) == _BATCH:
            self.flush(codec)

    def flush(self, codec: Codec) -> None:
        """Encode what waits; the first image of a batch is decoded again, for its PSNR."""
        if not self.waiting:
            return
        started = time.perf_counter()
        images = torch.stack(self.waiting)
        clean = codec.encode(images)
        self.clean.append(clean)
        self.psnr.append(psnr(codec.decode(clean[:1]), images[:1].to(clean)))
        self.thumbnails += [_thumbnail(image) for image in images]
        self.waiting = []
        self.cost = self.cost + Cost(seconds=time.perf_counter() - started)


def _rolls(clip: Clip, bench: _Bench, size: tuple[int, int]) -> Iterator[_Roll]:
    """The parts of a clip, encoded."""
    settings = bench.settings
    expected = clip.expected(settings.reading) or 0
    stream = clip.frames(
        settings.reading, lambda image: fit(image, *size, settings.fit).image.float()
    )
    roll = _Roll()
    for done, shot in enumerate(shots(stream, settings.cuts), start=1):
        long = len(roll.frames) == settings.longest
        if roll.frames and (shot.cut or long):
            roll.flush(bench.codec)
            roll.ended = (
                f"a cut before frame {shot.frame.index}"
                if shot.cut
                else f"{settings.longest} frames, as many as are analysed at once"
            )
            yield roll
            roll = _Roll()
        roll.take(shot.frame, bench.codec)
        bench.on_event(Event("Reading and encoding", done, max(done, expected), clip.name))
    roll.flush(bench.codec)
    if roll.frames:
        yield roll
    else:
        raise ClipError(
            f"{clip.name} has no frame in the range that was asked for; it has "
            f"{clip.count or 'fewer'} frames at {clip.rate:.4g} a second"
        )


def _part(
    name: str, number: int, roll: _Roll, bench: _Bench, domain: Domain, ledger: Ledger
) -> tuple[PartAnalysis, Ledger]:
    settings, denoiser = bench.settings, bench.denoiser
    clean = torch.cat(roll.clean)
    clean = clean.to(geometry_dtype(clean.device))
    latents, cost = _invert(clean, bench, name)
    ledger = ledger.add("invert", cost)
    chosen = torch.linspace(0, len(clean) - 1, min(_CHECKED, len(clean))).round().long()
    error, cost = denoising_error(denoiser, clean[chosen], bench.condition, settings)
    ledger = ledger.add("know the domain", cost)
    norms = torch.linalg.vector_norm(latents, dim=1)
    radius = float(norms.square().mean().sqrt())
    sphere = Sphere(radius)
    timestep = denoiser.schedule.timestep(settings.steps, settings.level)
    _, sigma = denoiser.schedule.coefficients(timestep)
    alpha = settings.alpha_for(latents.shape[1])
    ground = Ground(LevelScore(denoiser, timestep, bench.condition), alpha, sphere, sigma)
    points = sphere.project(latents)
    steps = torch.linalg.vector_norm(points.diff(dim=0), dim=1)
    if not bool((steps > 1e-6 * radius).any()):
        raise ClipError(f"{name} does not move from frame {roll.frames[0]} on; nothing to analyse")
    started = time.perf_counter()
    found = measure_part(ground, points, settings, bench.on_event, name)
    ledger = ledger.add(
        "geodesics and controls", Cost(found.rows, found.calls, time.perf_counter() - started)
    )
    films, cost = _films(points, found, roll, bench, name)
    ledger = ledger.add("decode", cost)
    part = PartAnalysis(
        clip=name,
        number=number,
        frames=torch.tensor(roll.frames),
        times=torch.tensor(roll.times, dtype=torch.float64),
        ended=roll.ended,
        starts=found.starts,
        figures=found.figures,
        bends=found.bends,
        log_density=found.log_density,
        energy=found.energy,
        norms=norms,
        steps=steps,
        paths=found.paths,
        solved=found.solved,
        residual=found.residual,
        familiarity=Familiarity(torch.cat(roll.psnr), error, found.energy),
        domain=domain,
        films=films,
        radius=radius,
        sigma=sigma,
        alpha=alpha,
        dim=latents.shape[1],
        half=settings.half,
    )
    return part, ledger


def _invert(clean: Tensor, bench: _Bench, name: str) -> tuple[Tensor, Cost]:
    """All latents to the level, in batches."""
    settings = bench.settings
    pieces: list[Tensor] = []
    cost = Cost()
    batches = clean.split(4 * _BATCH)
    for done, piece in enumerate(batches):
        bench.on_event(Event("invert", done, len(batches), name))
        x, spent = invert(
            bench.denoiser,
            piece,
            bench.condition,
            steps=settings.steps,
            level=settings.level,
            refinements=settings.refinements,
            tolerance=SETTLED,
        )
        pieces.append(x)
        cost = cost + spent
    bench.on_event(Event("invert", len(batches), len(batches), name))
    return torch.cat(pieces), cost


def _films(
    points: Tensor, found: Measured, roll: _Roll, bench: _Bench, name: str
) -> tuple[tuple[FilmRow, ...], Cost]:
    """Frames of the clip at equal times, and of the other paths at the same fractions of their
    lengths, denoised and decoded."""
    settings = bench.settings
    count = min(settings.shown, len(points))
    if count == 0:
        return (), Cost()
    started = time.perf_counter()
    index = torch.linspace(0, len(points) - 1, count).round().long()
    rows = [FilmRow("clip", torch.stack([roll.thumbnails[i] for i in index.tolist()]))]
    arc = arc_length(points)
    fraction = (arc / arc[-1])[index.to(arc.device)][:, None]
    shown = [p for p in found.paths if p.name != "slerp"]
    cost = Cost()
    if shown:
        curves = torch.stack([p.points for p in shown], 1).to(points)
        latents = at_arc_length(curves, fraction.expand(-1, len(shown)))
        clean, cost = sample(
            bench.denoiser,
            latents.transpose(0, 1).flatten(0, 1),
            bench.condition,
            steps=settings.steps,
            level=settings.level,
            on_step=lambda done, of: bench.on_event(Event("decode", done, of, name)),
        )
        images = bench.codec.decode(clean).float().cpu().clamp(0, 1)
        for path, frames in zip(shown, images.split(count), strict=True):
            rows.append(FilmRow(path.name, torch.stack([_thumbnail(i) for i in frames])))
    return tuple(rows), replace(cost, seconds=time.perf_counter() - started)


def _thumbnail(image: Tensor) -> Tensor:
    """The image, no higher than strips show it."""
    if image.shape[1] <= _THUMBNAIL:
        return image
    size = _THUMBNAIL, round(image.shape[2] * _THUMBNAIL / image.shape[1])
    small = resize(image[None], size=size, mode="bicubic", antialias=True, align_corners=False)
    return small[0].clamp(0, 1)
