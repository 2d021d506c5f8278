"""Images, or the last frames of a clip, as latents at the noise level."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.apps.analyze.domain import geometry_dtype
from diffusion_geodesics.apps.events import Event, OnEvent
from diffusion_geodesics.apps.extrapolate.settings import ExtrapolationSettings
from diffusion_geodesics.apps.extrapolate.terrain import Terrain
from diffusion_geodesics.apps.job import ImageSource
from diffusion_geodesics.bvp import Step
from diffusion_geodesics.clips import Clip, ClipError, CutRule, Frame, Reading, open_clip, shots
from diffusion_geodesics.diffusion import Codec, Condition, Cost, Denoiser, LevelScore, invert
from diffusion_geodesics.framing import choose_size, fit
from diffusion_geodesics.images import load_image, psnr
from diffusion_geodesics.models import DiffusionModel


@dataclass(frozen=True)
class Pictures:
    """Images at the working size.

    Args:
        images: values in [0, 1]; the start first, or the frames of a clip in order.
        sources: where they came from; notes: what was done to them.
    """

    images: Float[Tensor, "images 3 height width"]
    sources: tuple[str, ...]
    notes: tuple[str, ...]


def read_images(
    model: DiffusionModel, sources: tuple[ImageSource, ...], settings: ExtrapolationSettings
) -> Pictures:
    """Load images and bring them to one size.

    Raises:
        ImageError: an image that cannot be used.
        ValueError: identical images, or a size that the model does not take.
    """
    loaded = [_load(source) for source in sources]
    size = _size(model, [(int(x.shape[1]), int(x.shape[2])) for x in loaded], settings)
    framed = [fit(x, *size, settings.fit) for x in loaded]
    images = torch.stack([f.image for f in framed])
    if len(images) == 2 and bool(torch.equal(images[0], images[1])):
        raise ValueError("the two images are identical; there is no direction between them")
    return Pictures(images, tuple(map(_name, sources)), tuple(f.note for f in framed))


def read_last_frames(
    model: DiffusionModel, source: str | Path | Clip, count: int, settings: ExtrapolationSettings
) -> Pictures:
    """The last frames of a clip, after its last cut; only these are held.

    Raises:
        ClipError: a clip that cannot be used, or with fewer frames after its last cut.
    """
    clip = source if isinstance(source, Clip) else open_clip(source)
    size = _size(model, [clip.size], settings)
    stream = clip.frames(Reading(), lambda image: fit(image, *size, settings.fit).image.float())
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
    names = tuple(f"{clip.name}, frame {frame.index}" for frame in last)
    return Pictures(torch.stack([f.image for f in last]), names, clip.notes)


@dataclass(frozen=True)
class Scene:
    """What directions are worked out from.

    Args:
        pictures: the images.
        latents: of them at the level, shape (images, dim).
        codec, denoiser: the model's parts for the size.
        timestep: of the level.
        terrain: the metric.
        settings: all choices.
        encode: prompts to conditions.
        codec_psnr: of each image through the autoencoder alone, in dB.
        cost: of encoding and inverting.
        on_event: told of progress.
    """

    pictures: Pictures
    latents: Float[Tensor, "images dim"]
    codec: Codec
    denoiser: Denoiser
    timestep: float
    terrain: Terrain
    settings: ExtrapolationSettings
    encode: Callable[[str], Condition]
    codec_psnr: Float[Tensor, " images"]
    cost: Cost
    on_event: OnEvent

    @property
    def condition(self) -> Condition:
        """The condition of the prompt."""
        return self.encode(self.settings.prompt)

    def show_step(self, step: Step) -> None:
        """Tell of an iteration of the boundary value solver."""
        detail = f"residual {float(step.residual.min()):.1e}"
        self.on_event(Event("solve", step.iteration, 0, detail))


def set_scene(
    model: DiffusionModel,
    pictures: Pictures,
    settings: ExtrapolationSettings,
    on_event: OnEvent,
) -> Scene:
    """Encode the images and invert them to the level.

    Cost: about 22 network rows an image at the default settings.
    """
    height, width = pictures.images.shape[2:]
    codec, denoiser = model.codec(height, width), model.denoiser(height, width)
    on_event(Event("encode", 0, 1))
    started = time.perf_counter()
    clean = codec.encode(pictures.images)
    coded = psnr(codec.decode(clean), pictures.images.to(clean))
    on_event(Event("encode", 1, 1))
    encoding = Cost(seconds=time.perf_counter() - started)
    condition = model.encode_prompt(settings.prompt)
    latents, cost = invert(
        denoiser,
        clean.to(geometry_dtype(clean.device)),
        condition,
        steps=settings.steps,
        level=settings.level,
        refinements=settings.refinements,
        on_step=lambda done, of: on_event(Event("invert", done, of)),
    )
    timestep = denoiser.schedule.timestep(settings.steps, settings.level)
    sigma = denoiser.schedule.coefficients(timestep)[1]
    score = LevelScore(denoiser, timestep, condition)
    return Scene(
        pictures=pictures,
        latents=latents,
        codec=codec,
        denoiser=denoiser,
        timestep=timestep,
        terrain=Terrain(score, settings.alpha_for(latents.shape[1]), sigma),
        settings=settings,
        encode=model.encode_prompt,
        codec_psnr=coded,
        cost=encoding + cost,
        on_event=on_event,
    )


def _size(
    model: DiffusionModel, sizes: list[tuple[int, int]], settings: ExtrapolationSettings
) -> tuple[int, int]:
    return choose_size(
        sizes,
        native=model.native_size,
        multiple=model.size_multiple,
        requested=settings.size,
    )


def _load(source: ImageSource) -> Tensor:
    if not isinstance(source, Tensor):
        return load_image(source)
    if source.ndim != 3 or source.shape[0] != 3:
        raise ValueError(
            f"got an image tensor of shape {tuple(source.shape)}; expected (3, height, width)"
        )
    return source.detach().to("cpu", torch.float32)


def _name(source: ImageSource) -> str:
    return str(source) if isinstance(source, str | Path) else type(source).__name__
