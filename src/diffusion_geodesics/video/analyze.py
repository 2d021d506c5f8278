"""The analysis of clips: frames are streamed, shots measured one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffusion_geodesics.clips import Clip, ClipError, in_mean_intervals, open_clip
from diffusion_geodesics.diffusion import Condition, evaluation_flops
from diffusion_geodesics.framing import choose_size
from diffusion_geodesics.latents.decode import decode
from diffusion_geodesics.latents.domain import Familiarity, measure_misfit
from diffusion_geodesics.latents.encode import ModelParts, carry_up, geometry_dtype
from diffusion_geodesics.latents.geometry import level_geometry
from diffusion_geodesics.latents.model_notes import model_notes
from diffusion_geodesics.manifold import Sphere
from diffusion_geodesics.models import DiffusionModel, as_model
from diffusion_geodesics.runtime.cost import Operations
from diffusion_geodesics.runtime.paths import expand
from diffusion_geodesics.runtime.run import Observer, Run
from diffusion_geodesics.video.claims import claims, summarise
from diffusion_geodesics.video.curves import arc_length, at_arc_length
from diffusion_geodesics.video.diagnostics import diagnose
from diffusion_geodesics.video.reading import EncodedShot, encoded_shots, thumbnail
from diffusion_geodesics.video.result import PathFrames, ShotAnalysis, VideoResult, counted
from diffusion_geodesics.video.settings import VideoSettings
from diffusion_geodesics.video.shot import Measured, measure_shot

ClipSource = str | Path | Clip  # A file, a folder of frames, or a clip

_BATCH = 64
SETTLED = 1e-2  # change of an inverted latent, root mean square, at which it is refined no further
_CHECKED = 16  # latents of a shot whose misfit is measured


def analyze(
    model: DiffusionModel,
    clips: ClipSource | Sequence[ClipSource],
    settings: VideoSettings | None = None,
    *,
    observer: Observer | None = None,
    **changes: Any,
) -> VideoResult:
    """How far clips are from density geodesics, with controls.

    Frames are read, brought to the working size, encoded in batches, and inverted to the noise
    level; there the sequence of latents is compared with geodesics, window by window, as are its
    controls. A cut ends a shot and begins another. Memory does not grow with the length of a clip:
    full-size frames are held one at a time, latents for one shot.

    Args:
        model: from :func:`diffusion_geodesics.load_model`.
        clips: one or several: files, folders of frames, or clips.
        settings: every choice.
        observer: told of progress; an exception that it raises cancels the run.
        **changes: single settings by name.

    Raises:
        ClipError: a clip that cannot be used, or without a shot of at least five frames.
        SettingsError: a setting out of range.
        NonFiniteError, OutOfMemoryError: from the networks.

    Cost: about 12 network evaluations a frame for the inversion and 30 for geodesics and controls,
    32 a shot to see whether the model knows its frames, and those that the report shows, decoded.
    """
    settings = (settings or VideoSettings()).updated(**changes)
    run = Run(observer)
    sources = [clips] if isinstance(clips, str | Path | Clip) else list(clips)
    if not sources:
        raise ClipError("got no clip; name at least one file or folder")
    stream = settings.reading.stream
    opened = [s if isinstance(s, Clip) else open_clip(s, stream=stream) for s in sources]
    as_model(model)
    known: dict[tuple[int, int], _Workplace] = {}
    shots: list[ShotAnalysis] = []
    notes: list[str] = []
    for clip in opened:
        notes += [f"{clip.name}: {note}" for note in clip.notes]
        fitting = {"native": model.native_size, "multiple": model.size_multiple}
        size = choose_size([clip.size], requested=settings.framing.size, **fitting)
        if size not in known:
            known[size] = _workplace(run, model, size, settings)
        found, said = _clip(known[size], clip, size)
        shots += found
        notes += said
    seed, good = settings.solve.seed, counted(tuple(shots))
    controlled = settings.windows.controls and not all(s.foreign for s in shots)
    result = VideoResult(
        settings=settings,
        model=model.info,
        sources=tuple("" if isinstance(s, Clip) else str(expand(s).resolve()) for s in sources),
        shots=tuple(shots),
        notes=tuple(notes),
        summary=summarise(good, seed),
        claims=claims(good, seed) if controlled else (),
        costs=run.costs,
    )
    told = model_notes(model, (settings.prompts.prompt,))
    return replace(result, warnings=(*told, *diagnose(result)))


@dataclass(frozen=True, eq=False)
class _Workplace:
    """What frames of one size are worked on with."""

    run: Run
    parts: ModelParts
    condition: Condition
    null: Condition  # of no prompt
    settings: VideoSettings


def _workplace(
    run: Run, model: DiffusionModel, size: tuple[int, int], settings: VideoSettings
) -> _Workplace:
    """What frames of one size need, with the operations of the network counted."""
    parts = ModelParts.of(run, model, size)
    condition, null = (model.encode_prompt(text) for text in (settings.prompts.prompt, ""))
    with run.stage("domain"):
        run.operations = Operations(evaluation_flops(parts.denoiser, condition))
    return _Workplace(run, parts, condition, null, settings)


def _clip(
    work: _Workplace, clip: Clip, size: tuple[int, int]
) -> tuple[list[ShotAnalysis], list[str]]:
    """All shots of a clip that are long enough, and what was left out."""
    least = work.settings.least
    found: list[ShotAnalysis] = []
    notes: list[str] = []
    total = 0
    for shot in encoded_shots(work.run, clip, work.parts, work.settings, size):
        total += len(shot.frames)
        if len(shot.frames) >= least:
            found.append(_shot(work, clip, len(found), shot))
        elif shot.ended or found:
            few = f"{len(shot.frames)} frames from number {shot.frames[0]} on were left out"
            notes.append(f"{clip.name}: {few}, a part needs {least}")
    if not found:
        raise ClipError(
            f"{clip.name} gives {total} frame{'s' * (total != 1)} to analyse; expected at least "
            f"{least} in a row without a cut: a longer range, or a smaller stride"
        )
    return found, notes


def _shot(work: _Workplace, clip: Clip, number: int, shot: EncodedShot) -> ShotAnalysis:
    settings, parts, name = work.settings, work.parts, clip.name
    clean = torch.cat(shot.clean)
    clean = clean.to(geometry_dtype(clean.device))
    latents = _invert(work, clean, name)
    chosen = torch.linspace(0, len(clean) - 1, min(_CHECKED, len(clean))).round().long()
    with work.run.stage("domain"):
        misfit = measure_misfit(parts.denoiser, clean[chosen], work.null)
    norms = torch.linalg.vector_norm(latents, dim=1)
    radius = float(norms.square().mean().sqrt())
    sphere = Sphere(radius)
    alpha = settings.metric.alpha_for(latents.shape[1])
    level = parts.level(settings.inversion)
    geometry = level_geometry(parts, work.condition, level, alpha)
    points = sphere.project(latents)
    times = torch.from_numpy(in_mean_intervals(np.asarray(shot.times), clip.tick)).to(points)
    steps = torch.linalg.vector_norm(points.diff(dim=0), dim=1) / times.diff(dim=0)
    if not bool((steps > 1e-6 * radius).any()):
        raise ClipError(f"{name} does not move from frame {shot.frames[0]} on; nothing to analyse")
    measured = measure_shot(work.run, geometry, sphere, points, settings, name, times)
    return ShotAnalysis(
        clip=name,
        number=number,
        frames=torch.tensor(shot.frames),
        times=torch.tensor(shot.times, dtype=torch.float64),
        ended=shot.ended,
        measured=measured,
        norms=norms,
        steps=steps,
        known=Familiarity(torch.cat(shot.psnr).cpu(), misfit),
        strips=_strips(work, points, measured, shot),
        radius=radius,
        sigma=level.sigma,
        alpha=alpha,
        dim=latents.shape[1],
        half=settings.windows.half,
    )


def _invert(work: _Workplace, clean: Tensor, name: str) -> Tensor:
    """All latents to the level, in batches."""
    batches = clean.split(_BATCH)
    pieces: list[Tensor] = []
    how = work.condition, work.settings.inversion
    with work.run.stage("invert", total=len(batches)) as stage:
        for done, piece in enumerate(batches, start=1):
            pieces.append(carry_up(work.parts, piece, *how, tolerance=SETTLED))
            stage(done, detail=name)
    return torch.cat(pieces)


def _strips(
    work: _Workplace, points: Tensor, found: Measured, shot: EncodedShot
) -> tuple[PathFrames, ...]:
    """Every so many frames of the clip, and frames of the other paths at the same fractions of
    their lengths, denoised and decoded."""
    count = min(work.settings.windows.shown, len(points))
    if count == 0:
        return ()
    index = torch.linspace(0, len(points) - 1, count).round().long()
    rows = [PathFrames("clip", torch.stack([shot.thumbnails[i] for i in index.tolist()]))]
    arc = arc_length(points)
    fraction = (arc / arc[-1])[index.to(arc.device)][:, None]
    shown = [p for p in found.paths if p.name != "slerp"]
    if shown:
        curves = torch.stack([p.points for p in shown], 1).to(points)
        latents = at_arc_length(curves, fraction.expand(-1, len(shown)))
        points = latents.transpose(0, 1).flatten(0, 1)
        inversion = work.settings.inversion
        images = decode(work.run, work.parts, inversion, points, work.condition)
        images = images.float().cpu().clamp(0, 1)
        for path, frames in zip(shown, images.split(count), strict=True):
            rows.append(PathFrames(path.name, torch.stack([thumbnail(i) for i in frames])))
    return tuple(rows)
