"""Sizes of pictures that are read, and the memory that reading one may take."""

from PIL import Image

from diffusion_geodesics.images.picture import ImageError

SMALLEST_EDGE = 16  # pixels along an edge below which a picture is refused
LARGEST_EDGE = 4096
"""Pixels along an edge above which a picture is scaled down: four times what models work at."""
LARGEST_AREA = 100_000_000
"""Pixels above which a picture is not decoded: those of the largest cameras."""
_MEMORY = 700_000_000
"""Bytes that decoding may take, so that a process which has loaded torch stays below 1 GB."""

_DECODING = {"AVIF": 10, "JPEG2000": 20, "TIFF": 6, "WEBP": 16}
"""Bytes a pixel that Pillow's decoders take at most, measured on pictures of 35 to 70 megapixels;
4 for the other formats."""
_PROGRESSIVE_JPEG = 10
_KEPT = ("AVIF", "WEBP")  # formats whose decoders keep their memory until the file is closed
_SCALING = 240_000_000  # bytes that scaling down to 4096 x 4096 and the picture itself take
_HELD, _HELD_PALETTE, _HELD_WITH_ALPHA, _HELD_DEEP = 4, 5, 9, 12
"""Bytes a pixel of a decoded picture while it is scaled down."""


def check_edges(name: str, width: int, height: int) -> None:
    """Refuse pictures too small to show anything, and those too large to hold."""
    if min(width, height) < SMALLEST_EDGE:
        expected = f"expected at least {SMALLEST_EDGE} along each edge"
        raise ImageError(f"{name} is {width}x{height} pixels; {expected}")
    if width * height > LARGEST_AREA:
        raise too_large(name)


def check_memory(name: str, image: Image.Image) -> None:
    """Refuse pictures whose decoding would take too much memory, from what the header says."""
    width, height = image.size
    decoding, held = _decoding(image), _held(image)
    if image.format in _KEPT:
        held += decoding - _HELD
    needed = width * height * decoding
    if max(width, height) > LARGEST_EDGE:
        needed = max(needed, width * height * held + _SCALING)
    if needed > _MEMORY:
        raise ImageError(
            f"{name} is {width}x{height} pixels, which would take {needed / 1e9:.1f} GB to read "
            f"as {image.format or image.mode}; scale it down first"
        )


def _decoding(image: Image.Image) -> int:
    if image.format in ("JPEG", "MPO") and image.info.get("progressive"):
        return _PROGRESSIVE_JPEG
    return _DECODING.get(image.format or "", _HELD)


def _held(image: Image.Image) -> int:
    if is_deep(image):
        return _HELD_DEEP
    if image.mode.lower() in ("rgba", "la", "pa") or "transparency" in image.info:
        return _HELD_WITH_ALPHA
    return _HELD_PALETTE if image.mode == "P" else _HELD


def is_deep(image: Image.Image) -> bool:
    """Whether a Pillow image is grey with more than 8 bits."""
    return image.mode in ("F", "I") or image.mode.startswith("I;16")


def shrunk_size(width: int, height: int) -> tuple[int, int]:
    """The size (width, height) at which a picture is worked with: at most 4096 along an edge."""
    longest = max(width, height)
    if longest <= LARGEST_EDGE:
        return width, height
    scale = LARGEST_EDGE / longest
    return max(1, round(width * scale)), max(1, round(height * scale))


def too_large(name: str) -> ImageError:
    """The error of a picture with too many pixels."""
    return ImageError(
        f"{name} has more than {LARGEST_AREA // 1_000_000} megapixels; scale it down first"
    )
