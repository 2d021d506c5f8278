"""Every command from its words to its files, and what is said about wrong ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from diffusion_geodesics.cli.main import COMMANDS
from tests.cli.conftest import Geodesic, Said

QUICK = ("--steps", "4", "--level", "0.5", "--model", "model")


WRONG: dict[str, list[str]] = {
    "does not exist": ["missing.png", "b.png"],
    "note.txt": ["note.txt", "b.png"],
    "identical": ["a.png", "a.png", "--model", "model"],
    "no model 'nothing-here'": ["a.png", "b.png", "--model", "nothing-here"],
    "frames is 1": ["a.png", "b.png", "--frames", "1"],
    "size is 'big'": ["a.png", "b.png", "--size", "big"],
    "guidance is 3 but there is no prompt": ["a.png", "b.png", "--guidance", "3"],
    "give a prompt": ["a.png", "b.png", "--score", "ratio"],
    "toaster": ["a.png", "b.png", "--device", "toaster"],
    "a random score": ["a.png", "b.png", "--prompt", "a", "--score", "published-random"],
    "model exists": ["a.png", "b.png", "-o", "model"],
    "at least 2 images": ["a.png"],
    "alpha and strength": ["a.png", "b.png", "--alpha", "1", "--strength", "2"],
    "max_steps has no effect": ["a.png", "b.png", "--path", "slerp", "--max-steps", "3"],
    "expected one of: natural, geodesic": ["a.png", "b.png", "--preset", "nature"],
}
"""Words of a complaint, and what it is about."""


@pytest.mark.parametrize("complaint", WRONG)
def test_bad_input_gets_one_line_and_writes_nothing(
    geodesic: Geodesic, folder: Path, complaint: str
) -> None:
    arguments = WRONG[complaint]
    out = [] if "-o" in arguments else ["-o", "bad/deep"]
    said = geodesic("interpolate", *arguments, *out, cwd=folder)
    assert said.status == 1
    assert complaint in said.error
    assert said.out == ""
    assert not (folder / "bad").exists()


def test_the_folder_must_be_named(geodesic: Geodesic, folder: Path) -> None:
    said = geodesic("interpolate", "a.png", "b.png", cwd=folder)
    assert said.status == 1
    assert "name one: output (-o) FOLDER" in said.error


def test_an_option_that_does_not_exist(geodesic: Geodesic, folder: Path) -> None:
    said = geodesic("interpolate", "a.png", "b.png", "-o", "out", "--framez", "3", cwd=folder)
    assert said.status == 2
    assert "--framez" in said.error
    assert "--frames" in said.error, "the nearest one is named"


def test_a_command_that_does_not_exist(geodesic: Geodesic, folder: Path) -> None:
    said = geodesic("interpolat", cwd=folder)
    assert said.status == 2
    assert "interpolate" in said.error


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(geodesic: Geodesic, folder: Path, command: str) -> None:
    said = geodesic(command, "--help", cwd=folder)
    assert said.status == 0
    assert f"geodesic {command}" in said.out
    assert COMMANDS[command].split()[0] in said.out


def test_version(geodesic: Geodesic, folder: Path) -> None:
    assert geodesic("--version", cwd=folder).out.startswith("geodesic 0.")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the results of this file."""
    return tmp_path_factory.mktemp("runs")


def listed(said: Said) -> list[str]:
    """The files that a command names, all of which are there."""
    assert said.status == 0, said.err
    files = [Path(line) for line in said.out.splitlines()]
    assert all(file.is_file() for file in files)
    return [file.name for file in files]


@pytest.mark.whole
def test_interpolate(geodesic: Geodesic, folder: Path, runs: Path) -> None:
    out = runs / "morph"
    command = ["interpolate", "a.png", "b.png", "-o", out, "--format", "mp4,gif", "--frames", "3"]
    said = geodesic(*command, *QUICK, cwd=folder)
    assert listed(said) == ["strip.png", "morph.gif", "morph.mp4", "report.html", "result.json"]
    for words in ("natural", "slerp", "lerp", "network evaluations"):
        assert words in said.err
    result = json.loads((out / "result.json").read_text())
    assert result["settings"]["film"]["frames"] == 3
    assert result["model"]["id"] == "model"
    assert result["cost"]["nfe"] == sum(s["nfe"] for s in result["cost"]["stages"].values())
    assert len(result["log_density"]) == 3
    assert load_file(out / "path.safetensors")["latents"].shape == (33, result["dim"])
    again = geodesic(*command, *QUICK, cwd=folder)
    assert again.status == 1
    assert "morph exists" in again.error
    assert listed(geodesic(*command, *QUICK, "--overwrite", cwd=folder))


@pytest.mark.whole
def test_interpolate_through_several_images(geodesic: Geodesic, folder: Path, runs: Path) -> None:
    out = runs / "chain"
    command = ["interpolate", "a.png", "b.png", "c.png", "-o", out, "--frames", "5"]
    listed(geodesic(*command, "--path", "slerp", *QUICK, cwd=folder))
    result = json.loads((out / "result.json").read_text())
    assert len(result["segments"]) == 2
    assert len(result["keyframes"]) == 3


@pytest.mark.whole
def test_extrapolate(geodesic: Geodesic, folder: Path, runs: Path) -> None:
    command = ["extrapolate", "a.png", "-o", runs / "ray", "--frames", "3", "--ray-steps", "4"]
    said = geodesic(*command, "--random", "3", *QUICK, cwd=folder)
    assert listed(said) == ["strip.png", "morph.mp4", "report.html", "result.json"]
    assert "network evaluations" in said.err
    both = geodesic(*command, "--random", "3", "--past", "b.png", *QUICK, cwd=folder)
    assert "past and random" in both.error
    other = geodesic(*command, "--random", "3", "--chord", *QUICK, cwd=folder)
    assert "chord goes with towards" in other.error


@pytest.mark.whole
def test_distance(geodesic: Geodesic, folder: Path, runs: Path) -> None:
    images = ["a.png", "b.png", "c.png"]
    said = geodesic("distance", *images, "-o", runs / "matrix", *QUICK, cwd=folder)
    names = ["distances.csv", "heatmap.svg", "embedding.svg", "report.html", "result.json"]
    assert listed(said) == names
    assert "3 of 3 pairs solved" in said.err
    assert not list(runs.glob("*.partial*"))


def test_distance_under_other_metrics(geodesic: Geodesic, folder: Path, runs: Path) -> None:
    command = ["distance", "a.png", "b.png", "-o", runs / "moving", "--metric", "metamorphosis"]
    said = geodesic(*command, cwd=folder)
    assert "measured: metamorphosis, euclidean; 0 network evaluations" in said.err
    head = (runs / "moving" / "distances.csv").read_text().splitlines()[0]
    assert head == "a,b,distance,error,motion,appearance,euclidean"
    assert not list(runs.glob("*.partial*"))
    refused = geodesic(*command[:-1], "euclidean", "--alpha", "0.1", cwd=folder)
    assert "alpha has no effect, because the metric is euclidean" in refused.error
    wrong = geodesic(*command[:-1], "manhattan", cwd=folder)
    assert "metric" in wrong.error


@pytest.mark.whole
def test_density(geodesic: Geodesic, folder: Path, runs: Path) -> None:
    command = ["density", "a.png", *QUICK, "--probes", "6", "--rtol", "0.05"]
    table = geodesic(*command, cwd=folder)
    assert table.status == 0
    assert "bits per latent dimension" in table.out
    file = runs / "density.json"
    shown = geodesic(*command, "--json", "-o", file, cwd=folder)
    assert json.loads(shown.out) == json.loads(file.read_text())
    assert geodesic(*command, "-o", file, cwd=folder).status == 1
    picture = (folder / "a.png").read_bytes()
    for more in ((), ("--overwrite",)):
        refused = geodesic(*command, "-o", "a.png", *more, cwd=folder)
        assert "a.png exists and was not written by" in refused.error
        assert (folder / "a.png").read_bytes() == picture


@pytest.mark.whole
def test_compare_and_evaluate(geodesic: Geodesic, folder: Path, runs: Path) -> None:
    command = ["compare", "a.png", "b.png", "-o", runs / "table", "--frames", "3", *QUICK]
    said = geodesic(*command, "-m", "slerp", "-m", "natural:strength=0", cwd=folder)
    names = ["report.html", "table.tex", "table.csv", "pairs.csv", "result.json"]
    assert listed(said) == names
    assert "natural 0" in said.err
    assert not list(runs.glob("*.partial*"))
    wrong = geodesic(*command, "--overwrite", "-m", "slurp", cwd=folder)
    assert "no method 'slurp'" in wrong.error
    shutil.copytree(runs / "table" / "frames" / "slerp" / "a-b", runs / "strip")
    strips = f"ours={runs / 'strip'}"
    ours = f"natural={runs / 'table' / 'frames' / 'natural-0'}"
    ranked = geodesic("evaluate", strips, ours, "-o", runs / "ranks", "--frames", "3", cwd=folder)
    assert set(listed(ranked)) <= set(names)
    doubled = geodesic("evaluate", strips, strips, "-o", runs / "x", cwd=folder)
    assert "two runs are called ours" in doubled.error


def test_estimate(geodesic: Geodesic, folder: Path) -> None:
    shown = geodesic("estimate", *QUICK, "--frames", "3", "--json", cwd=folder)
    told = json.loads(shown.out)
    assert told["nfe"] == sum(stage["nfe"] for stage in told["stages"].values())
    table = geodesic("estimate", *QUICK, "--frames", "3", cwd=folder)
    assert f"≤ {told['nfe']}" in table.out


@pytest.mark.whole
def test_names_with_brackets_are_shown_as_they_are(
    geodesic: Geodesic, folder: Path, tmp_path: Path
) -> None:
    """Text of users is never markup."""
    names = ["cat [draft].png", "cat [final].png", "[bold]x.png"]
    for name, source in zip(names, ("a", "b", "c"), strict=True):
        (tmp_path / name).write_bytes((folder / f"{source}.png").read_bytes())
    command = ["density", *names, "--steps", "4", "--level", "0.5", "--probes", "3"]
    said = geodesic(*command, "--rtol", "0.5", "--model", folder / "model", cwd=tmp_path)
    assert said.status == 0, said.err
    assert all(name in said.out for name in names)


def test_torch_is_as_it_was(geodesic: Geodesic, folder: Path) -> None:
    """A command leaves no setting of the process behind."""
    before = torch.get_default_dtype(), torch.is_grad_enabled()
    geodesic("estimate", *QUICK, cwd=folder)
    assert (torch.get_default_dtype(), torch.is_grad_enabled()) == before
