"""Several images at one size, as latents at one noise level."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.apps.events import Event, OnEvent
from diffusion_geodesics.apps.job import ImageSource
from diffusion_geodesics.diffusion import Codec, Condition, Cost, Denoiser, Ledger, invert
from diffusion_geodesics.framing import CentreCrop, Fit, choose_size, fit
from diffusion_geodesics.images import load_image
from diffusion_geodesics.models import DiffusionModel


@dataclass(frozen=True)
class Place:
    """Where images are looked at: under which prompt, at which noise level, at which size.

    Args:
        prompt: what all images show; empty for none.
        level: noise level in (0, 1], as the fraction of the ``steps`` DDIM steps that the latents
            are inverted. 0.02 with 50 steps is nearly clean.
        steps: DDIM steps from pure noise to a clean latent.
        refinements: most extra fixed-point iterations at each inversion step.
        size: edge of the square whose area is used, or (height, width); the model's by default.
        fit: how images of another aspect ratio are brought to that size.

    Raises:
        ValueError: a value out of its range.
    """

    prompt: str = ""
    level: float = 0.4
    steps: int = 50
    refinements: int = 4
    size: int | tuple[int, int] | None = None
    fit: Fit = field(default_factory=CentreCrop)

    def __post_init__(self) -> None:
        if not 0 < self.level <= 1:
            raise ValueError(f"level is {self.level}; expected a fraction in (0, 1]")
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}; expected at least 1")
        if self.refinements < 0:
            raise ValueError(f"refinements is {self.refinements}; expected 0 or more")

    def as_dict(self) -> dict[str, object]:
        """Every setting, ready for JSON."""
        return {**asdict(self), "fit": type(self.fit).__name__}


@dataclass(frozen=True)
class Gallery:
    """Images and their latents.

    Args:
        names: where each came from.
        notes: what was done to bring each to the size.
        images: at that size, values in [0, 1].
        latents: at the noise level, shape (images, dim).
        timestep: the noise level as the network is told it.
        condition: of the prompt.
        codec, denoiser: the model's parts for that size.
        ledger: what encoding and inversion cost.
    """

    names: tuple[str, ...]
    notes: tuple[str, ...]
    images: Float[Tensor, "images 3 height width"]
    latents: Float[Tensor, "images dim"]
    timestep: float
    condition: Condition
    codec: Codec
    denoiser: Denoiser
    ledger: Ledger


def load_images(sources: Sequence[ImageSource], least: int) -> list[Tensor]:
    """All images, none of them twice.

    Raises:
        ImageError: an image that cannot be used.
        ValueError: fewer than ``least``, or two that are the same.
    """
    if len(sources) < least:
        needed = "two images" if least == 2 else "one image"
        raise ValueError(f"got {len(sources)} images; expected at least {needed}")
    loaded = [x if isinstance(x, Tensor) else load_image(x) for x in sources]
    for i, image in enumerate(loaded):
        if image.ndim != 3 or image.shape[0] != 3:
            raise ValueError(f"got an image of shape {tuple(image.shape)}; expected (3, h, w)")
        for j in range(i):
            if loaded[j].shape == image.shape and bool(torch.equal(loaded[j], image)):
                raise ValueError(
                    f"images {j + 1} and {i + 1} ({_name(sources[j], j)}, "
                    f"{_name(sources[i], i)}) are identical; give each only once"
                )
    return [image.detach().to("cpu", torch.float32) for image in loaded]


def hang(
    model: DiffusionModel,
    sources: Sequence[ImageSource],
    place: Place,
    *,
    least: int,
    on_event: OnEvent,
) -> Gallery:
    """Load, frame, encode and invert all images, the network's part in one batch.

    Raises:
        ImageError, ValueError: as :func:`load_images`, or a size that the model does not take.
    """
    loaded = load_images(sources, least)
    height, width = choose_size(
        [(int(x.shape[1]), int(x.shape[2])) for x in loaded],
        native=model.native_size,
        multiple=model.size_multiple,
        requested=place.size,
    )
    framed = [fit(x, height, width, place.fit) for x in loaded]
    images = torch.stack([f.image for f in framed])
    codec, denoiser = model.codec(height, width), model.denoiser(height, width)
    condition = model.encode_prompt(place.prompt)
    on_event(Event("encode", 0, 1))
    started = time.perf_counter()
    clean = codec.encode(images)
    ledger = Ledger().add("encode", Cost(seconds=time.perf_counter() - started))
    on_event(Event("encode", 1, 1))
    latents, cost = invert(
        denoiser,
        clean.to(torch.float32 if clean.device.type == "mps" else torch.float64),
        condition,
        steps=place.steps,
        level=place.level,
        refinements=place.refinements,
        on_step=lambda done, of: on_event(Event("invert", done, of)),
    )
    return Gallery(
        names=tuple(_name(x, i) for i, x in enumerate(sources)),
        notes=tuple(f.note for f in framed),
        images=images,
        latents=latents,
        timestep=denoiser.schedule.timestep(place.steps, place.level),
        condition=condition,
        codec=codec,
        denoiser=denoiser,
        ledger=ledger.add("invert", cost),
    )


def _name(source: ImageSource, number: int) -> str:
    return str(source) if isinstance(source, str | Path) else f"image {number + 1}"
