"""Settings, files and back again; defaults that are the same everywhere."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin

import annotated_types as at
import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from diffusion_geodesics.comparison.settings import ComparisonSettings
from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings
from diffusion_geodesics.image_sets.settings import DensitySettings, DistanceSettings
from diffusion_geodesics.interpolation.settings import Film, InterpolationSettings
from diffusion_geodesics.runtime.settings import (
    FlatField,
    JobSettings,
    SettingsError,
    SettingsGroup,
    flat_fields,
)
from diffusion_geodesics.runtime.settings_file import read_settings_file, settings_toml
from diffusion_geodesics.video.settings import VideoSettings

JOBS = (
    InterpolationSettings,
    ExtrapolationSettings,
    VideoSettings,
    DistanceSettings,
    DensitySettings,
    ComparisonSettings,
)
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)


def values_of(field: FlatField) -> st.SearchStrategy[Any]:
    """Values that a setting allows, as far as its own constraints say."""
    return _of_type(field.info.annotation, field.info.metadata)


def _of_type(kind: Any, metadata: list[Any]) -> st.SearchStrategy[Any]:
    if hasattr(kind, "__metadata__"):
        inner, *more = get_args(kind)
        return _of_type(inner, [*metadata, *more])
    if get_origin(kind) is tuple:
        first = get_args(kind)[0]
        least = max((m.min_length for m in metadata if isinstance(m, at.MinLen)), default=0)
        return st.lists(_of_type(first, []), min_size=least, max_size=3).map(tuple)
    if args := [a for a in get_args(kind) if a is not type(None)]:
        return st.one_of(*(_of_type(a, metadata) for a in args))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    if kind is bool:
        return st.booleans()
    if kind in (int, float):
        return _numbers(kind, metadata)
    return TEXT.map(Path) if kind is Path else TEXT


def _numbers(kind: Any, metadata: list[Any]) -> st.SearchStrategy[Any]:
    flat = [part for m in metadata for part in (m if isinstance(m, at.Interval) else [m])]

    def bounds(kind: Any, name: str) -> list[Any]:
        return [getattr(m, name) for m in flat if isinstance(m, kind)]

    low = max(bounds(at.Ge, "ge"), default=0)
    above = max(bounds(at.Gt, "gt"), default=None)
    high = min(bounds(at.Le, "le"), default=1000)
    multiple = max(bounds(at.MultipleOf, "multiple_of"), default=1)
    if kind is int:
        least = max(low, 0 if above is None else above + 1)
        return st.integers(-(-least // multiple), min(high, 1000) // multiple).map(
            lambda n: n * multiple
        )
    lowest = low if above is None else above
    return st.floats(lowest, min(high, 1000), exclude_min=above is not None, width=64)


VALUES = {cls: {n: values_of(f) for n, f in sorted(flat_fields(cls).items())} for cls in JOBS}


@st.composite
def choices(draw: st.DrawFn) -> tuple[type[JobSettings], dict[str, Any]]:
    """The settings of any job, and values for a few of them."""
    cls = draw(st.sampled_from(JOBS))
    names = draw(st.lists(st.sampled_from(list(VALUES[cls])), max_size=6, unique=True))
    return cls, {name: draw(VALUES[cls][name]) for name in names}


def settings_of(chosen: tuple[type[JobSettings], dict[str, Any]]) -> JobSettings:
    """The settings, where the values go together."""
    cls, values = chosen
    try:
        return cls.of(**values)
    except SettingsError:
        assume(False)
        raise


@pytest.mark.whole
@settings(max_examples=80)
@given(choices())
def test_settings_to_a_file_and_back(chosen: tuple[type[JobSettings], dict[str, Any]]) -> None:
    """All that has an effect comes back, through every kind of file."""
    found = settings_of(chosen)
    nested = found.as_nested()
    for again in (
        type(found).from_nested(nested),
        type(found).from_nested(json.loads(json.dumps(nested))),
        type(found).from_nested(yaml.safe_load(yaml.safe_dump(nested))),
    ):
        assert again.as_nested() == nested
        assert again.updated() == again
        _same_effect(again, found)


@settings(max_examples=40)
@given(choices())
def test_settings_to_commented_toml_and_back(
    tmp_path_factory: pytest.TempPathFactory, chosen: tuple[type[JobSettings], dict[str, Any]]
) -> None:
    found = settings_of(chosen)
    file = tmp_path_factory.mktemp("settings") / "settings.toml"
    file.write_text(settings_toml("job", found, {"images": ["a"], "model": {"model": "m"}}))
    content = read_settings_file(file)
    assert (content.pop("job"), content.pop("images")) == ("job", ["a"])
    assert content.pop("model") == {"model": "m"}
    _same_effect(type(found).from_nested(content), found)


def _same_effect(again: JobSettings, found: JobSettings) -> None:
    inert = found.all_inert()
    assert again.all_inert() == inert
    for name, place in flat_fields(type(found)).items():
        one, other = again, found
        for part in place.path:
            one, other = getattr(one, part), getattr(other, part)
        if name not in inert and not _replaced(found, name):
            assert one == other, name


def _replaced(found: JobSettings, name: str) -> bool:
    return any(name == b and a in found.explicit() for a, b in found.exclusive)


@pytest.mark.parametrize("cls", JOBS)
def test_every_setting_is_described(cls: type[JobSettings]) -> None:
    for name, field in flat_fields(cls).items():
        text = (field.info.description or "").strip()
        assert text.endswith((".", "none.", ")")), name
        assert text[0].isupper() or not text[0].isascii(), name


@pytest.mark.parametrize("cls", JOBS)
def test_there_is_a_json_schema(cls: type[JobSettings]) -> None:
    schema = cls.model_json_schema()
    named = json.dumps(schema)
    for name in flat_fields(cls):
        assert f'"{name}"' in named


def test_frozen_and_closed() -> None:
    found = InterpolationSettings()
    with pytest.raises(ValueError, match="frozen"):
        found.film_only = True
    with pytest.raises(SettingsError, match="did you mean frames"):
        InterpolationSettings.of(framez=3)
    with pytest.raises(SettingsError, match="colour"):
        InterpolationSettings.from_nested({"film": {"colour": 1}})


def test_explicit_values_are_known() -> None:
    found = InterpolationSettings.of(frames=33, level=0.2)
    assert found.explicit() == {"frames": 33, "level": 0.2}
    assert found.updated(frames=9).explicit() == {"frames": 9, "level": 0.2}
    assert found.film == Film(frames=33)


def test_two_leaves_of_one_name_are_refused() -> None:
    class Inner(SettingsGroup):
        size: int = 1

    class Outer(JobSettings):
        size: int = 2
        inner: Inner = Inner()

    with pytest.raises(TypeError, match="two settings called size"):
        flat_fields(Outer)


def test_what_later_values_leave_without_effect_is_left_out() -> None:
    found = InterpolationSettings.of(max_steps=5, strength=2.0)
    assert found.updated(path="slerp").explicit() == {
        "path": InterpolationSettings.of(path="slerp").path,
        "strength": 2.0,
    }
    with pytest.raises(SettingsError, match="max_steps has no effect"):
        found.updated(path="slerp", max_steps=5)
    assert found.updated(alpha=0.1).explicit() == {"max_steps": 5, "alpha": 0.1}
