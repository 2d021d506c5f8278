"""Settings of an interpolation: presets, and options that cannot have their effect."""

from __future__ import annotations

import pytest

from diffusion_geodesics.interpolation.settings import InterpolationSettings, PathName
from diffusion_geodesics.latents.settings import ScoreKind, SolverName, Spacing
from diffusion_geodesics.runtime.settings import SettingsError


def test_the_published_preset() -> None:
    found = InterpolationSettings.preset("published", prompt="a cat")
    assert found.path is PathName.GEODESIC
    assert found.metric.score is ScoreKind.PUBLISHED_RANDOM
    assert found.metric.alpha == 0.002
    assert found.solve.solver is SolverName.PUBLISHED
    assert found.film.spacing is Spacing.PARAMETER
    assert found.inversion.steps == 50
    assert found.prompts.invert_text == 0
    embedded = InterpolationSettings.preset("published", prompt="a cat", invert_text=5)
    assert (embedded.prompts.invert_text, embedded.prompts.text_check_every) == (5, 0)


def test_a_preset_gives_way_to_what_is_said_beside_it() -> None:
    found = InterpolationSettings.preset("published", prompt="a cat", level=0.2, steps=20)
    assert (found.inversion.level, found.inversion.steps) == (0.2, 20)
    strong = InterpolationSettings.preset("published", prompt="a cat", strength=3.0)
    assert strong.metric.alpha is None
    assert strong.metric.alpha_for(1000) == 0.003


def test_a_preset_leaves_out_what_cannot_act() -> None:
    found = InterpolationSettings.preset("published", prompt="a cat", path="slerp", score="level")
    assert found.path is PathName.SLERP
    assert "solver" not in found.explicit()


def test_a_preset_that_there_is_not() -> None:
    with pytest.raises(SettingsError, match="natural"):
        InterpolationSettings.preset("naturel")


@pytest.mark.parametrize(
    ("values", "ruled"),
    [
        ({"path": "slerp", "solver": "published"}, "slerp needs no solver"),
        ({"path": "lerp", "starts": 3}, "lerp needs no solver"),
        ({"path": "hlerp", "allow_atypical": True}, "hlerp needs no solver"),
        ({"solver": "published", "tol": 0.1}, "schedule of its own"),
        ({"window": 0.1}, "has no window"),
        ({"path": "geodesic", "excess": 0.2}, "no warped images"),
        ({"excess": 0.2, "guidance": 2.0, "prompt": "ab"}, "all frames are samples"),
        ({"alpha": 0.1, "strength": 1.0}, "give one of them"),
    ],
    ids=lambda v: ",".join(v) if isinstance(v, dict) else "",
)
def test_options_without_effect_name_what_rules(values: dict[str, object], ruled: str) -> None:
    with pytest.raises(SettingsError, match=ruled):
        InterpolationSettings.of(**values)


@pytest.mark.parametrize(
    ("name", "value"),
    [("path", "geodesics"), ("spacing", "metrics"), ("fit", "stretch"), ("sampler", "euler")],
)
def test_a_choice_that_there_is_not_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is '{value}'"):
        InterpolationSettings.of(**{name: value})
