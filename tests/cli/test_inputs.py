"""What is looked at before a model is loaded, and before the work begins."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args, get_origin

import pytest

from diffusion_geodesics.cli.analyze import AnalyzeCommand
from diffusion_geodesics.cli.compare import CompareCommand
from diffusion_geodesics.cli.density import DensityCommand
from diffusion_geodesics.cli.distance import DistanceCommand
from diffusion_geodesics.cli.estimate import EstimateCommand
from diffusion_geodesics.cli.evaluate import EvaluateCommand
from diffusion_geodesics.cli.extrapolate import ExtrapolateCommand
from diffusion_geodesics.cli.interpolate import InterpolateCommand
from diffusion_geodesics.cli.partial import forget, place_beside
from diffusion_geodesics.comparison.settings import KEPT_PAIRS
from diffusion_geodesics.runtime.settings import JobSettings, SettingsError, flat_fields
from tests.cli.conftest import Geodesic

COMMANDS: tuple[type[JobSettings], ...] = (
    AnalyzeCommand,
    CompareCommand,
    DensityCommand,
    DistanceCommand,
    EstimateCommand,
    EvaluateCommand,
    ExtrapolateCommand,
    InterpolateCommand,
)
NEEDED: dict[str, dict[str, Any]] = {"cache": {"invert_text": 5}, "mask_b": {"mask": "y"}}
"""What a path goes with."""
every_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.__name__)


def kinds(annotation: Any) -> Iterator[Any]:
    """A type and all that it is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from kinds(part)


@every_command
def test_a_home_folder_is_meant_in_every_path(
    command: type[JobSettings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    fields = flat_fields(command)
    paths = [name for name, field in fields.items() if Path in kinds(field.info.annotation)]
    for name in paths:
        several = get_origin(fields[name].info.annotation) is tuple
        given = {**NEEDED.get(name, {}), name: ("~/x", "y") if several else "~/x"}
        found = command.of(**given).explicit()[name]
        assert (found[0] if several else found) == tmp_path / "x", name
    if command is not EvaluateCommand:
        assert paths


@every_command
def test_every_number_has_a_bound(command: type[JobSettings]) -> None:
    """No slip of a digit too many is tried in earnest."""
    for name, field in flat_fields(command).items():
        if {int, float} & set(kinds(field.info.annotation)) and name != "seed":
            with pytest.raises(SettingsError, match=name):
                command.of(**{name: 10**20})


SIZES = [
    ("--size", "9999999999", "less than or equal to 4096"),
    ("--size", "20000", "less than or equal to 4096"),
    ("--frames", "1000000", "less than or equal to 100000"),
    ("--starts", "1000000", "less than or equal to 1000"),
    ("--steps", "1e9", "steps"),
    ("--level", "nan", "level"),
    ("--tol", "inf", "tol"),
]


@pytest.mark.parametrize(("option", "value", "said"), SIZES)
def test_sizes_are_bounded_in_one_line(
    geodesic: Geodesic, folder: Path, option: str, value: str, said: str
) -> None:
    refused = geodesic("interpolate", "a.png", "b.png", "-o", "x", option, value, cwd=folder)
    assert refused.status in (1, 2)
    assert said in refused.error


def test_a_device_without_values_is_refused(geodesic: Geodesic, folder: Path) -> None:
    command = ["interpolate", "a.png", "b.png", "-o", "x", "--device", "meta"]
    assert "'meta', which cannot be used here" in geodesic(*command, cwd=folder).error


def test_room_on_the_disk_is_looked_at_before_the_work(
    geodesic: Geodesic, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "diffusion_geodesics.runtime.storage.shutil.disk_usage",
        lambda path: SimpleNamespace(free=100_000),
    )
    model = ("--model", "model", "--steps", "4", "--level", "0.5")
    pair = ["a.png", "b.png", "-o", tmp_path / "x", *model]
    for command in (
        ["interpolate", *pair, "--frames", "400"],
        ["extrapolate", "a.png", *pair[2:], "--random", "3", "--frames", "400"],
        ["compare", *pair, "-m", "slerp", "--frames", "400"],
    ):
        refused = geodesic(*command, cwd=folder)
        assert "GB free and the results need about" in refused.error
        assert "Encoding" not in refused.err
    assert list(tmp_path.iterdir()) == []


def test_directions_that_solve_nothing_take_no_solver(geodesic: Geodesic, folder: Path) -> None:
    command = ["extrapolate", "a.png", "-o", "x"]
    refused = geodesic(*command, "--random", "3", "--tol", "0.1", cwd=folder)
    assert "tol has no effect, because nothing is solved to go that way (random)" in refused.error
    chord = geodesic(*command, "--towards", "b.png", "--chord", "--max-steps", "3", cwd=folder)
    assert "max_steps has no effect" in chord.error
    assert ExtrapolateCommand.of(towards="b.png", tol=0.1).solve.tol == 0.1
    few = geodesic("extrapolate", "a.png", "-o", "x", "--last", "0", cwd=folder)
    assert "got 0 frames" in few.error or "still image" in few.error


def test_finished_pairs_are_kept_where_that_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = tmp_path / "a" / "b" / "out"
    assert place_beside(new, ".partial") == new.with_name("out.partial")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert place_beside(new, ".partial") is None


def test_files_of_others_among_finished_pairs_stay(tmp_path: Path) -> None:
    partial, kind = tmp_path / "out.partial", KEPT_PAIRS
    (partial / kind).mkdir(parents=True)
    (partial / kind / "1.safetensors").touch()
    (partial / "mine").mkdir()
    for mine in (partial / "mine.safetensors", partial / "mine" / "lora.safetensors"):
        mine.touch()
    forget(partial, kind)
    left = sorted(p.relative_to(partial).as_posix() for p in partial.rglob("*"))
    assert left == ["mine", "mine.safetensors", "mine/lora.safetensors"]
    forget(tmp_path / "none", kind)


def test_names_with_control_characters_are_shown_escaped(
    geodesic: Geodesic, tmp_path: Path
) -> None:
    refused = geodesic("density", "two\nlines\x1b[31m.png", cwd=tmp_path)
    assert refused.status == 1
    assert "\x1b" not in refused.err
    assert r"\x1b[31m.png does not exist" in refused.error
