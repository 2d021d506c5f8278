"""The images of a job: read, checked, and brought to one size."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor

from diffusion_geodesics.diffusion import Images
from diffusion_geodesics.framing import Fit, Pad, choose_size, fit
from diffusion_geodesics.images import ImageSource, Picture, read_image
from diffusion_geodesics.latents.choices import fit_of
from diffusion_geodesics.latents.settings import Framing
from diffusion_geodesics.models import DiffusionModel, as_model
from diffusion_geodesics.runtime.diagnostic import Diagnostic
from diffusion_geodesics.runtime.paths import printable

_HELD = 16
"""Images held at full size; further ones are read twice, so that memory stays bounded."""


@final
@dataclass(frozen=True)
class Pictures:
    """Images at one working size."""

    images: Images  # on the background where they are transparent
    names: tuple[str, ...]  # where each came from
    notes: tuple[str, ...]  # how each was read and brought to the size, in words
    times: tuple[float, ...] = ()  # when each is shown, in seconds, for the frames of a clip
    tick: float = 0.0  # seconds to which these times are rounded
    warnings: tuple[Diagnostic, ...] = ()  # on how they were read
    alpha: Float[Tensor, "images 1 height width"] | None = None  # opacity; None if all are opaque
    original: tuple[tuple[int, int], ...] = ()  # (height, width) of each as it was read

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

    ``least`` images are needed; ``distinct`` refuses two that are the same; transparent ones are
    laid on the background. `ImageError` for an image that cannot be used, `ValueError` for too few
    images, the same one twice, or a size that the model does not take.
    """
    if isinstance(sources, str | os.PathLike | Image):
        raise ValueError("got a single image where several can be given; put it into a list")
    if len(sources) < least:
        needed = "one image" if least == 1 else f"{least} images"
        raise ValueError(f"got {len(sources)} images; expected at least {needed}")
    native, multiple = as_model(model).native_size, model.size_multiple
    held = [read_image(source) for source in sources[:_HELD]]

    def at(number: int) -> Picture:
        return held[number] if number < _HELD else read_image(sources[number])

    names = tuple(_name(source, i) for i, source in enumerate(sources))
    seen = [_seen(at(i).on(background)) for i in range(len(sources))]
    if distinct:
        _demand_distinct(seen, names, "")
    sizes = [size for size, _ in seen]
    size = choose_size(sizes, native=native, multiple=multiple, requested=framing.size)
    how = fit_of(framing)
    images, alpha = torch.empty(len(sources), 3, *size), torch.ones(len(sources), 1, *size)
    notes, warnings, transparent = [], [], False
    for i, name in enumerate(names):
        picture = at(i)
        framed = fit(picture.on(background), *size, how)
        images[i] = framed.image
        if picture.alpha is not None:
            alpha[i], transparent = _alpha(picture.alpha, size, how), True
        notes.append("; ".join((*picture.notes, framed.note)))
        warnings += [Diagnostic("image", f"{printable(name)}: {note}") for note in picture.notes]
    if distinct:
        _demand_distinct([_seen(x) for x in images], names, f" at {size[1]}x{size[0]}")
    opacity = alpha if transparent else None
    return Pictures(images, names, tuple(notes), (), 0.0, tuple(warnings), opacity, tuple(sizes))


def _alpha(alpha: Tensor, size: tuple[int, int], how: Fit) -> Tensor:
    """Opacity at the working size; bars are opaque."""
    return fit(alpha[None], *size, Pad(1.0) if isinstance(how, Pad) else how).image


_Seen = tuple[tuple[int, int], bytes]
"""What is remembered of an image that is not held: (height, width) and a digest of its pixels."""


def _seen(image: Tensor) -> _Seen:
    pixels = image.contiguous().numpy()
    return (image.shape[1], image.shape[2]), hashlib.sha256(pixels.data).digest()


def _name(source: ImageSource, number: int) -> str:
    path = isinstance(source, str | os.PathLike)
    return os.fspath(source) if path else f"image {number + 1}"


def _demand_distinct(images: Sequence[_Seen], names: Sequence[str], where: str) -> None:
    known: dict[_Seen, int] = {}
    for i, image in enumerate(images):
        j = known.setdefault(image, i)
        if j != i:
            raise ValueError(
                f"images {j + 1} and {i + 1} ({names[j]}, {names[i]}) are identical{where}; "
                "give each only once"
            )
