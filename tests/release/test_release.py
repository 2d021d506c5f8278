"""What surrounds the package: recipe, workflow, templates and containers agree with it."""

from __future__ import annotations

import io
import re
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from diffusion_geodesics.version import __version__
from tests.release.check import IN_WHEEL, ROOT, faults_of_sdist, faults_of_wheel

CONDA = {
    "matplotlib": "matplotlib-base",
    "torch": "pytorch",
}
"""Packages that conda calls otherwise."""


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def read_yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


def test_the_conda_recipe_wants_what_the_package_wants(project: dict[str, Any]) -> None:
    recipe = read_yaml("conda/recipe.yaml")
    assert recipe["context"]["version"] == __version__
    wanted = {"python": project["project"]["requires-python"]}
    for requirement in project["project"]["dependencies"]:
        name, bound = re.fullmatch(r"([\w-]+)(>=[\d.]+)", requirement).groups()  # type: ignore[union-attr]
        wanted[CONDA.get(name, name).lower()] = bound
    got = dict(line.split(" ") for line in recipe["requirements"]["run"])
    assert got == wanted


def test_the_workflow_runs_ci_on_every_system_and_version(project: dict[str, Any]) -> None:
    jobs = read_yaml(".github/workflows/ci.yml")["jobs"]
    matrix = jobs["test"]["strategy"]["matrix"]
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    classifiers = " ".join(project["project"]["classifiers"])
    assert matrix["python"] == re.findall(r":: (3\.\d+)", classifiers)
    assert any(step.get("run") == "bash .ci/run" for step in jobs["test"]["steps"])
    assert any(step.get("run") == "make release-check" for step in jobs["release"]["steps"])


@pytest.mark.parametrize("name", ["bug", "model", "idea"])
def test_templates_of_issues_are_forms(name: str) -> None:
    form = read_yaml(f".github/ISSUE_TEMPLATE/{name}.yml")
    assert {"name", "description", "body"} <= set(form)
    fields = {part["id"]: part["attributes"]["label"] for part in form["body"]}
    assert all(fields.values())
    assert ("doctor" in fields) == (name != "idea")
    assert "geodesic doctor" in fields.get("doctor", "geodesic doctor")


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.cuda"])
def test_containers_copy_what_the_package_is_built_of(name: str) -> None:
    text = (ROOT / name).read_text()
    assert 'ENTRYPOINT ["geodesic"]' in text
    assert "USER geodesic" in text, "not as root"
    let_in = [s[1:] for s in (ROOT / ".dockerignore").read_text().split() if s.startswith("!")]
    for needed in ("src", "pyproject.toml", "constraints.txt", "README.md", "LICENSE"):
        assert needed in let_in
    assert all(list(ROOT.glob(pattern)) for pattern in let_in)


def test_every_place_has_the_same_version() -> None:
    for name in ("CHANGELOG.md", "CITATION.cff"):
        assert __version__ in (ROOT / name).read_text(), name


def test_pictures_of_the_demo_are_in_the_repository_once() -> None:
    found = [p for p in ROOT.glob("*/**/portrait_a.png") if ".venv" not in p.parts]
    assert [p.relative_to(ROOT).parts[0] for p in found] == ["examples"]


def wheel_with(names: tuple[str, ...], place: Path) -> Path:
    with zipfile.ZipFile(place / "it.whl", "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return place / "it.whl"


def test_an_incomplete_wheel_is_noticed(tmp_path: Path) -> None:
    assert faults_of_wheel(wheel_with(IN_WHEEL, tmp_path)) == []
    assert faults_of_wheel(wheel_with(IN_WHEEL[1:], tmp_path)) == [f"it.whl lacks {IN_WHEEL[0]}"]
    (fault,) = faults_of_wheel(wheel_with((*IN_WHEEL, "tests/x.py"), tmp_path))
    assert fault == "it.whl holds tests beside the package"


def test_an_incomplete_source_archive_is_noticed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "it.tar.gz", "w:gz") as archive:
        for name in ("it/a.py", "it/docs/b.md", "it/PKG-INFO", "it/secret.txt"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    assert faults_of_sdist(tmp_path / "it.tar.gz", ["a.py", "docs/b.md", "c.py", ".ci/run"]) == [
        "it.tar.gz lacks c.py",
        "it.tar.gz has secret.txt, which is not in the repository",
    ]
