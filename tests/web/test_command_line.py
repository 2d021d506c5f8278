"""The command that the page shows makes the same film."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from diffusion_geodesics.cli.interpolate import InterpolateCommand
from diffusion_geodesics.cli.main import app
from diffusion_geodesics.cli.shared import part_of
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.models.info import ModelInfo
from diffusion_geodesics.web.command_line import interpolate_command

EMBEDDED = ModelInfo("embedded", "0" * 64, "", "cpu", "float32")


def parsed(command: str, monkeypatch: pytest.MonkeyPatch) -> InterpolateCommand:
    import diffusion_geodesics.cli.interpolate as module

    found: list[InterpolateCommand] = []
    monkeypatch.setattr(module, "run", found.append)
    words = shlex.split(command)
    assert words[0] == "geodesic"
    app()(words[1:], exit_on_error=False, print_error=False, result_action="return_none")
    return found[0]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"preset": "published", "prompt": ("a dog's ear", "a $cat")},
        {"frames": 33, "film_only": True, "size": (256, 512), "bend_intervals": 8},
        {"path": "geodesic", "flat": True, "intervals": (8, 16)},
        {
            "format": ("gif", "mp4"),
            "alpha": 1e-4,
            "negative": "-x",
            "score": "ratio",
            "prompt": "a",
        },
    ],
)
def test_it_gives_the_same_settings(
    values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = values.pop("preset", None)
    settings = (
        InterpolationSettings.of(**values)
        if preset is None
        else InterpolationSettings.preset(preset, **values)
    )
    command = interpolate_command(["a b.png", "-c.png"], settings, EMBEDDED)
    found = parsed(command, monkeypatch)
    assert [str(p) for p in found.images] == ["a b.png", "-c.png"]
    assert part_of(InterpolationSettings, found) == settings
    assert found.model.model == "embedded"


def test_another_model_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ModelInfo("owner/name", "0" * 64, "", "cpu", "float32")
    command = interpolate_command(["a.png", "b.png"], InterpolationSettings(), model)
    assert parsed(command, monkeypatch).model.model == "owner/name"
