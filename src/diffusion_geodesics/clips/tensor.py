"""Frames in memory as a clip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Float64
from torch import Tensor

from diffusion_geodesics.clips._error import ClipError
from diffusion_geodesics.clips.clip import Clip, LazyFrame, check_size
from diffusion_geodesics.clips.reading import Moment
from diffusion_geodesics.clips.times import even_times
from diffusion_geodesics.images import read_image


@final
@dataclass(frozen=True, eq=False)
class TensorClip(Clip):
    """Frames in memory."""

    # (frames, 3, height, width), values in [0, 1]; at least two frames
    images: Float[Tensor, "frames 3 height width"]
    # what it is called in reports
    name: str = "clip"  # type: ignore[misc]
    # frames a second
    rate: float = 25.0  # type: ignore[misc]

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[1] != 3:
            raise ClipError(
                f"{self.name} has shape {tuple(self.images.shape)}; expected (frames, 3, height, "
                "width)"
            )
        if len(self.images) < 2:
            raise ClipError(f"{self.name} has {len(self.images)} frame; a clip needs several")
        if not self.rate > 0:
            raise ValueError(f"rate is {self.rate}; expected a positive number")
        check_size(self.name, self.size)

    @property
    def size(self) -> tuple[int, int]:  # type: ignore[override]
        """(height, width)."""
        return int(self.images.shape[2]), int(self.images.shape[3])

    @property
    def times(self) -> Float64[np.ndarray, " frames"]:  # type: ignore[override]
        """When each frame is shown, in seconds after the first."""
        return even_times(len(self.images), self.rate)

    def pictures(self, start: Moment | None) -> Iterator[LazyFrame]:
        for i, (time, image) in enumerate(zip(self.times, self.images, strict=True)):
            yield LazyFrame(i, float(time), lambda image=image: self._checked(image))

    def _checked(self, image: Tensor) -> Tensor:
        try:
            return read_image(image).pixels.to(image.device)
        except ValueError as error:
            raise ClipError(f"{self.name}: {error}") from error
