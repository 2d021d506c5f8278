"""Settings that jobs share: what is read, what is refused, and what has no effect is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion_geodesics.comparison.settings import ComparisonSettings
from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings
from diffusion_geodesics.image_sets.settings import DensitySettings, DistanceSettings
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.latents.settings import (
    Blend,
    Inversion,
    Metric,
    Prompts,
    ScoreKind,
    Strength,
)
from diffusion_geodesics.runtime.settings import JobSettings, SettingsError, flat_fields
from diffusion_geodesics.video.settings import VideoSettings

JOBS: tuple[type[JobSettings], ...] = (
    InterpolationSettings,
    ExtrapolationSettings,
    VideoSettings,
    DistanceSettings,
    DensitySettings,
    ComparisonSettings,
)
every_job = pytest.mark.parametrize("job", JOBS, ids=lambda j: j.__name__)


@every_job
def test_every_setting_has_a_description_and_a_default(job: type[JobSettings]) -> None:
    assert job.of() == job()
    for name, field in flat_fields(job).items():
        assert field.info.description, name
        assert not field.info.is_required(), name


@every_job
def test_a_name_with_a_slip_is_refused_with_the_nearest_one(job: type[JobSettings]) -> None:
    with pytest.raises(SettingsError, match="no setting called 'levl'; did you mean level?"):
        job.of(levl=0.2)


@pytest.mark.parametrize(
    ("text", "size"),
    [("512", 512), ("512x768", (512, 768)), ("64×32", (64, 32)), (" 64 X 32 ", (64, 32)),
     (128, 128), ((16, 24), (16, 24)), (None, None)],
)  # fmt: skip
def test_sizes_are_read_as_an_edge_or_height_and_width(text: Any, size: Any) -> None:
    assert InterpolationSettings.of(size=text).framing.size == size


@pytest.mark.parametrize("text", ["big", "1x2x3", "0", "-4", "9000", "64x", "1.5"])
def test_what_is_no_size_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingsError, match="size is"):
        InterpolationSettings.of(size=text)


@pytest.mark.parametrize(
    ("given", "read"), [("8,16", (8, 16)), (8, (8,)), ("8", (8,)), ((4, 32), (4, 32))]
)
def test_intervals_are_read_from_numbers_and_text(given: Any, read: tuple[int, ...]) -> None:
    assert InterpolationSettings.of(path="geodesic", intervals=given).solve.intervals == read


def test_formats_are_read_from_text() -> None:
    found = InterpolationSettings.of(format="webp, mp4").playback.format
    assert [f.value for f in found] == ["webp", "mp4"]
    with pytest.raises(SettingsError, match="format is"):
        InterpolationSettings.of(format="")


def test_one_prompt_is_for_all_images_or_there_is_one_each() -> None:
    assert Prompts().each(3) == ("", "", "")
    assert not Prompts().given
    assert InterpolationSettings.of(prompt="a cat").prompts.each(2) == ("a cat", "a cat")
    assert Prompts(prompt=("a", "", "c")).each(3) == ("a", "", "c")
    assert Prompts(prompt=("a", "", "c")).given
    with pytest.raises(ValueError, match="got 3 prompts for 2 images; give one, or one for each"):
        Prompts(prompt=("a", "", "c")).each(2)


@given(dim=st.integers(1, 100_000), strength=st.floats(0, 100), alpha=st.floats(0, 100))
def test_strength_is_alpha_times_the_dimension(dim: int, strength: float, alpha: float) -> None:
    assert Strength(strength=strength).alpha_for(dim) * dim == pytest.approx(strength, rel=1e-12)
    assert Strength(strength=strength, alpha=alpha).alpha_for(dim) == alpha
    found = ExtrapolationSettings.of(strength=strength)
    assert found.metric.alpha_for(dim) * dim == pytest.approx(strength, rel=1e-12)


@pytest.mark.parametrize("job", [j for j in JOBS if j.exclusive], ids=lambda j: j.__name__)
def test_strength_and_alpha_exclude_each_other_and_the_later_replaces(
    job: type[JobSettings],
) -> None:
    with pytest.raises(SettingsError, match="got both alpha and strength; give one of them"):
        job.of(alpha=0.1, strength=2.0)
    replaced = job.of(alpha=0.1).updated(strength=2.0)
    assert replaced.explicit() == {"strength": 2.0}
    assert job.of(strength=2.0).updated(alpha=0.1).explicit() == {"alpha": 0.1}


def test_kinds_of_scores_say_what_they_need() -> None:
    assert [k.value for k in ScoreKind if not k.distilled] == ["level", "ratio"]
    contrasting = [k.value for k in ScoreKind if k.contrasts]
    assert contrasting == ["ratio", "published", "published-random"]


INERT: list[tuple[type[JobSettings], dict[str, Any], dict[str, Any], str]] = [
    # job, settings that conflict, what would give the last one its effect, why it has none
    (InterpolationSettings, {"pad_gray": 0.5}, {"fit": "pad"}, "images are cropped"),
    (InterpolationSettings, {"window": 0.2}, {"score": "sds"}, "the score is level"),
    (InterpolationSettings, {"window_nodes": 5}, {"score": "sds"}, "the score is level"),
    (DistanceSettings, {"score": "ratio", "negative": "x", "window": 0.2},
     {"score": "published"}, "the score is ratio"),
    (InterpolationSettings, {"text_check_every": 5}, {"invert_text": 50}, "invert_text is 0"),
    (InterpolationSettings, {"cache": Path("kept")}, {"invert_text": 50}, "invert_text is 0"),
    (InterpolationSettings, {"solver": "published", "tol": 0.1},
     {"solver": "preconditioned"}, "a schedule of its own"),
    (VideoSettings, {"solver": "published-full", "max_steps": 9},
     {"solver": "preconditioned"}, "a schedule of its own"),
    (DistanceSettings, {"solver": "published", "intervals": 8},
     {"solver": "preconditioned"}, "a schedule of its own"),
    (InterpolationSettings, {"path": "slerp", "starts": 3}, {"path": "geodesic"}, "slerp needs no"),
    (InterpolationSettings, {"path": "lerp", "allow_atypical": True},
     {"path": "natural"}, "lerp needs no"),
    (InterpolationSettings, {"prompt": "a", "negative": "x"}, {"guidance": 2.0}, "push"),
    (InterpolationSettings, {"prompt": "a", "negative": "x"}, {"score": "ratio"}, "push"),
    (InterpolationSettings, {"prompt": "a", "negative": "x"}, {"score": "nfsd"}, "push"),
    (InterpolationSettings, {"bisections": 3}, {"solver": "published"}, "does not bisect"),
    (VideoSettings, {"learning_rate": 0.2}, {"solver": "published"}, "does not bisect"),
    (ExtrapolationSettings, {"negative": "x"}, {"score": "ratio"}, "level score compares with no"),
    (ExtrapolationSettings, {"window": 0.2}, {"score": "sds"}, "the score is level"),
    (ExtrapolationSettings, {"score": "sds", "stop": True}, {"score": "level"}, "no noise energy"),
    (ExtrapolationSettings, {"score": "sds", "halvings": 2}, {"score": "level"}, "stop is off"),
    (ExtrapolationSettings, {"ascent_size": 0.1}, {"ascent_steps": 2}, "ascent_steps is 0"),
    (ExtrapolationSettings, {"stop": False, "halvings": 2}, {"stop": True}, "stop is off"),
    (InterpolationSettings, {"blend": "slerp"}, {"prompt": ("a", "b")}, "have one prompt"),
    (InterpolationSettings, {"prompt": "a", "blend": "mean"}, {"invert_text": 9}, "one prompt"),
    (InterpolationSettings, {"strength": 0.0, "starts": 3}, {"strength": 1.0}, "nothing bends"),
    (InterpolationSettings, {"alpha": 0.0, "max_steps": 3}, {"path": "geodesic"}, "nothing bends"),
    (ExtrapolationSettings, {"strength": 0.0, "halvings": 2}, {"strength": 1.0}, "strength is 0"),
    (DistanceSettings, {"negative": "x"}, {"score": "ratio"}, "level score compares with no"),
    (DistanceSettings, {"metric": "euclidean", "alpha": 0.1}, {"metric": "density"}, "no density"),
    (DistanceSettings, {"metric": "latent", "level": 0.2}, {"metric": "all"}, "needs no density"),
    (DistanceSettings, {"metric": "metamorphosis", "batch": 2}, {"metric": "all"}, "no density"),
    (DistanceSettings, {"motion_weight": 0.1}, {"metric": "metamorphosis"}, "nothing moves"),
    (DistanceSettings, {"score": "sds", "negative": "x"}, {"score": "nfsd"}, "sds score compares"),
]  # fmt: skip


@pytest.mark.parametrize(("job", "given", "instead", "why"), INERT, ids=lambda x: str(x))
def test_what_can_have_no_effect_is_refused_with_the_reason(
    job: type[JobSettings], given: dict[str, Any], instead: dict[str, Any], why: str
) -> None:
    name = list(given)[-1]
    with pytest.raises(SettingsError, match=f"^{name} has no effect, because .*{why}"):
        job.of(**given)
    assert name in job.of(**(given | instead)).explicit()


@pytest.mark.parametrize(
    ("job", "name"),
    [
        (VideoSettings, "negative"),
        (DensitySettings, "negative"),
        (ExtrapolationSettings, "starts"),
        (ExtrapolationSettings, "seed"),
        (VideoSettings, "starts"),
    ],
)
def test_jobs_do_not_take_what_they_have_no_use_for(job: type[JobSettings], name: str) -> None:
    with pytest.raises(SettingsError, match=f"there is no setting called '{name}'"):
        job.of(**{name: "x"})


@every_job
def test_settings_go_through_plain_data_and_back(job: type[JobSettings]) -> None:
    given: dict[str, Any] = {"level": 0.3, "steps": 7, "size": (32, 48)}
    if job.exclusive:
        given["alpha"] = 0.1
    found = job.of(**given)
    assert job.from_nested(found.as_nested()).as_nested() == found.as_nested()
    assert found.as_nested()["inversion"]["level"] == 0.3
    if job.exclusive:
        assert "strength" not in found.as_nested()["metric"]


def test_values_out_of_range_are_refused_by_name() -> None:
    for name, value in {
        "level": 0.0, "steps": 0, "refinements": -1, "tol": 2.0, "max_steps": 0, "starts": 0,
        "strength": -1.0, "alpha": float("nan"), "fps": 0.0, "pad_gray": 2.0, "seed": -1,
        "intervals": "2", "blend": "none", "window_nodes": 0,
    }.items():  # fmt: skip
        with pytest.raises(SettingsError, match=f"^{name} is"):
            InterpolationSettings.of(**{name: value})


def test_groups_are_frozen_and_closed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Inversion().level = 0.1
    with pytest.raises(ValueError, match="Extra inputs"):
        Metric.model_validate({"temperature": 1.0})
    assert Prompts().blend is Blend.LERP
