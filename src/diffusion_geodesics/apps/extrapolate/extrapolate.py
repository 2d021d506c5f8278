r"""Extrapolation: the initial value problem, decoded.

The start is encoded and inverted to a noise level by deterministic DDIM. From there a geodesic of
the noised density is followed in the direction asked for, :math:`\gamma(0) = x_0`,
:math:`\gamma'(0) = v_0`, and points at equal steps of t are denoised and decoded. Rays bend away
from high density: what happens to them is measured along the way.

References
----------
Yu et al., CVPR 2025, section 3.3 (the initial value problem) and section 4 (extrapolation).
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from diffusion_geodesics.apps.events import Event, OnEvent, ignore
from diffusion_geodesics.apps.extrapolate.directions import ClipVelocity, Direction
from diffusion_geodesics.apps.extrapolate.extrapolation import Extrapolation, arrival
from diffusion_geodesics.apps.extrapolate.march import March, march
from diffusion_geodesics.apps.extrapolate.scene import (
    Pictures,
    Scene,
    read_images,
    read_last_frames,
    set_scene,
)
from diffusion_geodesics.apps.extrapolate.settings import ExtrapolationSettings, Remedies
from diffusion_geodesics.apps.extrapolate.terrain import Launch
from diffusion_geodesics.apps.job import ImageSource
from diffusion_geodesics.clips import Clip
from diffusion_geodesics.diffusion import Cost, Ledger, sample
from diffusion_geodesics.models import DiffusionModel

COMPARED = 9
"""Most frames that are decoded of the straight continuation."""


def extrapolate(
    model: DiffusionModel,
    start: ImageSource | Clip,
    direction: Direction,
    settings: ExtrapolationSettings | None = None,
    *,
    on_event: OnEvent = ignore,
    **changes: Any,
) -> Extrapolation:
    """Go on from an image, or from the end of a clip, along a probability density geodesic.

    Args:
        model: from :func:`diffusion_geodesics.load_model`.
        start: the image: a path, a Pillow image, or a tensor (3, height, width) with values in
            [0, 1]. With :class:`ClipVelocity` the clip: a file, a folder of frames, or a clip.
        direction: where to: :class:`Towards`, :class:`TowardsPrompt`, :class:`RandomTangent`,
            :class:`GivenVector`, :class:`Past` or :class:`ClipVelocity`.
        settings: every choice.
        on_event: told of progress; raise in it to cancel.
        **changes: single settings by name, such as ``reach=1.5``.

    Returns:
        An :class:`Extrapolation`; ``save`` writes the output folder.

    Raises:
        ValueError: a setting out of range, a direction that is zero or of the wrong size, or
            remedies that do not go with it.
        ImageError, ClipError: an image or a clip that cannot be used.
        NonFiniteError, OutOfMemoryError: from the networks.

    Cost: inversion, about 22 network rows an image; the boundary value problem where the
    direction needs one; about 270 rows for the ray; 20 rows a frame to decode.
    """
    settings = replace(settings or ExtrapolationSettings(), **changes)
    if settings.strength is None:
        settings = replace(settings, strength=direction.strength)
    if settings.remedies.reestimate and not direction.renewable:
        raise ValueError(
            f"{direction.told()}: this direction is known once and cannot be estimated anew; leave "
            "reestimate at 0, or go towards an image or a prompt"
        )
    scene = set_scene(model, _pictures(model, start, direction, settings), settings, on_event)
    ledger = Ledger().add("invert", scene.cost)
    started = time.perf_counter()
    launch = direction.launch(scene)
    ledger = ledger.add("solve", Cost(launch.rows, launch.calls, time.perf_counter() - started))
    on_event(Event("march", 0, 1))
    started = time.perf_counter()
    ray = march(scene.terrain, launch, settings, renew=lambda x: direction.renewed(scene, x))
    ledger = ledger.add("march", Cost(ray.rows, ray.calls, time.perf_counter() - started))
    on_event(Event("march", 1, 1, ray.result.name.replace("_", " ")))
    frames, cost = _decoded(scene, ray.latents[ray.frames], "decode")
    ledger = ledger.add("decode", cost)
    straight: March | None = None
    other: Tensor | None = None
    if settings.compare and settings.alpha_for(len(launch.x)) > 0:
        straight, other, ledger = _straight(scene, launch, ray, ledger)
    return Extrapolation(
        model_id=model.id,
        model_hash=model.hash,
        settings=settings,
        direction=direction,
        pictures=scene.pictures,
        frames=frames,
        straight=other,
        march=ray,
        straight_march=straight,
        launch=launch,
        arrival=arrival(ray, launch, scene.terrain),
        codec_psnr=float(scene.codec_psnr.min()),
        dim=len(launch.x),
        sigma=scene.terrain.sigma,
        ledger=ledger,
        device=str(model.device),
        dtype=str(model.dtype).removeprefix("torch."),
    )


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
        return read_last_frames(model, start, direction.frames, settings)
    if isinstance(start, Clip):
        raise ValueError(
            f"the start is a clip ({start.name}), and the direction asks for an image; give an "
            "image, or ClipVelocity"
        )
    return read_images(model, (start, *direction.images), settings)


def _straight(
    scene: Scene, launch: Launch, ray: March, ledger: Ledger
) -> tuple[March, Tensor, Ledger]:
    """The continuation of strength 0 as far as the ray went, decoded at most at nine frames."""
    started = time.perf_counter()
    plain = replace(
        scene.settings,
        frames=min(COMPARED, len(ray.frames)),
        strength=0.0,
        alpha=None,
        stop=False,
        ray_steps=4,
        remedies=Remedies(),
    )
    flat = replace(scene.terrain, alpha=0.0)
    found = march(flat, launch, plain, reach=float(ray.t[-1]))
    ledger = ledger.add("compare", Cost(found.rows, found.calls, time.perf_counter() - started))
    frames, cost = _decoded(scene, found.latents[found.frames], "compare")
    return found, frames, ledger.add("compare", cost)


def _decoded(scene: Scene, latents: Tensor, stage: str) -> tuple[Tensor, Cost]:
    """Latents at the level as images."""
    started = time.perf_counter()
    settings = scene.settings
    clean, cost = sample(
        scene.denoiser,
        latents,
        scene.condition,
        steps=settings.steps,
        level=settings.level,
        on_step=lambda done, of: scene.on_event(Event(stage, done, of)),
    )
    images = scene.codec.decode(clean).float().clamp(0, 1)
    return images, replace(cost, seconds=time.perf_counter() - started)
