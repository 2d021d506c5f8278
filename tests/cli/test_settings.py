"""``geodesic settings`` prints a file that is read back as the defaults, and a JSON schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from diffusion_geodesics.cli.settings import CLASSES, settings_class
from diffusion_geodesics.runtime.settings_file import read_settings_file
from tests.cli.conftest import Geodesic


@pytest.mark.parametrize("job", CLASSES)
def test_what_is_printed_is_the_defaults(geodesic: Geodesic, tmp_path: Path, job: str) -> None:
    shown = geodesic("settings", job, cwd=tmp_path).out
    (tmp_path / "run.toml").write_text(shown)
    read = read_settings_file(tmp_path / "run.toml")
    assert read.pop("job") == job
    assert read.pop("model") == {"model": "embedded"}
    cls = settings_class(job)
    assert cls.from_nested(read).as_nested() == cls().as_nested()


def test_the_schema_bounds_what_is_bounded(geodesic: Geodesic, tmp_path: Path) -> None:
    schema = json.loads(geodesic("settings", "interpolate", "--json-schema", cwd=tmp_path).out)
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Inversion"]["properties"]["level"]["exclusiveMinimum"] == 0
