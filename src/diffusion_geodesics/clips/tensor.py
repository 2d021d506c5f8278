"""Frames in memory as a clip."""

from collections.abc import Iterator
from typing import final

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.clips.clip import Clip, ClipError, check_size
from diffusion_geodesics.clips.reading import LazyFrame, Moment
from diffusion_geodesics.clips.times import even_times
from diffusion_geodesics.images import read_image


@final
class TensorClip(Clip):
    """Two or more frames in memory, with values in [0, 1]."""

    def __init__(
        self,
        images: Float[Tensor, "frames 3 height width"],
        name: str = "clip",
        rate: float = 25.0,
    ):
        shape = tuple(images.shape)
        if len(shape) != 4 or shape[1] != 3:
            raise ClipError(f"{name} has shape {shape}; expected (frames, 3, height, width)")
        if len(images) < 2:
            raise ClipError(f"{name} has {len(images)} frame; a clip needs several")
        if not rate > 0:
            raise ValueError(f"rate is {rate}; expected a positive number")
        self.images, self.name, self.rate = images, name, rate
        self.size = check_size(name, (shape[2], shape[3]))
        self.times = even_times(len(images), rate)

    def pictures(self, start: Moment | None) -> Iterator[LazyFrame]:
        for i, (time, image) in enumerate(zip(self.times, self.images, strict=True)):
            yield LazyFrame(i, float(time), lambda image=image: self._checked(image))

    def _checked(self, image: Tensor) -> Tensor:
        try:
            return read_image(image).pixels.to(image.device)
        except ValueError as error:
            raise ClipError(f"{self.name}: {error}") from error
