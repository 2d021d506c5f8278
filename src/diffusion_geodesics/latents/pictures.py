"""The images of a job: read, checked, and brought to one size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.framing import Fit, Pad, choose_size, fit
from diffusion_geodesics.images import ImageSource, Picture, read_image
from diffusion_geodesics.latents.choices import fit_of
from diffusion_geodesics.latents.settings import Framing
from diffusion_geodesics.models import DiffusionModel, as_model

MOST_HELD = 2**26
"""Pixels of images as they were read that are held at once; beyond it they are read twice."""


@final
@dataclass(frozen=True)
class Pictures:
    """Images at one working size.

    Args:
        images: values in [0, 1], on the background where they are transparent.
        names: where each came from.
        notes: how each was read and brought to the size, in words.
        alpha: opacity of each; None where all are opaque.
        original: (height, width) of each as it was read.
    """

    images: Float[Tensor, "images 3 height width"]
    names: tuple[str, ...]
    notes: tuple[str, ...]
    alpha: Float[Tensor, "images 1 height width"] | None = None
    original: tuple[tuple[int, int], ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return int(self.images.shape[2]), int(self.images.shape[3])


def load_pictures(
    model: DiffusionModel,
    sources: Sequence[ImageSource],
    framing: Framing,
    *,
    least: int = 1,
    distinct: bool = True,
    background: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Pictures:
    """Load images and bring them to one size. All are read before anything else is done.

    Args:
        model: whose sizes are allowed.
        sources: the images.
        framing: size, and how images of another shape are brought to it.
        least: number of images that are needed.
        distinct: refuse two images that are the same.
        background: what transparent images are laid on.

    Raises:
        ImageError: an image that cannot be used.
        ValueError: too few images, the same one twice, or a size that the model does not take.
    """
    if len(sources) < least:
        needed = "one image" if least == 1 else f"{least} images"
        raise ValueError(f"got {len(sources)} images; expected at least {needed}")
    native, multiple = as_model(model).native_size, model.size_multiple
    names = tuple(_name(source, i) for i, source in enumerate(sources))
    held, sizes = _read(sources)
    size = choose_size(sizes, native=native, multiple=multiple, requested=framing.size)
    framed: list[tuple[Tensor, Tensor | None, str]] = []
    for source, picture in zip(sources, held, strict=True):
        picture = picture or read_image(source)
        found = fit(picture.on(background), *size, fit_of(framing))
        note = "; ".join((*picture.notes, found.note))
        framed.append((found.image, _alpha(picture, size, fit_of(framing)), note))
    images = torch.stack([image for image, _, _ in framed])
    if distinct:
        _demand_distinct(images, names)
    alphas = [alpha for _, alpha, _ in framed]
    opaque = torch.ones_like(images[0, :1])
    return Pictures(
        images=images,
        names=names,
        notes=tuple(note for _, _, note in framed),
        alpha=torch.stack([opaque if a is None else a for a in alphas])
        if any(a is not None for a in alphas)
        else None,
        original=tuple(sizes),
    )


def _read(sources: Sequence[ImageSource]) -> tuple[list[Picture | None], list[tuple[int, int]]]:
    """Every image, or None where those before fill the memory, and its (height, width)."""
    held: list[Picture | None] = []
    sizes: list[tuple[int, int]] = []
    room = MOST_HELD
    for source in sources:
        picture = read_image(source)
        height, width = picture.pixels.shape[1:]
        room -= height * width
        held.append(picture if room >= 0 else None)
        sizes.append((height, width))
    return held, sizes


def _alpha(picture: Picture, size: tuple[int, int], how: Fit) -> Tensor | None:
    """Opacity at the working size; bars are opaque."""
    if picture.alpha is None:
        return None
    return fit(picture.alpha[None], *size, Pad(1.0) if isinstance(how, Pad) else how).image


def _name(source: ImageSource, number: int) -> str:
    path = isinstance(source, str | os.PathLike)
    return os.fspath(source) if path else f"image {number + 1}"


def _demand_distinct(images: Tensor, names: Sequence[str]) -> None:
    height, width = images.shape[-2:]
    for i, image in enumerate(images):
        for j in range(i):
            if torch.equal(images[j], image):
                raise ValueError(
                    f"images {j + 1} and {i + 1} ({names[j]}, {names[i]}) are identical at "
                    f"{width}x{height}; give each only once"
                )
