"""Animations that Pillow reads: GIF, WebP, APNG."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import final

from PIL import Image, UnidentifiedImageError
from torch import Tensor

from diffusion_geodesics.clips.clip import Clip, ClipError, Moment, Picture, check_size
from diffusion_geodesics.images import load_image

_LEAST_DELAY = 20
"""Milliseconds below which players show a frame for 100; 0 means no delay was given."""


@final
class AnimatedImage(Clip):
    """An animated GIF, WebP or PNG; transparency is laid on white.

    Raises `ClipError`, in one line, for a file that is missing, damaged, or a still.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path).expanduser()
        self.name = self.path.name
        if not self.path.exists():
            raise ClipError(f"{self.path} does not exist; check the path")
        if self.path.stat().st_size == 0:
            raise ClipError(f"{self.path} is empty; fetch it again")
        try:
            with Image.open(self.path) as image:
                count = int(getattr(image, "n_frames", 1))
                self.size = check_size(str(self.path), (image.height, image.width))
                delays: list[float] = []
                for i in range(count):
                    image.seek(i)
                    image.load()
                    delays.append(_delay(image))
        except UnidentifiedImageError as error:
            raise ClipError(
                f"{self.path} is no animation; give a gif, webp or png, or a video"
            ) from error
        except ClipError:
            raise
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            raise ClipError(f"{self.path} is damaged or cut short; save it again") from error
        if count < 2:
            raise ClipError(f"{self.path} is a still image; a clip needs several frames")
        self.count = count
        self.times = [sum(delays[:i]) for i in range(count)]
        self.rate = count / sum(delays)

    def pictures(self, start: Moment | None) -> Iterator[Picture]:
        with Image.open(self.path) as image:
            for i, time in enumerate(self.times):
                image.seek(i)
                yield Picture(i, time, lambda: _pixels(image))


def _pixels(image: Image.Image) -> Tensor:
    return load_image(Image.frombytes("RGBA", image.size, image.convert("RGBA").tobytes()))


def _delay(image: Image.Image) -> float:
    """Seconds that the current frame is shown."""
    delay = float(image.info.get("duration", 0) or 0)
    return (delay if delay >= _LEAST_DELAY else 100.0) / 1000
