"""Options, files of settings and presets: what goes first, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffusion_geodesics.cli.compare import CompareCommand
from diffusion_geodesics.cli.interpolate import InterpolateCommand
from diffusion_geodesics.cli.options import chosen, from_file
from diffusion_geodesics.interpolation.settings import InterpolationSettings, PathName
from diffusion_geodesics.latents.settings import SolverName
from diffusion_geodesics.runtime.settings import SettingsError, flat_fields
from tests.cli.conftest import Geodesic

JOBS = ("interpolate", "extrapolate", "analyze", "distance", "density", "compare")


def write(folder: Path, text: str, name: str = "run.toml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


# Where values come from


def test_options_go_before_a_file_and_a_file_before_defaults(tmp_path: Path) -> None:
    file = write(tmp_path, "frames = 5\n[metric]\nstrength = 2.0\n[inversion]\nlevel = 0.2\n")
    found = chosen(InterpolateCommand, {"level": 0.3}, file)
    assert (found.film.frames, found.metric.strength) == (5, 2.0)
    assert found.inversion.level == 0.3
    assert found.inversion.steps == InterpolationSettings().inversion.steps


def test_a_preset_on_the_command_line_goes_before_a_file(tmp_path: Path) -> None:
    file = write(tmp_path, 'path = "lerp"\nframes = 5\nlevel = 0.1\n')
    found = chosen(InterpolateCommand, {"prompt": ("a",), "level": 0.3}, file, "published")
    assert found.path is PathName.GEODESIC
    assert found.solve.solver is SolverName.PUBLISHED
    assert (found.film.frames, found.inversion.level) == (5, 0.3)


def test_a_preset_in_a_file_lies_below_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, 'preset = "published"\nprompt = "a"\nlevel = 0.25\n')
    found = chosen(InterpolateCommand, {}, file)
    assert found.solve.solver is SolverName.PUBLISHED
    assert found.inversion.level == 0.25
    assert found.metric.alpha == 0.002


def test_an_option_that_replaces_another_takes_its_place(tmp_path: Path) -> None:
    file = write(tmp_path, "alpha = 0.5\n")
    assert chosen(InterpolateCommand, {"strength": 2.0}, file).metric.alpha is None
    with pytest.raises(SettingsError, match="both alpha and strength"):
        chosen(InterpolateCommand, {}, write(tmp_path, "alpha = 0.5\nstrength = 1\n"))


def test_what_an_option_leaves_without_effect_is_taken_from_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, "max_steps = 7\n")
    assert "max_steps" not in chosen(InterpolateCommand, {"path": "slerp"}, file).explicit()
    with pytest.raises(SettingsError, match="max_steps has no effect"):
        chosen(InterpolateCommand, {"path": "slerp", "max_steps": 7}, None)
    with pytest.raises(SettingsError, match="max_steps has no effect"):
        chosen(InterpolateCommand, {}, write(tmp_path, 'path = "slerp"\nmax_steps = 7\n'))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.toml", 'images = ["a.png", "b.png"]\n[film]\nframes = 5\n'),
        ("run.yaml", "images: [a.png, b.png]\nfilm:\n  frames: 5\n"),
        ("run.json", '{"images": ["a.png", "b.png"], "film": {"frames": 5}}'),
    ],
)
def test_every_kind_of_file(tmp_path: Path, name: str, text: str) -> None:
    found = chosen(InterpolateCommand, {}, write(tmp_path, text, name))
    assert found.images == (tmp_path / "a.png", tmp_path / "b.png")
    assert found.film.frames == 5


def test_images_on_the_command_line_take_the_place_of_those_in_a_file(tmp_path: Path) -> None:
    file = write(tmp_path, 'images = ["a.png", "b.png"]\n')
    found = chosen(InterpolateCommand, {}, file, images=(Path("c.png"), Path("d.png")))
    assert found.images == (Path("c.png"), Path("d.png"))


def test_inputs_are_relative_to_the_file_and_outputs_to_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    file = write(
        tmp_path,
        'pairs = "pairs.csv"\nframes_of = ["other=frames", "more"]\nclip = "/absolute/clip"\n'
        'output = "out"\ncache = "kept"\nmodel = "net"\n',
    )
    found = from_file(CompareCommand, file)
    assert found["pairs"] == str(tmp_path / "pairs.csv")
    assert found["frames_of"] == [f"other={tmp_path}/frames", f"{tmp_path}/more"]
    assert found["clip"] == "/absolute/clip"
    assert (found["output"], found["cache"]) == ("out", "kept")
    assert found["model"] == str(tmp_path / "net")
    hub = write(tmp_path, 'model = "someone/something"\n')
    assert from_file(CompareCommand, hub)["model"] == "someone/something"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("framez = 3\n", "did you mean frames"),
        ("[film]\nframez = 3\n", r"setting in \[film\]"),
        ("frames = 3\n[film]\nframes = 3\n", "frames is given twice"),
        ("frames = [", "cannot be read"),
        ('frames = "many"\n', "frames is 'many'"),
        ('path = "geodesics"\n', "path is 'geodesics'"),
        ("level = nan\n", "level"),
    ],
)
def test_a_wrong_file_is_complained_about_in_one_line(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        chosen(InterpolateCommand, {}, write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    for name, text in (("run.ini", ""), ("list.yaml", "- 1\n")):
        with pytest.raises(SettingsError, match=r"neither \.toml|holds list"):
            chosen(InterpolateCommand, {}, write(tmp_path, text, name))
    with pytest.raises(SettingsError, match="cannot be read"):
        chosen(InterpolateCommand, {}, tmp_path / "missing.toml")


# From settings to options


@pytest.mark.parametrize("job", JOBS)
def test_every_setting_is_an_option(geodesic: Geodesic, tmp_path: Path, job: str) -> None:
    module = __import__(f"diffusion_geodesics.cli.{job}", fromlist=["x"])
    command = getattr(module, f"{job.capitalize()}Command")
    shown = geodesic(job, "--help", cwd=tmp_path).out
    arguments = {"images", "clips", "start_image", "runs"}
    for name in set(flat_fields(command)) - arguments:
        assert f"--{name.replace('_', '-')}" in shown, name


def test_defaults_are_shown(geodesic: Geodesic, tmp_path: Path) -> None:
    shown = " ".join(geodesic("interpolate", "--help", cwd=tmp_path).out.replace("│", "").split())
    defaults = InterpolationSettings()
    for value in (defaults.film.guidance, defaults.inversion.level, defaults.prompts.invert_text):
        assert f"[default: {value}]" in shown
