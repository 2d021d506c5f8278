"""The reference is complete, and its table of settings current."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name
from types import ModuleType
from xml.etree import ElementTree

import pytest

import diffusion_geodesics as dg
from tests.docs.pages import ROOT

REFERENCE = ROOT / "docs" / "reference"
PACKAGE = "diffusion_geodesics"

TOP: list[str] = vars(dg)["__all__"]


def directives() -> list[str]:
    """The names that the reference pages document."""
    text = "".join(page.read_text(encoding="utf-8") for page in sorted(REFERENCE.glob("*.md")))
    return re.findall(r"^::: (\S+)$", text, re.MULTILINE)


def documented() -> set[int]:
    """The identities of all objects that are documented: those named, and what modules export."""
    found: set[int] = set()
    for name in directives():
        thing = resolve_name(name)
        found.add(id(thing))
        if isinstance(thing, ModuleType):
            names = getattr(thing, "__all__", None) or [n for n in vars(thing) if n[0] != "_"]
            found |= {id(getattr(thing, n)) for n in names}
    return found


def public_names() -> list[str]:
    """Every name at the top, and every name of a namespace."""
    names = [n for n in TOP if not n.startswith("_")]
    found = []
    for name in names:
        thing = getattr(dg, name)
        if isinstance(thing, ModuleType):
            found += [f"{name}.{inner}" for inner in thing.__all__]
        else:
            found.append(name)
    return found


def test_the_public_names_are_what_the_stub_says() -> None:
    stub = (ROOT / "src" / PACKAGE / "__init__.pyi").read_text(encoding="utf-8")
    assert set(re.findall(r" as (\w+)", stub)) == set(TOP)


@pytest.mark.parametrize("name", public_names())
def test_every_public_name_is_in_the_reference(name: str) -> None:
    assert id(resolve_name(f"{PACKAGE}:{name}")) in documented()


def test_the_index_names_everything_at_the_top() -> None:
    text = (REFERENCE / "index.md").read_text(encoding="utf-8")
    missing = [n for n in TOP if f"`dg.{n}`" not in text and not n.startswith("_")]
    assert not missing


def test_the_table_of_settings_is_current() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "settings_table.py"))["page"]
    shown = (REFERENCE / "settings.md").read_text(encoding="utf-8")
    assert page() == shown, "run: python docs/settings_table.py"


def test_the_table_names_every_setting_of_every_command() -> None:
    from diffusion_geodesics.runtime.settings import flat_fields

    script = runpy.run_path(str(ROOT / "docs" / "settings_table.py"))
    text = script["page"]()
    for command, settings in script["COMMANDS"].items():
        module = import_module(f"{PACKAGE}.cli.{command}")
        for name in flat_fields(getattr(module, settings)):
            assert f"| `{name}` |" in text, (command, name)


@pytest.mark.slow
def test_the_site_builds_and_has_every_public_name(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    pages = "".join(p.read_text("utf-8") for p in (tmp_path / "reference").glob("*.html"))
    for name in public_names():
        last = name.rpartition(".")[2]
        assert re.search(rf'id="{PACKAGE}[\w.]*\.{last}"', pages), name


def test_drawings_are_whole() -> None:
    """A browser shows nothing of one that is no XML."""
    files = sorted((ROOT / "docs" / "images").glob("*.svg"))
    assert files
    for file in files:
        assert ElementTree.parse(file).getroot().tag == "{http://www.w3.org/2000/svg}svg", file


def test_every_warning_is_explained() -> None:
    """The codes of all diagnostics are on the page of questions."""
    page = (ROOT / "docs" / "questions.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"`([a-z_]+)`", page))
    sources = (ROOT / "src" / PACKAGE).rglob("*.py")
    code = re.compile(r'Diagnostic\(\s*"([a-z_]+)"')
    used = {c for file in sources for c in code.findall(file.read_text(encoding="utf-8"))}
    assert len(used) > 20
    assert not used - explained


def test_the_architecture_names_every_package() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    parts = (ROOT / "src" / PACKAGE).iterdir()
    names = {p.stem for p in parts if p.suffix == ".py" or (p / "__init__.py").is_file()}
    named = {name.strip("/") for name in re.findall(r"`([a-z_]+/?)`", text)}
    assert not {n for n in names if not n.startswith("__")} - named
