"""No setting is taken and then ignored: every one is looked at by its job.

What a setting does is tested where it is used; here jobs run once or twice, so that all that
settings can switch on is on, and whatever no code has read is a setting without effect.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from diffusion_geodesics.clips import TensorClip
from diffusion_geodesics.comparison.at_level import AtLevel
from diffusion_geodesics.comparison.compare import compare
from diffusion_geodesics.comparison.pairs import Pair
from diffusion_geodesics.comparison.settings import ComparisonSettings
from diffusion_geodesics.extrapolation.directions import Towards
from diffusion_geodesics.extrapolation.extrapolate import extrapolate
from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings
from diffusion_geodesics.image_sets.densities import image_densities
from diffusion_geodesics.image_sets.distances import image_distances
from diffusion_geodesics.image_sets.settings import DensitySettings, DistanceSettings
from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.reporting.save import to_report
from diffusion_geodesics.runtime.settings import JobSettings, SettingsGroup, flat_fields
from diffusion_geodesics.video.analyze import analyze
from diffusion_geodesics.video.settings import VideoSettings
from tests.gaussian_model import gaussian_model, picture

MODEL = gaussian_model()
FIRST, LAST = picture(0), picture(1)
QUICK: dict[str, Any] = {"steps": 4, "level": 0.5, "fit": "pad"}
SOLVED: dict[str, Any] = {"max_steps": 3, **QUICK}
CHECKING = ("inert", "check", "checked", "explicit", "_value", "_is_set")
"""What only asks which settings were given, and whether they go together."""


def interpolations() -> None:
    geodesic = {"path": "geodesic", "frames": 3, "allow_atypical": True, **SOLVED}
    to_report(interpolate(MODEL, [FIRST, LAST], **geodesic))
    prompts = {"prompt": ("a", "b"), "invert_text": 1, "score": "sds"}
    to_report(interpolate(MODEL, [FIRST, LAST], **geodesic, **prompts))


def extrapolations() -> None:
    options = {"frames": 3, "ray_steps": 3, "ascent_steps": 1}
    to_report(extrapolate(MODEL, FIRST, Towards(LAST), **options, **SOLVED))
    words: dict[str, Any] = {"prompt": "a", "negative": "b", "end_prompt": "c"}
    words["score"] = "published"
    to_report(extrapolate(MODEL, FIRST, Towards(LAST), **options, **SOLVED, **words))


def distances() -> None:
    for options in ({"score": "sds"}, {"score": "ratio", "negative": "b"}):
        options |= {"prompt": "a", "metric": "all"}
        to_report(image_distances(MODEL, [FIRST, LAST], **options, **SOLVED))


def densities() -> None:
    image_densities(MODEL, [FIRST, LAST], probes=3, rtol=0.5, **QUICK)


def comparisons() -> None:
    options = {"prompt": ("a", "b"), "invert_text": 1, "score": "sds"}
    to_report(compare(MODEL, [Pair("p", FIRST, LAST)], [AtLevel()], **options, **QUICK))


def analyses() -> None:
    frames = torch.stack([torch.lerp(FIRST, LAST, k / 8) for k in range(9)])
    options = {"window": 5, "half": 1, "shown": 2}
    to_report(analyze(MODEL, TensorClip(frames, "fade"), **options, **SOLVED))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of the settings that have been looked at for what they do."""
    found: set[str] = set()
    plain = SettingsGroup.__getattribute__

    def noted(self: SettingsGroup, name: str) -> Any:
        caller = sys._getframe(1).f_code
        if caller.co_name not in CHECKING and "pydantic" not in caller.co_filename:
            found.add(name)
        return plain(self, name)

    monkeypatch.setattr(SettingsGroup, "__getattribute__", noted)
    return found


@pytest.mark.whole
@pytest.mark.parametrize(
    ("job", "settings"),
    [
        (interpolations, InterpolationSettings),
        (extrapolations, ExtrapolationSettings),
        (distances, DistanceSettings),
        (densities, DensitySettings),
        (comparisons, ComparisonSettings),
        (analyses, VideoSettings),
    ],
)
def test_every_setting_is_looked_at(
    job: Callable[[], None], settings: type[JobSettings], read: set[str]
) -> None:
    job()
    assert set(flat_fields(settings)) - read == set()
