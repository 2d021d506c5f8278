"""The authors' initial value problem, from a file to its settings."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from diffusion_geodesics.cli.authors.ivp import read_ivp
from diffusion_geodesics.cli.extrapolate import ExtrapolateCommand
from diffusion_geodesics.extrapolation.settings import IntegratorName
from diffusion_geodesics.interpolation.settings import PUBLISHED_NEGATIVE
from diffusion_geodesics.latents.settings import ScoreKind
from diffusion_geodesics.runtime.settings import SettingsError
from tests.cli.authors.test_bvp import written
from tests.cli.conftest import Geodesic

EXAMPLE = Path(__file__).parents[3] / "examples" / "authors_ivp.yaml"


def example(**changes: Any) -> dict[str, Any]:
    """The example with other values, by group or at the top."""
    found = yaml.safe_load(EXAMPLE.read_text())
    for key, value in changes.items():
        found[key] = {**found[key], **value} if isinstance(found.get(key), dict) else value
    return found


def test_the_example_is_read_key_by_key(tmp_path: Path) -> None:
    found = read_ivp(EXAMPLE)
    assert found.inputs == {
        "start_image": Path("examples/portrait_a.png"),
        "output": Path("runs/authors_ivp"),
        "random": 0,
        "as_drawn": True,
    }
    assert (EXAMPLE.parents[1] / found.inputs["start_image"]).is_file()
    s = found.settings
    assert (s.inversion.level, s.inversion.steps, s.inversion.refinements) == (0.6, 50, 0)
    assert (s.ray.integrator, s.ray.ray_steps) == (IntegratorName.PUBLISHED, 100)
    assert (s.ray.t_max, s.ray.frames, s.stops) == (1.0, 11, False)
    assert (s.metric.alpha, s.metric.flat, s.metric.window) == (0.002, False, 0.1)
    assert s.metric.score is ScoreKind.PUBLISHED_RANDOM
    said = (s.prompts.prompt, s.prompts.end_prompt, s.prompts.negative)
    assert said == ("a woman, smiling", "a man, serious", PUBLISHED_NEGATIVE)
    assert {n.split()[0] for n in found.notes} == {"grad_batch_size", "left"}


def test_a_given_velocity_and_one_prompt(tmp_path: Path) -> None:
    start = {"ini_v_type": "given", "ini_v_path": "v.npy", "ini_v_index": 0}
    content = example(
        ini_velocity_args=start,
        use_lerp_cond=False,
        sphere_constraint=False,
        opt_args={"iter_num": 45, "start_t": 0.5},
        grad_args={"grad_sample_type": "ori_step"},
        tv_args={"tv_steps": 500},
    )
    found = read_ivp(written(tmp_path, content))
    assert found.inputs["vector"] == Path("v.npy")
    assert "random" not in found.inputs
    s = found.settings
    assert (s.prompts.prompt, s.prompts.end_prompt) == ("a woman, smiling", None)
    assert (s.ray.t_max, s.ray.ray_steps, s.ray.frames) == (0.5, 45, 5)
    assert s.metric.flat
    assert (s.metric.score, s.metric.window) == (ScoreKind.PUBLISHED, 0.0)
    noted = {n.split()[0] for n in found.notes}
    assert noted >= {"ini_v_type", "ini_v_index", "start_t", "end_t", "output_interval"}
    assert noted >= {"tv_steps", "tv_lr"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"prompt_source": "a"}, "got no path0"),
        (example(pathA="a.png"), "no key called 'pathA'; did you mean path0?"),
        (example(opt_args={"lr": 0.1}), "no key in opt_args called 'lr'"),
        (example(opt_args={"end_t": 0.0}), "end_t is 0; expected more than start_t, 0"),
        (example(opt_args={"iter_num": 1.5}), "iter_num is 1.5"),
        (example(ini_velocity_args={"ini_v_type": "given"}), "ini_v_path is None; expected one"),
        (
            example(ini_velocity_args={"ini_v_type": "given", "ini_v_path": "vs.pt"}),
            r"ini_v_path is vs.pt; expected one vector in a .npy or .safetensors file",
        ),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(
    tmp_path: Path, content: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        read_ivp(written(tmp_path, content))
    assert "\n" not in str(caught.value)


@pytest.mark.whole
def test_a_file_is_run_and_options_go_before_it(
    geodesic: Geodesic, folder: Path, tmp_path: Path
) -> None:
    content = example(
        path0="a.png",
        opt_args={"iter_num": 4},
        output_args={"output_interval": 2, "out_dir": str(tmp_path / "out")},
    )
    file = written(tmp_path, content)
    options = ["--steps", "4", "--level", "0.5", "--model", "model", "--random", "5"]
    said = geodesic("extrapolate", "--authors-config", file, *options, cwd=folder)
    assert said.status == 0, said.err
    assert "growth not known" in said.err
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["times"] == [0.0, 0.5, 1.0]
    assert result["direction"] == "in a random direction (seed 5)"
    assert result["unit"] == "the length of the random vector"
    assert result["error"] is None
    settings = (tmp_path / "out" / "settings.toml").read_text()
    assert 'integrator = "published"' in settings
    assert "as_drawn = true" in settings


def test_options_beside_a_file(
    geodesic: Geodesic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[ExtrapolateCommand] = []
    module = import_module("diffusion_geodesics.cli.extrapolate")
    monkeypatch.setattr(module, "run", seen.append)
    command = ["extrapolate", "--authors-config", EXAMPLE]
    for options in (["--towards", "b.png"], ["--random", "3", "--score", "level", "--stop"]):
        assert geodesic(*command, *options, cwd=tmp_path).status == 0
    towards, random = seen
    assert (towards.direction.choice, towards.direction.as_drawn) == ("towards", False)
    assert (random.direction.random, random.direction.as_drawn) == (3, True)
    assert (random.prompts.negative, random.stops) == ("", True)
    assert random.start_image == Path("examples/portrait_a.png")
    said = geodesic(*command, "--config", EXAMPLE, cwd=tmp_path)
    assert "got authors_config and config" in said.error
