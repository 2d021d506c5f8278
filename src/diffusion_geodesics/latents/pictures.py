"""The images of a job: read, checked, and brought to one size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.framing import choose_size, fit
from diffusion_geodesics.images import ImageSource, read_image
from diffusion_geodesics.latents.choices import fit_of
from diffusion_geodesics.latents.settings import Framing
from diffusion_geodesics.models import DiffusionModel, as_model
from diffusion_geodesics.runtime.diagnostic import Diagnostic
from diffusion_geodesics.runtime.paths import printable


@final
@dataclass(frozen=True)
class Pictures:
    """Images at one working size.

    Args:
        images: values in [0, 1].
        names: where each came from.
        notes: how each was read and brought to the size, in words.
        times: when each is shown, in seconds, where they are frames of a clip.
        tick: seconds to which these times are rounded.
        warnings: what must be known about how they were read.
    """

    images: Float[Tensor, "images 3 height width"]
    names: tuple[str, ...]
    notes: tuple[str, ...]
    times: tuple[float, ...] = ()
    tick: float = 0.0
    warnings: tuple[Diagnostic, ...] = ()

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
) -> Pictures:
    """Load images and bring them to one size.

    Args:
        model: whose sizes are allowed.
        sources: the images.
        framing: size, and how images of another shape are brought to it.
        least: number of images that are needed.
        distinct: refuse two images that are the same.

    Raises:
        ImageError: an image that cannot be used.
        ValueError: too few images, the same one twice, or a size that the model does not take.
    """
    if len(sources) < least:
        needed = "one image" if least == 1 else f"{least} images"
        raise ValueError(f"got {len(sources)} images; expected at least {needed}")
    native, multiple = as_model(model).native_size, model.size_multiple
    read = [read_image(source) for source in sources]
    names = tuple(_name(source, i) for i, source in enumerate(sources))
    loaded = [picture.on() for picture in read]
    if distinct:
        _demand_distinct(loaded, names, "")
    height, width = choose_size(
        [(int(x.shape[1]), int(x.shape[2])) for x in loaded],
        native=native,
        multiple=multiple,
        requested=framing.size,
    )
    framed = [fit(x, height, width, fit_of(framing)) for x in loaded]
    images = torch.stack([f.image for f in framed])
    if distinct:
        _demand_distinct(list(images), names, f" at {width}x{height}")
    notes = ("; ".join((*p.notes, f.note)) for p, f in zip(read, framed, strict=True))
    warnings = (
        Diagnostic("image", f"{printable(name)}: {note}")
        for name, picture in zip(names, read, strict=True)
        for note in picture.notes
    )
    return Pictures(images, names, tuple(notes), warnings=tuple(warnings))


def _name(source: ImageSource, number: int) -> str:
    path = isinstance(source, str | os.PathLike)
    return os.fspath(source) if path else f"image {number + 1}"


def _demand_distinct(images: Sequence[Tensor], names: Sequence[str], where: str) -> None:
    for i, image in enumerate(images):
        for j in range(i):
            if images[j].shape == image.shape and bool(torch.equal(images[j], image)):
                raise ValueError(
                    f"images {j + 1} and {i + 1} ({names[j]}, {names[i]}) are identical{where}; "
                    "give each only once"
                )
