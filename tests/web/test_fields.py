"""Fields of the page, made from the settings models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings
from diffusion_geodesics.image_sets.settings import DensitySettings, DistanceSettings
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.runtime.settings import JobSettings, SettingsError, flat_fields
from diffusion_geodesics.video.settings import VideoSettings
from diffusion_geodesics.web.fields import Form, fields_of, preset_values, settings_from

TREES: list[type[JobSettings]] = [
    InterpolationSettings,
    ExtrapolationSettings,
    VideoSettings,
    DistanceSettings,
    DensitySettings,
]


@pytest.mark.parametrize("cls", TREES)
def test_untouched_fields_are_the_defaults_and_the_presets(cls: type[JobSettings]) -> None:
    assert settings_from(cls, None, preset_values(cls, None)) == cls()
    for preset in cls.presets:
        assert settings_from(cls, preset, preset_values(cls, preset)) == cls.preset(preset)


@pytest.mark.parametrize("cls", TREES)
def test_every_setting_is_on_the_page_but_those_that_name_files(cls: type[JobSettings]) -> None:
    absent = set(flat_fields(cls)) - set(fields_of(cls))
    files = {n for n, f in flat_fields(cls).items() if "pathlib" in str(f.info.annotation)}
    own = {"prompt"} if cls is InterpolationSettings else set()  # beside the pictures
    assert absent == files | own
    assert all(field.info for field in fields_of(cls).values())


def test_limits_and_choices_come_from_the_model() -> None:
    fields = fields_of(InterpolationSettings)
    assert (fields["level"].minimum, fields["level"].maximum) == (0, 1)
    assert fields["steps"].whole
    assert not fields["level"].whole
    assert fields["spacing"].choices == ("perceptual", "metric", "parameter")
    assert fields["format"].form is Form.CHOICES
    assert fields["alpha"].optional


def test_values_that_were_changed_are_given_and_no_others() -> None:
    start = preset_values(InterpolationSettings, "geodesic")
    changed = {"size": "512x256", "format": ["gif", "mp4"], "intervals": "8,16", "steps": 12.0}
    found = settings_from(InterpolationSettings, "geodesic", {**start, **changed}).explicit()
    assert set(found) == {*changed, "path"}
    assert (found["size"], found["intervals"], found["steps"]) == ((512, 256), (8, 16), 12)


def test_a_value_that_is_not_allowed_is_refused_in_one_line() -> None:
    start = preset_values(InterpolationSettings, "natural")
    with pytest.raises(SettingsError, match=r"level is 0.0; it should be greater than 0"):
        settings_from(InterpolationSettings, "natural", {**start, "level": 0})
    with pytest.raises(SettingsError, match="guidance is 3 but there is no prompt"):
        settings_from(InterpolationSettings, "natural", {**start, "guidance": 3})


def test_fields_left_empty_are_the_default() -> None:
    start = preset_values(InterpolationSettings, "natural")
    emptied = dict.fromkeys(start)
    assert settings_from(InterpolationSettings, "natural", emptied) == InterpolationSettings()


@hypothesis.given(level=st.floats(0.01, 1), steps=st.integers(1, 100))
def test_numbers_arrive_as_they_were_entered(level: float, steps: int) -> None:
    values: dict[str, Any] = {**preset_values(InterpolationSettings, None)}
    found = settings_from(InterpolationSettings, None, {**values, "level": level, "steps": steps})
    assert (found.inversion.level, found.inversion.steps) == (level, steps)


def test_settings_that_name_files_are_no_fields() -> None:
    assert "cache" not in fields_of(InterpolationSettings)
    assert flat_fields(InterpolationSettings)["cache"].info.annotation == Path | None


def test_numbers_that_may_be_left_open_are_texts() -> None:
    fields, start = fields_of(InterpolationSettings), preset_values(InterpolationSettings, None)
    assert (start["frames"], start["upscale"]) == ("", "")
    found = settings_from(InterpolationSettings, None, {**start, "frames": " 33"})
    assert found.film.frames == 33
    with pytest.raises(SettingsError, match="frames is 'many'; it should be a valid integer"):
        settings_from(InterpolationSettings, None, {**start, "frames": "many"})
    assert fields["level"].limits == "From 0 to 1."
    assert fields["frames"].limits == "At least 2."
