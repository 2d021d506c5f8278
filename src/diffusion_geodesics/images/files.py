"""Pictures in files."""

import os
import re
import stat
from dataclasses import replace
from functools import cache
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from diffusion_geodesics.images._decoding import read_pillow
from diffusion_geodesics.images.guard import ICONS, detail, icon_limit, pillow_errors
from diffusion_geodesics.images.picture import ImageError, Picture
from diffusion_geodesics.runtime.paths import expand, printable

_NOT_DECODED = frozenset("BUFR EPS GRIB HDF5 MPEG PDF WMF".split())
"""Pillow's formats that it hands to other programs, or cannot decode at all."""
_HEADER = 1 << 16  # bytes of a file that are searched for its colours
_HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}
"""Transfer characteristics of ITU-T H.273 whose values are not those of a display."""
_IN_AVIF = re.compile(rb"colrnclx..(..)", re.DOTALL)
_IN_PNG = re.compile(rb"cICP.(.)", re.DOTALL)


def read_file(source: str | os.PathLike[str]) -> Picture:
    """The picture in a file; see :func:`~diffusion_geodesics.images.read_image`."""
    path = expand(source)
    name = printable(path)
    check_file(path, ImageError)
    with pillow_errors(name):
        refuse_high_dynamic_range(path)
        with open_picture(path) as image:
            return replace(read_pillow(image, name, ours=True), name=name)


def check_file(path: Path, error: type[ValueError]) -> None:
    """Refuse what is no regular file."""
    name = printable(path)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise error(f"{name} does not exist; check the path") from None
    except PermissionError as problem:
        raise error(f"{name} may not be read; check its permissions") from problem
    except (OSError, ValueError) as problem:  # too long, a loop of links, a null byte
        raise error(f"{name} cannot be opened ({detail(problem)}); check the path") from problem
    if stat.S_ISDIR(mode):
        raise error(f"{name} is a folder; name one file in it")
    if not stat.S_ISREG(mode):
        raise error(f"{name} is a pipe or a device; save what it gives to a file")


def open_picture(path: Path) -> Image.Image:
    """The picture of a file, its header read.

    Icons are tried apart: some are decoded as soon as they are opened. To be called within
    :func:`~diffusion_geodesics.images.guard.pillow_errors`.
    """
    icons, others = _decoded_formats()
    try:
        with icon_limit(icons[0]):
            return Image.open(path, formats=icons)
    except UnidentifiedImageError:
        return Image.open(path, formats=others)


@cache
def _decoded_formats() -> tuple[tuple[str, ...], tuple[str, ...]]:
    Image.init()
    formats = [format for format in Image.ID if format not in _NOT_DECODED]
    icons = tuple(format for format in formats if format in ICONS)
    return icons, tuple(format for format in formats if format not in ICONS)


def refuse_high_dynamic_range(path: Path) -> None:
    """Refuse an AVIF or PNG in PQ or HLG, whose values Pillow gives as they are stored."""
    with path.open("rb") as file:
        header = file.read(_HEADER)
    if header[4:8] == b"ftyp":
        found = _IN_AVIF.search(header)
    elif header.startswith(b"\x89PNG"):
        found = _IN_PNG.search(header)
    else:
        return
    transfer = _HIGH_DYNAMIC_RANGE.get(int.from_bytes(found[1], "big")) if found else None
    if transfer:
        what = f"{printable(path)} is of high dynamic range ({transfer})"
        raise ImageError(f"{what}, which is not read; convert it to sRGB")
