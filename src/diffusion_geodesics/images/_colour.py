"""Colours of Pillow images in sRGB."""

from __future__ import annotations

import io

from PIL import Image, ImageCms

_CONVERTED_BY_PROFILE = ("CMYK", "L", "LAB")
"""Pixel formats that a profile is applied to as they are; others become RGB before."""


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
    profile = (
        ImageCms.createProfile("LAB")
        if image.mode == "LAB"
        else ImageCms.ImageCmsProfile(io.BytesIO(embedded))
    )
    srgb = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
    if converted is None:
        raise ValueError("no image came of the conversion")
    return converted
