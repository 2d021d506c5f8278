"""Methods of a comparison, as they are written on the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from diffusion_geodesics.latents.settings import Metric, ScoreKind
from diffusion_geodesics.runtime.paths import expand

if TYPE_CHECKING:
    from diffusion_geodesics.comparison.method import Method
    from diffusion_geodesics.interpolation.paths import PathMethod

Options = dict[str, str]

NAMES = (
    "pixel, latent, lerp, slerp, hlerp, ddim, noise, attention, natural, geodesic, string, "
    "published, video"
)
"""What a method can be called."""
GRAMMAR = (
    f"A method, as often as wanted: {NAMES}; options follow a colon: slerp:bump=2, "
    "geodesic:strength=3,score=ratio,flat=yes, natural:strength=0,excess=0, published:level=same, "
    "video:model=FOLDER,length=81,steps=30."
)

PLAIN = "pixel latent lerp slerp hlerp ddim noise natural:strength=0 natural geodesic".split()
"""The default methods without a prompt; ``natural`` is what ``geodesic interpolate`` makes."""
PROMPTED = ("slerp:bump=2", "geodesic:score=ratio")  # further ones with a prompt


def default_methods(prompted: bool) -> tuple[str, ...]:
    """The methods that are compared if none is named."""
    return (*PLAIN, *(PROMPTED if prompted else ()))


def read_method(text: str) -> Method:
    """``NAME`` or ``NAME:option=value,...`` as a method."""
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
    """``NAME=FOLDER``, or a folder that is called by its own name."""
    name, equals, folder = text.partition("=")
    if not equals:
        path = expand(text)
        return path.resolve().name, path
    if not name or not folder:
        raise ValueError(f"{text!r}: expected NAME=FOLDER")
    return name, expand(folder)


def _makers() -> dict[str, tuple[set[str], Callable[[Options], Method]]]:
    """By the name of a method, its options and what makes it."""
    from diffusion_geodesics.comparison import baselines
    from diffusion_geodesics.comparison.at_level import AtLevel, PublishedMethod
    from diffusion_geodesics.comparison.attention import AttentionInterpolation
    from diffusion_geodesics.interpolation.paths import Hlerp, Lerp, Slerp

    def level(make: Callable[[Options], PathMethod]) -> Callable[[Options], Method]:
        return lambda o: AtLevel(make(o), _number(o, "bump", 1.0))

    def noise(o: Options) -> Method:
        return baselines.CorrectedNoise(_number(o, "bound", 2.0), _number(o, "signal", 1.2))

    return {
        "pixel": (set(), lambda o: baselines.PixelBlend()),
        "latent": (set(), lambda o: baselines.LatentLerp()),
        "lerp": ({"bump"}, level(lambda o: Lerp())),
        "slerp": ({"bump"}, level(lambda o: Slerp())),
        "hlerp": ({"bump"}, level(lambda o: Hlerp())),
        "ddim": (set(), lambda o: baselines.FullNoise()),
        "noise": ({"bound", "signal"}, noise),
        "attention": ({"inner"}, lambda o: AttentionInterpolation(_yes(o, "inner"))),
        "geodesic": ({"strength", "score", "flat", "bump"}, level(_geodesic)),
        "natural": ({"strength", "excess", "bump"}, level(_natural)),
        "string": ({"flat"}, level(_string)),
        "published": ({"level"}, lambda o: PublishedMethod(_same(o))),
        "video": ({"model", "length", "steps", "seed"}, _video),
    }


def _video(options: Options) -> Method:
    """A first-last-frame video pipeline in a folder."""
    from diffusion_geodesics.comparison.video_model import VideoModel
    from diffusion_geodesics.models.devices import default_device

    if "model" not in options:
        raise ValueError("video needs the folder of a pipeline: video:model=FOLDER")
    known = {"length": 81, "steps": 30, "seed": 0}
    choices = {key: int(_number(options, key, value)) for key, value in known.items()}
    return VideoModel.load(expand(options["model"]), default_device(), **choices)


def _geodesic(options: Options) -> PathMethod:
    from diffusion_geodesics.interpolation.paths import Geodesic

    kinds = [k.value for k in ScoreKind if k is not ScoreKind.PUBLISHED_RANDOM]
    strength, flat = _number(options, "strength", 1.0), _yes(options, "flat")
    score = ScoreKind(_choice(options, "score", [ScoreKind.LEVEL.value, *kinds], ", ".join(kinds)))
    parts = ["geodesic", f"{strength:g}"]
    parts += [score.value] if score is not ScoreKind.LEVEL else []
    parts += ["flat"] if flat else []
    return Geodesic(Metric(strength=strength, score=score, flat=flat), label=" ".join(parts))


def _natural(options: Options) -> PathMethod:
    from diffusion_geodesics.interpolation.paths import Natural
    from diffusion_geodesics.interpolation.settings import EXCESS, InterpolationMetric

    default = InterpolationMetric()
    strength = _number(options, "strength", default.strength)
    guided = _number(options, "bump", 1.0) != 1
    if guided and "excess" in options:
        raise ValueError("natural: excess has no effect with a bump, where all frames are samples")
    excess = 0.0 if guided else _number(options, "excess", EXCESS)
    parts = ["natural"]
    parts += [f"{strength:g}"] if strength != default.strength else []
    parts += [f"excess {excess:g}"] if not guided and excess != EXCESS else []
    return Natural(InterpolationMetric(strength=strength), excess=excess, label=" ".join(parts))


def _string(options: Options) -> PathMethod:
    from diffusion_geodesics.bvp import StringMethod
    from diffusion_geodesics.interpolation.paths import Geodesic

    flat = _yes(options, "flat")
    label = "string method" + (" flat" if flat else "")
    return Geodesic(Metric(flat=flat), solver=StringMethod((16,)), label=label)


def _number(options: Options, key: str, default: float) -> float:
    try:
        value = float(options.get(key, default))
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise ValueError(f"{key} is {options[key]!r}; expected a number of 0 or more")
    return value


def _choice(options: Options, key: str, allowed: Sequence[str], expected: str) -> str:
    """One of several values, the first by default."""
    value = options.get(key, allowed[0])
    if value not in allowed:
        raise ValueError(f"{key} is {value!r}; expected {expected}")
    return value


def _yes(options: Options, key: str) -> bool:
    return _choice(options, key, ("no", "yes"), "yes or no") == "yes"


def _same(options: Options) -> bool:
    expected = "own (0.6, as published) or same"
    return _choice(options, "level", ("own", "same"), expected) == "same"
