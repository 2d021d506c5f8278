"""Small pictures for the tests of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

EDGE = 24
WIDTH = 32


def gradient(height: int = EDGE, width: int = WIDTH, channels: int = 3) -> np.ndarray:
    """8-bit values that differ in every row and column."""
    rows, columns = np.mgrid[0:height, 0:width]
    layers = [rows * 5, columns * 3, rows + columns, 255 - 4 * columns]
    return np.stack(layers[:channels], axis=-1).astype(np.uint8)


def saved(folder: Path, image: Image.Image, name: str = "a.png", **options: Any) -> Path:
    """The image in a file."""
    image.save(folder / name, **options)
    return folder / name
