"""Animations that Pillow reads: GIF, WebP, APNG, AVIF."""

import os
from collections.abc import Iterator
from typing import final

import numpy as np
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from diffusion_geodesics.clips.clip import Clip, ClipError, LazyFrame, check_size
from diffusion_geodesics.clips.reading import Moment
from diffusion_geodesics.clips.times import mean_rate, uneven_intervals
from diffusion_geodesics.images import Picture, files, read_image
from diffusion_geodesics.images.guard import pillow_errors
from diffusion_geodesics.images.limits import check_edges, check_memory, shrunk_size
from diffusion_geodesics.runtime.paths import expand, printable

_LEAST_DELAY = 20
"""Milliseconds below which players show a frame for 100; 0 means no delay was given."""
_TICK = 0.01  # seconds to which delays are rounded in the coarsest of these formats, GIF


@final
class AnimatedImage(Clip):
    """An animated GIF, WebP, PNG or AVIF; transparency is laid on white."""

    def __init__(self, path: str | os.PathLike[str]):
        self.path = expand(path)
        self._shown = printable(self.path)
        self.name = printable(self.path.name)
        files.check_file(self.path, ClipError)
        if self.path.stat().st_size == 0:
            raise ClipError(f"{self._shown} is empty; fetch it again")
        with pillow_errors(self._shown, ClipError):
            try:
                files.refuse_high_dynamic_range(self.path)
                with files.open_picture(self.path) as image:
                    delays = self._inspect(image)
            except UnidentifiedImageError as error:
                message = f"{self._shown} is no animation; give a gif, webp or png, or a video"
                raise ClipError(message) from error
        if len(delays) < 2:
            raise ClipError(f"{self._shown} is a still image; a clip needs several frames")
        self.times = np.cumsum([0.0, *delays[:-1]])
        self.tick = _TICK
        self.rate = mean_rate(self.times, 0.0)
        self.notes = (*self.notes, *uneven_intervals(self.times, _TICK))

    def _inspect(self, image: Image.Image) -> list[float]:
        """Seconds that each frame is shown; all are decoded."""
        self._check(image)
        width, height = shrunk_size(*image.size)
        self.size = check_size(self._shown, (height, width))
        delays: list[float] = []
        transparent = False
        for i in range(int(getattr(image, "n_frames", 1))):
            image.seek(i)
            self._check(image)
            image.load()
            delays.append(_delay(image))
            transparent = transparent or image.has_transparency_data
        if transparent and _picture(image).alpha is not None:
            self.notes = ("it is transparent in places, which were laid on white",)
        return delays

    def _check(self, image: Image.Image) -> None:
        """Refuse a frame that is too small or large; those of a GIF may exceed its first."""
        check_edges(self._shown, *image.size)
        check_memory(self._shown, image)

    def pictures(self, start: Moment | None) -> Iterator[LazyFrame]:
        with pillow_errors(self._shown, ClipError):
            image = files.open_picture(self.path)
        with image:
            for i, time in enumerate(self.times.tolist()):
                with pillow_errors(self._shown, ClipError):
                    image.seek(i)
                yield LazyFrame(i, time, lambda: self._pixels(image))

    def _pixels(self, image: Image.Image) -> Tensor:
        with pillow_errors(self._shown, ClipError):
            return _picture(image).on(1.0)


def _picture(image: Image.Image) -> Picture:
    """The current frame, which :func:`read_image` would refuse as one of several."""
    return read_image(Image.frombytes("RGBA", image.size, image.convert("RGBA").tobytes()))


def _delay(image: Image.Image) -> float:
    """Seconds that the current frame is shown."""
    delay = float(image.info.get("duration", 0) or 0)
    return (delay if delay >= _LEAST_DELAY else 100.0) / 1000
