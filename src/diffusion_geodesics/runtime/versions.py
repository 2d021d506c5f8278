"""Versions of what a result was made with."""

import platform
from importlib.metadata import version

from diffusion_geodesics.version import __version__

PACKAGES = ("torch", "diffusers", "transformers", "numpy", "scipy", "av")


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that figures may depend on."""
    own = {"diffusion-geodesics": __version__, "python": platform.python_version()}
    return own | {name: version(name) for name in PACKAGES}
