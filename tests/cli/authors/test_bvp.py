"""The authors' files of one interpolation: every key taken over, or said why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from diffusion_geodesics.bvp import PublishedDescent
from diffusion_geodesics.cli.authors.bvp import read_bvp
from diffusion_geodesics.cli.authors.keys import RATE
from diffusion_geodesics.cli.interpolate import InterpolateCommand
from diffusion_geodesics.diffusion import TextInversion
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.latents.choices import solver_of
from diffusion_geodesics.latents.settings import Blend, ScoreKind, Spacing
from diffusion_geodesics.runtime.settings import SettingsError
from tests.cli.conftest import Geodesic

FULL: dict[str, Any] = {
    "pathA": "a.png",
    "pathB": "b.png",
    "promptA": "a dog",
    "promptB": "a cat",
    "noise_level": 0.7,
    "alpha": 0.02,
    "use_lerp_cond": True,
    "sphere_constraint": True,
    "test_name": "dogs",
    "spline_type": "spherical_cubic",
    "grad_analysis_out": True,
    "grad_args": {
        "grad_sample_range": 80,
        "grad_weight_type": "uniform",
        "grad_guidance_0": 1.0,
        "grad_guidance_1": 1,
        "grad_sample_type": "back_n_forward_sample",
        "grad_batch_size": 10,
    },
    "bisect_args": {
        "max_strength": 3,
        "bisect_interval": 50,
        "random_end": False,
        "only_new_points": False,
    },
    "opt_args": {"lr": 0.2, "iter_num": 150, "lr_scheduler": "linear", "lr_divide": True},
    "tv_args": {"tv_lr": 0.005, "tv_steps": 20, "tv_batch_size": 2, "tv_ckpt_folder": "kept"},
    "output_args": {
        "cfg_sample": 1,
        "eta": 0.0,
        "out_dir": "results/dogs",
        "output_psample": True,
        "output_image_num": 9,
        "output_start_images": False,
        "output_opt_points": True,
        "output_reconstruct_end": False,
        "output_separate_images": True,
        "use_neg_prompt": False,
        "out_interval": -1,
    },
}
"""Every key, none as in the published preset where that can be told."""
ENDS = {"pathA": "a.png", "pathB": "b.png"}


def written(folder: Path, content: Any) -> Path:
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def changed(group: str, **keys: Any) -> dict[str, Any]:
    """The full file with other values in one of its groups, or at the top ("")."""
    return {**FULL, **keys} if not group else {**FULL, group: {**FULL[group], **keys}}


def noted(folder: Path, content: Any) -> dict[str, str]:
    """The notes on a file, by key."""
    return {n.split()[0]: n for n in read_bvp(written(folder, content)).notes}


def test_every_key_of_a_full_file_becomes_a_setting(tmp_path: Path) -> None:
    found = read_bvp(written(tmp_path, FULL))
    assert found.inputs == {
        "images": (Path("a.png"), Path("b.png")),
        "output": Path("results/dogs"),
    }
    s = found.settings
    assert (s.inversion.level, s.inversion.steps) == (0.7, 50)
    assert (s.metric.alpha, s.metric.flat, s.metric.window) == (0.02, False, 0.08)
    assert s.metric.score is ScoreKind.PUBLISHED_RANDOM
    assert solver_of(s.solve) == PublishedDescent(3, 50, 0.2)
    assert s.prompts.prompt == ("a dog", "a cat")
    assert (s.prompts.invert_text, s.prompts.text_check_every) == (20, 0)
    assert s.prompts.cache == Path("kept")
    assert (s.film.frames, s.film.spacing, s.film.keep_pixels) == (9, Spacing.PERCEPTUAL, True)
    assert s.film_only
    assert set(noted(tmp_path, FULL)) == {
        *("grad_batch_size", "tv_batch_size", "tv_ckpt_folder", "output_psample"),
        *("sphere_constraint", "test_name", "grad_analysis_out"),
    }


def test_a_file_of_two_images_is_the_published_preset(tmp_path: Path) -> None:
    found = read_bvp(written(tmp_path, ENDS))
    preset = InterpolationSettings.preset("published", frames=17)
    assert found.settings.as_nested() == preset.as_nested()
    assert solver_of(found.settings.solve) == PublishedDescent()
    (note,) = found.notes
    assert note.startswith("left out, so as in the published preset: ")
    assert {"promptA", "noise_level", "opt_args"} <= set(note.split(": ")[1].split(", "))


def test_an_option_takes_away_what_it_leaves_without_effect(tmp_path: Path) -> None:
    given = read_bvp(written(tmp_path, FULL)).given
    found = InterpolateCommand.of(**InterpolateCommand.layered(given, {"path": "slerp"}))
    assert not {"solver", "bisections", "learning_rate"} & set(found.explicit())
    assert found.metric.alpha == 0.02


def test_one_prompt_for_both_images(tmp_path: Path) -> None:
    both = changed("", use_lerp_cond=False)
    found = read_bvp(written(tmp_path, both)).settings.prompts
    assert (found.prompt, found.blend) == (("a dog a cat",), Blend.MEAN)
    plain = {**both, "tv_args": {"tv_steps": 0}}
    found = read_bvp(written(tmp_path, plain)).settings.prompts
    assert (found.prompt, found.invert_text) == (("a dog a cat",), 0)
    assert "use_lerp_cond" not in noted(tmp_path, plain), "exact without text inversion"


@pytest.mark.parametrize(
    ("kind", "level", "reach", "window"),
    [
        ("back_n_forward_sample", 0.7, 100, 0.1),
        ("back_n_forward_sample", 0.7, -1, 0.25),
        ("back_n_forward_sample", 0.3, -1, 0.25),
        ("forward_sample", 0.7, 60, 0.06),
        ([500, 900], 0.7, 100, 0.2),
        ("ori_step", 0.7, 100, 0.0),
    ],
)
def test_time_steps_of_the_estimate(
    tmp_path: Path, kind: Any, level: float, reach: int, window: float
) -> None:
    content = changed("grad_args", grad_sample_type=kind, grad_sample_range=reach)
    content["noise_level"] = level
    found = read_bvp(written(tmp_path, content)).settings.metric
    assert found.window == pytest.approx(window)
    assert (found.score is ScoreKind.PUBLISHED) is (kind == "ori_step")
    centred = kind in ("back_n_forward_sample", "ori_step")
    assert ("grad_sample_type" in noted(tmp_path, content)) is not centred


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [
        ("grad_args", "grad_weight_type", "increase"),
        ("grad_args", "grad_guidance_1", 2.0),
        ("bisect_args", "random_end", True),
        ("bisect_args", "only_new_points", True),
        ("opt_args", "iter_num", 400),
        ("opt_args", "lr_scheduler", "polynomial"),
        ("opt_args", "lr_divide", False),
        ("tv_args", "tv_lr", 0.01),
        ("output_args", "cfg_sample", 0.5),
        ("output_args", "eta", 1.0),
        ("output_args", "output_opt_points", False),
        ("output_args", "output_separate_images", False),
        ("output_args", "use_neg_prompt", True),
        ("output_args", "use_neg_prompt_io", True),
        ("output_args", "out_interval", 50),
        ("", "spline_type", "cubic"),
    ],
)
def test_what_cannot_be_taken_over_is_said_in_one_line(
    tmp_path: Path, group: str, key: str, value: Any
) -> None:
    assert key not in noted(tmp_path, FULL)
    note = noted(tmp_path, changed(group, **{key: value}))[key]
    assert note.startswith(f"{key} {value}: ")
    assert "\n" not in note


WRONG: list[tuple[Any, str]] = [
    ({**ENDS, "opt_args": {"lrr": 0.1}}, "no key in opt_args called 'lrr'; did you mean lr?"),
    ({**ENDS, "noise": 0.1}, "no key called 'noise'; did you mean noise_level?"),
    ({**ENDS, "opt_args": {"lr": "1e-3"}}, "lr is '1e-3'; it should be a valid number"),
    ({**ENDS, "opt_args": 3}, "opt_args is 3; expected keys with values"),
    ({**ENDS, "noise_level": 0}, "noise_level is 0; it should be greater than 0"),
    ({**ENDS, "alpha": float("nan")}, "alpha is nan"),
    ({**ENDS, "use_lerp_cond": 1}, "use_lerp_cond is 1; it should be a valid boolean"),
    ({**ENDS, "bisect_args": {"max_strength": 4.0}}, "max_strength is 4.0"),
    ({**ENDS, "grad_args": {"grad_sample_type": [1]}}, r"is \[1\]; expected two time steps"),
    ({**ENDS, "spline_type": "linear"}, "spline_type is 'linear'"),
    ({"pathA": "a.png"}, "got no pathB"),
    ([1], "holds list"),
]


@pytest.mark.parametrize(("content", "words"), WRONG, ids=[w for _, w in WRONG])
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        read_bvp(written(tmp_path, content))
    assert str(caught.value).startswith(str(tmp_path / "config.yaml"))
    assert "\n" not in str(caught.value)


@pytest.mark.whole
def test_a_file_is_run_and_options_go_before_it(
    geodesic: Geodesic, folder: Path, tmp_path: Path
) -> None:
    content = {
        **ENDS,
        "promptA": "a",
        "promptB": "b",
        "noise_level": 0.5,
        "bisect_args": {"max_strength": 1, "bisect_interval": 2},
        "output_args": {"out_dir": str(tmp_path / "there"), "output_image_num": 5},
    }
    file = written(tmp_path, content)
    options = [
        "--steps",
        "4",
        "--frames",
        "3",
        "--model",
        "model",
        "--film-only",
        "-o",
        tmp_path / "out",
    ]
    said = geodesic("interpolate", "--authors-config", file, *options, cwd=folder)
    assert said.status == 0, said.err
    assert "left out, so as in the published preset: alpha," in said.err
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    settings = result["settings"]
    assert (settings["film"]["frames"], settings["inversion"]["steps"]) == (3, 4)
    assert settings["inversion"]["level"] == 0.5
    assert settings["solve"]["bisection_steps"] == 2
    assert settings["prompts"]["prompt"] == ["a", "b"]
    assert not (tmp_path / "there").exists()


def test_one_source_of_settings_only(geodesic: Geodesic, folder: Path, tmp_path: Path) -> None:
    file = written(tmp_path, ENDS)
    command = ["interpolate", "--authors-config", file, "-o", tmp_path / "out"]
    for others in (["--preset", "draft"], ["--config", file]):
        said = geodesic(*command, *others, cwd=folder)
        assert f"got authors_config and {others[0][2:]}" in said.error


def test_the_rate_of_text_inversion_is_the_one_here() -> None:
    assert TextInversion().rate == RATE
