"""Methods of a comparison, as they are written on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from diffusion_geodesics.apps.settings import Estimate, Family

if TYPE_CHECKING:
    from diffusion_geodesics.apps.evidence import Method

Options = dict[str, str]

NAMES = (
    "pixel, latent, lerp, slerp, hlerp, ddim, noise, attention, carried, geodesic, string, "
    "published"
)
"""What a method can be called."""

GRAMMAR = (
    f"One of {NAMES}; options follow a colon: slerp:bump=2, "
    "geodesic:strength=3,score=ratio,flat=yes, published:level=same."
)

PLAIN = ("pixel", "latent", "lerp", "slerp", "hlerp", "ddim", "noise", "carried", "geodesic")
"""The default methods without a prompt."""

PROMPTED = ("slerp:bump=2", "geodesic:score=ratio")
"""Further ones with a prompt."""


def read_method(text: str) -> Method:
    """``NAME`` or ``NAME:option=value,...`` as a method.

    Raises:
        ValueError: a name, an option or a value that there is not.
    """
    name, _, rest = text.partition(":")
    options: Options = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals or not value:
            raise ValueError(f"{text!r}: {part!r} is no option=value")
        options[key.strip()] = value.strip()
    makers = _makers()
    if name not in makers:
        raise ValueError(f"there is no method {name!r}; expected {NAMES}")
    allowed, make = makers[name]
    if unknown := sorted(set(options) - allowed):
        known = ", ".join(sorted(allowed)) or "none"
        raise ValueError(f"{name} has no option {unknown[0]!r}; it has {known}")
    return make(options)


def read_named(text: str) -> tuple[str, Path]:
    """``NAME=FOLDER``, or a folder that is called by its own name.

    Raises:
        ValueError: an empty name or folder.
    """
    name, equals, folder = text.partition("=")
    if not equals:
        path = Path(text).expanduser()
        return path.resolve().name, path
    if not name or not folder:
        raise ValueError(f"{text!r}: expected NAME=FOLDER")
    return name, Path(folder).expanduser()


def _makers() -> dict[str, tuple[set[str], Callable[[Options], Method]]]:
    from diffusion_geodesics.apps.evidence import (
        AttentionInterpolation,
        Carried,
        CorrectedNoise,
        FullNoise,
        Geodesic,
        LatentLerp,
        LevelPath,
        MaximalDensity,
        PixelBlend,
        PublishedMethod,
    )

    def straight(family: Family) -> Callable[[Options], Method]:
        return lambda o: LevelPath(family, _number(o, "bump", 1.0))

    return {
        "pixel": (set(), lambda o: PixelBlend()),
        "latent": (set(), lambda o: LatentLerp()),
        "lerp": ({"bump"}, straight(Family.LERP)),
        "slerp": ({"bump"}, straight(Family.SLERP)),
        "hlerp": ({"bump"}, straight(Family.HLERP)),
        "ddim": (set(), lambda o: FullNoise()),
        "noise": (
            {"bound", "signal"},
            lambda o: CorrectedNoise(_number(o, "bound", 2.0), _number(o, "signal", 1.2)),
        ),
        "attention": ({"inner"}, lambda o: AttentionInterpolation(_yes(o, "inner"))),
        "geodesic": (
            {"strength", "score", "flat", "bump"},
            lambda o: Geodesic(
                _number(o, "strength", 1.0),
                _estimate(o),
                _yes(o, "flat"),
                guidance=_number(o, "bump", 1.0),
            ),
        ),
        "carried": (
            {"strength", "bump"},
            lambda o: Carried(_number(o, "strength", 0.0), _number(o, "bump", 1.0)),
        ),
        "string": ({"flat"}, lambda o: MaximalDensity(_yes(o, "flat"))),
        "published": ({"level"}, lambda o: PublishedMethod(_same(o))),
    }


def _number(options: Options, key: str, default: float) -> float:
    try:
        value = float(options.get(key, default))
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise ValueError(f"{key} is {options[key]!r}; expected a number of 0 or more")
    return value


def _yes(options: Options, key: str) -> bool:
    value = options.get(key, "no")
    if value not in ("yes", "no"):
        raise ValueError(f"{key} is {value!r}; expected yes or no")
    return value == "yes"


def _same(options: Options) -> bool:
    value = options.get("level", "own")
    if value not in ("own", "same"):
        raise ValueError(f"level is {value!r}; expected own (0.6, as published) or same")
    return value == "same"


def _estimate(options: Options) -> Estimate:
    value = options.get("score", Estimate.LEVEL.value)
    found = [e for e in Estimate if e.value == value and e is not Estimate.PUBLISHED_RANDOM]
    if not found:
        names = ", ".join(e.value for e in Estimate if e is not Estimate.PUBLISHED_RANDOM)
        raise ValueError(f"score is {value!r}; expected {names}")
    return found[0]
