r"""Extrapolation: the initial value problem, decoded.

The start is encoded and inverted to a noise level by a deterministic sampler. From there a
geodesic of the noised density is followed in the direction asked for, :math:`\gamma(0) = x_0`,
:math:`\gamma'(0) = v_0`, and points at equal steps of t are denoised and decoded. Rays bend away
from high density: what happens to them is measured along the way.

References:
    Yu et al., Probability Density Geodesics in Image Diffusion Latent Space, CVPR 2025, section 3.3
    (the initial value problem) and section 4 (extrapolation).
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from diffusion_geodesics.clips import Clip, ClipError, CutRule, Frame, Reading, open_clip, shots
from diffusion_geodesics.diffusion import ConditionCurve, ConditionLine
from diffusion_geodesics.extrapolation.diagnostics import diagnose
from diffusion_geodesics.extrapolation.directions import ClipVelocity, Direction
from diffusion_geodesics.extrapolation.launch import Launch, Setup
from diffusion_geodesics.extrapolation.ray import LatentRay, follow
from diffusion_geodesics.extrapolation.result import ExtrapolationResult, arrival
from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings
from diffusion_geodesics.framing import choose_size, fit
from diffusion_geodesics.images import ImageSource
from diffusion_geodesics.latents.choices import fit_of
from diffusion_geodesics.latents.decode import decode
from diffusion_geodesics.latents.encode import encode, invert
from diffusion_geodesics.latents.geometry import geometry_along
from diffusion_geodesics.latents.memory import SOLVER_COPIES, demand_memory
from diffusion_geodesics.latents.model_notes import prompt_notes
from diffusion_geodesics.latents.pictures import Pictures, load_pictures
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.runtime.diagnostic import Diagnostic
from diffusion_geodesics.runtime.paths import expand
from diffusion_geodesics.runtime.run import Observer, Run

COMPARED = 9
"""Most frames that are decoded of the straight continuation."""


def extrapolate(
    model: DiffusionModel,
    start: ImageSource | Clip,
    direction: Direction,
    settings: ExtrapolationSettings | None = None,
    *,
    observer: Observer | None = None,
    **changes: Any,
) -> ExtrapolationResult:
    """Go on from an image, or from the end of a clip, along a probability density geodesic.

    Args:
        start: the image: a path, a Pillow image, or a tensor (3, height, width) with values in
            [0, 1]. With :class:`ClipVelocity` the clip: a file, a folder of frames, or a clip.
        direction: one of ``dg.directions``.
        observer: told of progress; an exception that it raises cancels the run.
        **changes: single settings by name, such as ``t_max=1.5``.

    Raises:
        SettingsError: a setting out of range, or settings that do not go together.
        ValueError: a direction that is zero or of the wrong size, or remedies that it does not
            allow.
        ImageError, ClipError: an image or a clip that cannot be used.
        NonFiniteError, OutOfMemoryError: from the networks.

    Cost: inversion, about 15 network evaluations an image; the boundary value problem where the
    direction needs one; about 270 evaluations for the ray; 10 a frame to decode.
    """
    settings = (settings or ExtrapolationSettings()).updated(**changes)
    if settings.metric.strength is None and settings.metric.alpha is None:
        settings = settings.updated(strength=direction.strength)
    if settings.remedies.reestimate and not direction.renewable:
        raise ValueError(
            f"{direction.description()}: this direction is known once and cannot be estimated "
            "anew; leave reestimate at 0, or go towards an image or a prompt"
        )
    run = Run(observer)
    pictures = _pictures(model, start, direction, settings)
    solve, frames = settings.solve, settings.ray.frames
    held = SOLVER_COPIES * max(solve.intervals) + settings.ray.ray_steps + frames
    demand_memory(model, pictures.size, images=len(pictures.images) + frames, latents=held)
    noised = invert(run, encode(run, model, pictures, settings.prompts.prompts), settings.inversion)
    encoded = noised.encoded
    alpha = settings.metric.alpha_for(encoded.dim)
    shown = encoded.conditions[0]
    geometry = geometry_along(noised, settings.metric, alpha, shown)
    setup = Setup(run, noised, geometry, settings, model.encode_prompt)
    launch = direction.launch(setup)
    curve: ConditionCurve = shown
    if settings.prompts.end_prompt is not None:
        curve = ConditionLine(shown, model.encode_prompt(settings.prompts.end_prompt))
        geometry = geometry_along(noised, settings.metric, alpha, curve)
    with run.stage("ray"):
        ray = follow(geometry, launch, settings, renew=lambda x: direction.renewed(setup, x))
    whole = settings.ray.t_max or launch.t_max
    frames = _decoded(setup, ray, curve, whole, "decode")
    straight, straight_frames = None, None
    if not settings.film_only and geometry.alpha > 0:
        straight = _straight(setup, launch, ray)
        straight_frames = _decoded(setup, straight, curve, whole, "compare")
    result = ExtrapolationResult(
        settings=settings,
        model=model.info,
        direction=direction.description(),
        direction_settings=direction.settings(),
        source=str(expand(start).resolve()) if isinstance(start, str | Path) else "",
        pictures=pictures,
        frames=frames,
        straight_frames=straight_frames,
        ray=ray,
        straight_ray=straight,
        launch=launch,
        arrival=arrival(ray, launch, noised.level.sigma),
        codec_psnr=float(encoded.codec_psnr.min()),
        sigma=noised.level.sigma,
        costs=run.costs,
    )
    prompts = (settings.prompts.end_prompt or "", *direction.prompts)
    notes = prompt_notes(model, prompts)
    return replace(result, warnings=(*noised.notes, *notes, *diagnose(result)))


def _pictures(
    model: DiffusionModel,
    start: ImageSource | Clip,
    direction: Direction,
    settings: ExtrapolationSettings,
) -> Pictures:
    if isinstance(direction, ClipVelocity):
        if not isinstance(start, str | Path | Clip):
            raise ValueError(
                f"got a start of type {type(start).__name__} for the velocity of a clip; give a "
                "file, a folder of frames, or a Clip"
            )
        return last_frames(model, start, direction.frames, settings)
    if isinstance(start, Clip):
        raise ValueError(
            f"the start is a clip ({start.name}), and the direction asks for an image; give an "
            "image, or ClipVelocity"
        )
    return load_pictures(model, (start, *direction.images), settings.framing)


def last_frames(
    model: DiffusionModel, source: str | Path | Clip, count: int, settings: ExtrapolationSettings
) -> Pictures:
    """The last frames of a clip, after its last cut; only these are held."""
    clip = source if isinstance(source, Clip) else open_clip(source)
    size = choose_size(
        [clip.size],
        native=model.native_size,
        multiple=model.size_multiple,
        requested=settings.framing.size,
    )
    how = fit_of(settings.framing)
    stream = clip.frames(Reading(), lambda image: fit(image, *size, how).image.float())
    last: deque[Frame] = deque(maxlen=count)
    for shot in shots(stream, CutRule()):
        if shot.cut:
            last.clear()
        last.append(shot.frame)
    if len(last) < count:
        raise ClipError(
            f"{clip.name} has {len(last)} frame{'s' * (len(last) != 1)} after its last cut; a "
            f"velocity is fitted to {count} (at least 3): give a longer clip, or fewer frames"
        )
    return Pictures(
        torch.stack([f.image for f in last]),
        tuple(f"{clip.name}, frame {frame.index}" for frame in last),
        clip.notes,
        tuple(frame.time for frame in last),
        clip.tick,
        tuple(Diagnostic("clip", f"{clip.name}: {note}") for note in clip.notes),
    )


def _straight(setup: Setup, launch: Launch, ray: LatentRay) -> LatentRay:
    """The continuation of strength 0 as far as the ray went, measured at nine frames at most."""
    frames, flat = max(2, min(COMPARED, len(ray.frames))), setup.settings.metric.flat
    plain = ExtrapolationSettings.of(
        frames=frames, strength=0.0, stop=False, ray_steps=4, flat=flat
    )
    with setup.run.stage("compare"):
        return follow(setup.geometry.with_alpha(0.0), launch, plain, t_max=float(ray.t[-1]))


def _decoded(
    setup: Setup, ray: LatentRay, curve: ConditionCurve, whole: float, stage: str
) -> torch.Tensor:
    noised, latents = setup.noised, ray.latents[ray.frames]
    condition = curve.at((ray.t[ray.frames] / whole).clamp(0, 1).to(latents.device))
    images = decode(setup.run, noised.parts, noised.inversion, latents, condition, stage=stage)
    return images.float().clamp(0, 1)
