"""Strings that choose: the value of a choice is that choice, and anything else is refused."""

from __future__ import annotations

from enum import Enum
from typing import Any, get_args

import pytest
import torch

from diffusion_geodesics.comparison.settings import ComparisonSettings
from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings
from diffusion_geodesics.image_sets.settings import DensitySettings, DistanceSettings
from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.interpolation.settings import InterpolationSettings, PathName
from diffusion_geodesics.runtime.settings import (
    FlatField,
    JobSettings,
    SettingsError,
    flat_fields,
)
from diffusion_geodesics.video.settings import VideoSettings
from tests.gaussian_model import gaussian_model, picture

JOBS: tuple[type[JobSettings], ...] = (
    InterpolationSettings,
    ExtrapolationSettings,
    VideoSettings,
    DistanceSettings,
    DensitySettings,
    ComparisonSettings,
)


def choices(field: FlatField) -> list[Any]:
    kinds = [field.info.annotation, *get_args(field.info.annotation)]
    enums = [k for k in kinds if isinstance(k, type) and issubclass(k, Enum)]
    return [member for kind in enums for member in kind]


CASES = [(job, name) for job in JOBS for name, field in flat_fields(job).items() if choices(field)]


@pytest.mark.parametrize(("job", "name"), CASES, ids=lambda x: getattr(x, "__name__", x))
def test_a_choice_is_its_value_and_nothing_else(job: type[JobSettings], name: str) -> None:
    field = flat_fields(job)[name]
    assert len(choices(field)) > 1
    for member in choices(field):
        assert job.model_validate(nested(field, member.value)) == job.model_validate(
            nested(field, member)
        )
    for wrong in ("nonsense", str(choices(field)[-1].value).upper() + "x", 1, None, True):
        with pytest.raises(SettingsError, match=name):
            job.of(**{name: wrong})


def nested(field: FlatField, value: object) -> dict[str, Any]:
    made: Any = value
    for part in reversed(field.path):
        made = {part: made}
    return made


def test_the_same_path_by_its_name_and_by_its_member() -> None:
    model, images = gaussian_model(), [picture(0), picture(1)]
    quick: dict[str, Any] = {"steps": 4, "level": 0.5, "frames": 3, "film_only": True}
    quick |= {"max_steps": 3, "allow_atypical": True}
    named = interpolate(model, images, path="geodesic", **quick)
    member = interpolate(model, images, path=PathName.GEODESIC, **quick)
    assert named.segments[0].solution is not None, "not slerp"
    assert torch.equal(named.strip.frames, member.strip.frames)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"family": "geodesic"}, "no setting called 'family'"),
        ({"pace": "metric"}, "no setting called 'pace'"),
        ({"path": "Geodesic"}, "path is 'Geodesic'"),
        ({"spacing": "perceptually"}, "spacing is"),
        ({"solver": "preconditioned "}, "solver is"),
    ],
)
def test_slips_are_refused_by_the_job(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        interpolate(gaussian_model(), [picture(0), picture(1)], **given)
