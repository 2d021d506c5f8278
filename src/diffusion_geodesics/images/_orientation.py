"""Which way up a picture is: the camera's orientation in EXIF or XMP."""

from __future__ import annotations

import warnings

from PIL import Image
from PIL.ExifTags import Base
from PIL.Image import Transpose

_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""What puts a picture upright, by the value of EXIF's Orientation (EXIF 2.32, 4.6.4 A)."""
_DAMAGED = "its EXIF is damaged, so that its orientation is not known; not turned"
_NOT_TURNED = (None, 0, 1)


def read_turn(image: Image.Image) -> tuple[Transpose | None, tuple[str, ...]]:
    """What puts a picture upright, and a word where its EXIF is damaged."""
    try:
        with warnings.catch_warnings(record=True) as raised:
            warnings.simplefilter("always")
            tags = image.getexif()
            value = tags.get(Base.Orientation)
    except Exception:  # Pillow lets through whatever its parsers raise
        return None, (_DAMAGED,)
    if value in _NOT_TURNED:
        # Pillow stops at damage with a warning, or in silence with no tag read.
        damaged = raised or (image.info.get("exif") and not len(tags))
        return None, (_DAMAGED,) if damaged and value is None else ()
    if not isinstance(value, int) or value not in _TURNS:
        return None, ("its EXIF names no orientation that there is; not turned",)
    return _TURNS[value], ()
