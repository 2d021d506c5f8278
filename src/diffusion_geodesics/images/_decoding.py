"""Pillow images as pictures: upright by the camera's orientation, and in sRGB."""

import io
import warnings

import numpy as np
import torch
from PIL import Image, ImageCms
from PIL.ExifTags import Base
from PIL.Image import Transpose
from torch import Tensor

from diffusion_geodesics.images import limits
from diffusion_geodesics.images.guard import icon_limit, pillow_errors
from diffusion_geodesics.images.picture import ImageError, Picture
from diffusion_geodesics.runtime.paths import printable

_STILLS = ("MPO", "PSD")  # formats whose further frames are other views or layers of one still
_RESIZED_AS_RGB = ("1", "P", "PA", "La", "LA")
_CONVERTED_BY_PROFILE = ("CMYK", "L", "LAB")
"""Pixel formats that a profile is applied to as they are; others become RGB before."""
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


def read_pillow(image: Image.Image, name: str | None = None, *, ours: bool = False) -> Picture:
    """The picture of a Pillow image; see :func:`~diffusion_geodesics.images.read_image`."""
    own = printable(str(getattr(image, "filename", "") or "")) or type(image).__name__
    with pillow_errors(name or own):
        return _decode(image, name or own, ours)


def _decode(image: Image.Image, name: str, ours: bool) -> Picture:
    limits.check_edges(name, *image.size)
    limits.check_memory(name, image)
    _refuse_many(image, name)
    with icon_limit(image.format):
        image.load()
    limits.check_edges(name, *image.size)  # icons tell their size late
    turn, damage = read_turn(image)
    if image.mode == "La":  # which Pillow converts to nothing else
        image = image.convert("LA")
    small, scaled = _shrunk(_as_floats(image, name) if limits.is_deep(image) else image)
    if ours and small is not image:
        image.close()
    upright = small if turn is None else small.transpose(turn)
    notes = (*damage, *scaled)
    if upright.mode == "F":
        grey = torch.from_numpy(np.clip(np.asarray(upright), 0.0, 1.0))
        return Picture(grey.expand(3, -1, -1).contiguous(), None, name, notes)
    colour, unprofiled = in_srgb(upright)
    alpha = _alpha(upright) if upright.has_transparency_data else None
    pixels = torch.empty(3, upright.height, upright.width)
    for layer, channel in zip(pixels, "RGB", strict=True):
        layer.copy_(_fractions(colour.getchannel(channel)))
    return Picture(pixels, alpha, name, (*notes, *unprofiled))


def _refuse_many(image: Image.Image, name: str) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format not in _STILLS:
        kind = f"an animation of {frames} frames; save one frame"
        if image.format == "TIFF":
            kind = f"a document of {frames} pages; save one page"
        raise ImageError(f"{name} is {kind} as PNG and give that")


def _shrunk(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    if max(image.size) <= limits.LARGEST_EDGE:
        return image, ()
    if image.mode in _RESIZED_AS_RGB:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    size = limits.shrunk_size(*image.size)
    small = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    small.info = image.info
    sizes = f"from {image.width}x{image.height} to {small.width}x{small.height}"
    return small, (f"scaled down {sizes}",)


def _fractions(channel: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(channel, dtype=np.float32) / 255.0)


def _alpha(image: Image.Image) -> Tensor | None:
    channel = image.convert("RGBA").getchannel("A")
    low, _ = channel.getextrema()
    return None if low == 255 else _fractions(channel)


def _as_floats(image: Image.Image, name: str) -> Image.Image:
    """Grey pictures of more than 8 bits, as fractions."""
    values = np.asarray(image).astype(np.float32)
    if image.mode == "F":
        if not np.isfinite(values).all() or values.min() < 0.0 or values.max() > 1.0:
            raise ImageError(f"{name} has floating-point values outside [0, 1]; save it as PNG")
    elif values.min() < 0 or values.max() > 65535:
        raise ImageError(f"{name} has integer values of more than 16 bits; save it as PNG")
    else:
        values /= 65535.0
    return Image.fromarray(values)


def in_srgb(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """The colours in sRGB without transparency, by the embedded profile where it is usable."""
    if image.has_transparency_data:
        base = image.convert("RGBA").convert("RGB")
    elif image.mode in _CONVERTED_BY_PROFILE:
        base = image
    else:
        base = image.convert("RGB")
    embedded = image.info.get("icc_profile") or b""
    notes: tuple[str, ...] = ()
    if embedded or image.mode == "LAB":
        try:
            return _by_profile(base, embedded), ()
        except Exception:  # damaged, or made for other colours: lcms and Pillow raise many kinds
            notes = ("its colour profile cannot be used; taken as sRGB",)
    return (base if base.mode == "RGB" else base.convert("RGB")), notes


def _by_profile(image: Image.Image, embedded: bytes) -> Image.Image:
    lab = image.mode == "LAB"
    own = ImageCms.createProfile("LAB") if lab else ImageCms.ImageCmsProfile(io.BytesIO(embedded))
    srgb = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, own, srgb, outputMode="RGB")
    if converted is None:
        raise ValueError("no image came of the conversion")
    return converted


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
