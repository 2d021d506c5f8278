"""One line for whatever Pillow and its plugins raise on files of any content."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError

from diffusion_geodesics.images.limits import too_large
from diffusion_geodesics.images.picture import ImageError
from diffusion_geodesics.runtime.paths import printable

ICONS = ("CUR", "ICNS", "ICO")  # formats of Pillow that hold whole files of other formats


@contextmanager
def pillow_errors(name: str, error: type[ValueError] = ImageError) -> Iterator[None]:
    """Raise everything that goes wrong inside as one kind of error, in one line.

    Pillow's warnings are left out, that of many pixels too: our own limit is checked where the
    size is known. Not to be held open over a ``yield``: warnings are global.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except error:
        raise
    except ImageError as problem:
        raise error(str(problem)) from problem
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as problem:
        raise error(str(too_large(name))) from problem
    except MemoryError as problem:
        raise error(f"{name} takes more memory to read than there is; scale it down") from problem
    except UnidentifiedImageError as problem:
        remedy = "save it as PNG, JPEG, WebP or TIFF"
        raise error(f"{name} is not an image that can be read; {remedy}") from problem
    except PermissionError as problem:
        raise error(f"{name} may not be read; check its permissions") from problem
    except Exception as problem:
        what = f"{name} is damaged or cut short ({detail(problem)})"
        raise error(f"{what}; save it again") from problem


@contextmanager
def icon_limit(format: str | None) -> Iterator[None]:
    """Hold Pillow's own limit on pixels for icons, whose pictures tell their size late."""
    with warnings.catch_warnings():
        if format in ICONS:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def detail(problem: Exception) -> str:
    """What an exception says, in one line."""
    text = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
    return " ".join(printable(" ".join(str(text).split())).split())
