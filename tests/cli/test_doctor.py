"""`geodesic doctor` and `geodesic demo`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from diffusion_geodesics.cli import doctor as doctor_module
from diffusion_geodesics.cli.demo import example_portraits
from diffusion_geodesics.cli.doctor import Check
from diffusion_geodesics.version import __version__
from tests.cli.conftest import Geodesic


@pytest.mark.whole
def test_everything_is_looked_at(geodesic: Geodesic, tmp_path: Path) -> None:
    said = geodesic("doctor", cwd=tmp_path)
    assert said.status == 0, said.out
    lines = said.out.splitlines()
    assert all(line.startswith("ok ") for line in lines)
    assert __version__ in lines[0]
    for words in ("torch", "cpu", "embedded", f"{tmp_path}: writable", "network evaluations"):
        assert words in said.out
    assert not list(tmp_path.iterdir()), "it leaves nothing behind"


def test_it_can_be_read_by_programs(geodesic: Geodesic, tmp_path: Path) -> None:
    found = json.loads(geodesic("doctor", "--json", "--no-run", cwd=tmp_path).out)
    checks = {check["name"]: check for check in found}
    assert checks["diffusion-geodesics"]["text"].startswith(__version__)
    assert all(check["ok"] for check in found)
    assert "tiny run" not in checks


def test_what_is_wrong_does_not_hide_the_rest(
    geodesic: Geodesic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Iterable[Check]:
        raise RuntimeError("no driver")

    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor_module, "_devices", broken)
    monkeypatch.setattr("importlib.metadata.version", absent)
    monkeypatch.setattr(doctor_module, "FREE", 1e30)
    said = geodesic("doctor", "--no-run", cwd=tmp_path)
    assert said.status == 1
    wrong = [line for line in said.out.splitlines() if line.startswith("WRONG")]
    assert any("RuntimeError: no driver" in line for line in wrong)
    assert any("torch" in line and "not installed; install again" in line for line in wrong)
    assert not any("gradio" in line for line in wrong), "optional"
    assert any("working folder" in line and "free some space" in line for line in wrong)
    assert "embedded" in said.out


def test_a_folder_that_cannot_be_written_is_named(
    geodesic: Geodesic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    said = geodesic("doctor", "--no-run", cwd=tmp_path)
    assert said.status == 1
    assert f"{tmp_path}: Permission denied; choose a folder of your own" in said.out


@pytest.mark.whole
def test_the_demo_is_a_morph_with_options(geodesic: Geodesic, tmp_path: Path) -> None:
    few = ["--frames", "3", "--steps", "4", "--size", "64", "--path", "slerp", "--film-only"]
    said = geodesic("demo", *few, "--format", "gif", cwd=tmp_path)
    assert said.status == 0, said.err
    out = tmp_path / "geodesic-demo"
    assert (out / "morph.gif").is_file()
    told = json.loads((out / "result.json").read_text())
    assert told["settings"]["film"]["frames"] == 3
    again = geodesic("demo", *few, cwd=tmp_path)
    assert again.status == 1
    assert "geodesic-demo" in again.error
    elsewhere = geodesic("demo", *few, "-o", "other", "--format", "gif", cwd=tmp_path)
    assert elsewhere.status == 0
    assert (tmp_path / "other" / "report.html").is_file()


def test_an_installation_without_pictures_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(picture.is_file() for picture in example_portraits())
    monkeypatch.setattr("diffusion_geodesics.cli.demo.__file__", str(tmp_path / "a" / "b" / "c.py"))
    with pytest.raises(FileNotFoundError, match="install the package again"):
        example_portraits()
