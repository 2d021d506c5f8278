"""Images in and out: files of every kind as tensors with values in [0, 1], and back.

An image here is a float32 tensor of shape (3, height, width), red, green and blue in sRGB.
"""

import io
import math
import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

__all__ = ["ImageError", "load_image", "psnr", "save_png", "to_uint8"]

SMALLEST_EDGE = 16
LARGEST_AREA = 100_000_000
LARGEST_EDGE = 4096


class ImageError(ValueError):
    """An image that cannot be used; the message says why and what to do."""


def load_image(source: str | Path | Image.Image) -> Float[Tensor, "3 height width"]:
    """A still image as a tensor.

    The camera's orientation (EXIF) is applied, colours are brought from the file's profile to
    sRGB, transparency is laid on white, and gray, palette, CMYK and 16-bit images are converted
    (a 16-bit value v becomes v/65535). More than 4096 pixels along an edge are scaled down.

    - `source`: a path, or an image opened with Pillow.

    Raises `ImageError`, in one line, for a file that is missing, a folder, no image, damaged, an
    animation, under 16 pixels along an edge, or over 100 megapixels (not decoded at all).
    """
    if isinstance(source, Image.Image):
        return _decode(source, getattr(source, "filename", "") or "the image")
    path = Path(source).expanduser()
    if not path.exists():
        raise ImageError(f"{path} does not exist; check the path")
    if path.is_dir():
        raise ImageError(f"{path} is a folder; name one image file in it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return _decode(image, str(path))
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(_too_large(str(path))) from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{path} is not an image that can be read; save it as PNG, JPEG, WebP or TIFF"
        ) from error
    except PermissionError as error:
        raise ImageError(f"{path} may not be read; check its permissions") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        detail = " ".join(str(error).split())
        raise ImageError(f"{path} is damaged or cut short ({detail}); save it again") from error


def _too_large(name: str) -> str:
    megapixels = LARGEST_AREA // 1_000_000
    return f"{name} has more than {megapixels} megapixels; scale it down first"


def _decode(image: Image.Image, name: str) -> Tensor:
    width, height = image.size
    if width * height > LARGEST_AREA:
        raise ImageError(_too_large(name))
    if min(width, height) < SMALLEST_EDGE:
        raise ImageError(
            f"{name} is {width}x{height} pixels; expected at least {SMALLEST_EDGE} along each edge"
        )
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # MPO: a camera's still with a second view
        kind = (
            "a document of {} pages; save one page"
            if image.format == "TIFF"
            else ("an animation of {} frames; save one frame")
        )
        raise ImageError(f"{name} is {kind.format(frames)} as PNG and give that")
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("F", "I") or upright.mode.startswith("I;16"):
        return _deep_gray(upright, name)
    transparent = upright.has_transparency_data
    colour = _in_srgb(upright)
    if transparent:
        colour.putalpha(upright.convert("RGBA").getchannel("A"))
    _shrink(colour)
    values = np.asarray(colour, dtype=np.float32) / 255.0
    if transparent:
        values = values[..., :3] * values[..., 3:] + (1.0 - values[..., 3:])
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))


def _in_srgb(image: Image.Image) -> Image.Image:
    """The colours in sRGB, without transparency: by the embedded profile where it is usable."""
    if image.has_transparency_data:
        base = image.convert("RGBA").convert("RGB")
    elif image.mode in ("CMYK", "L", "LAB"):
        base = image
    else:
        base = image.convert("RGB")
    embedded = image.info.get("icc_profile") or b""
    if embedded or image.mode == "LAB":
        try:
            profile = (
                ImageCms.createProfile("LAB")
                if image.mode == "LAB"
                else ImageCms.ImageCmsProfile(io.BytesIO(embedded))
            )
            converted = ImageCms.profileToProfile(
                base, profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError, ValueError):
            converted = None  # a damaged profile, or one for other colours: do without
        if converted is not None:
            return converted
    return base.convert("RGB") if base.mode != "RGB" else base.copy()


def _deep_gray(image: Image.Image, name: str) -> Tensor:
    """Gray images of more than 8 bits, as three equal channels."""
    values = np.asarray(image).astype(np.float32)
    if image.mode == "F":
        if not np.isfinite(values).all() or values.min() < 0.0 or values.max() > 1.0:
            raise ImageError(f"{name} has floating-point values outside [0, 1]; save it as PNG")
    elif values.min() < 0 or values.max() > 65535:
        raise ImageError(f"{name} has integer values of more than 16 bits; save it as PNG")
    else:
        values = values / 65535.0
    small = Image.fromarray(values)
    _shrink(small)
    gray = np.clip(np.asarray(small), 0.0, 1.0)
    return torch.from_numpy(gray.copy()).expand(3, -1, -1).contiguous()


def _shrink(image: Image.Image) -> None:
    if max(image.size) > LARGEST_EDGE:
        image.thumbnail((LARGEST_EDGE, LARGEST_EDGE), Image.Resampling.LANCZOS)


def to_uint8(image: Float[Tensor, "3 height width"]) -> UInt8[np.ndarray, "height width 3"]:
    """The image in 8 bits a channel, rounded, channels last."""
    values = image.detach().to("cpu", torch.float32).clamp(0.0, 1.0) * 255.0
    return values.round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def save_png(path: str | Path, image: Float[Tensor, "3 height width"]) -> None:
    """Write an image as an 8-bit PNG."""
    Image.fromarray(to_uint8(image)).save(path, format="PNG")


def psnr(
    a: Float[Tensor, "*batch 3 height width"], b: Float[Tensor, "*batch 3 height width"]
) -> Float[Tensor, "*batch"]:
    r"""Peak signal-to-noise ratio, $-10 \log_{10} \overline{(a-b)^2}$ dB, image by image.

    Infinite where the two are identical.
    """
    if a.shape != b.shape:
        raise ValueError(f"got images of shapes {tuple(a.shape)} and {tuple(b.shape)}")
    error = (a.double() - b.to(a.device).double()).square().flatten(-3).mean(-1)
    return (-10.0 / math.log(10.0) * error.log()).to(a.dtype)
