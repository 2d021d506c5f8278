"""Every command that the documentation shows can be given."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from diffusion_geodesics.cli.failures import Interrupted
from diffusion_geodesics.cli.main import COMMANDS, app
from tests.docs.pages import PAGES, ROOT, commands, name_of

PLACEHOLDERS = ("...", "…")

command_line = import_module("diffusion_geodesics.cli.main")


def shown(page: Path, program: str) -> list[list[str]]:
    """The arguments of a program's commands on a page."""
    return [words[1:] for words in commands(page) if words[0] == program]


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[list[str]], Any]:
    """Reads a command line as ``geodesic`` does, with its settings, and stops before it acts."""
    seen: list[Any] = []
    for name in COMMANDS:
        module = import_module(f"diffusion_geodesics.cli.{name}")
        if hasattr(module, "run"):
            monkeypatch.setattr(module, "run", lambda command, **_: seen.append(command))
        elif hasattr(module, "chosen"):
            monkeypatch.setattr(module, "chosen", _then_stop(module.chosen, seen))
        elif name != "rerun":
            monkeypatch.setattr(module, name, _of_the_same_kind(getattr(module, name), seen))
    gathered = import_module("diffusion_geodesics.cli.batch")
    monkeypatch.setattr(gathered, "_gather", seen.append)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
    (tmp_path / "settings.toml").write_text('job = "interpolate"\nframes = 5\n')
    for folder in ("out", "OUT", "runs/mine"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "settings.toml").write_text('job = "interpolate"\nframes = 5\n')

    def parse(words: list[str]) -> Any:
        seen.clear()
        with suppress(_Chosen):
            app()(
                [word for word in words if not word.startswith(PLACEHOLDERS)],
                exit_on_error=False,
                print_error=False,
                result_action="return_none",
            )
        return seen[0] if seen else None

    return parse


class _Chosen(BaseException):
    """The settings of a command are known."""


def _then_stop(choose: Callable[..., Any], seen: list[Any]) -> Callable[..., Any]:
    def record(*arguments: Any, **options: Any) -> None:
        seen.append(choose(*arguments, **options))
        raise _Chosen

    return record


def _of_the_same_kind(function: Callable[..., Any], seen: list[Any]) -> Callable[..., Any]:
    @wraps(function)
    def record(*arguments: Any, **options: Any) -> None:
        seen.append((arguments, options))

    return record


@pytest.mark.parametrize(
    ("page", "words"),
    [
        pytest.param(page, words, id=f"{name_of(page)}: {' '.join(words)[:60]}")
        for page in PAGES
        for words in shown(page, "geodesic")
        if name_of(page) != "CHANGELOG.md"
    ],
)
def test_a_geodesic_command_parses(
    page: Path, words: list[str], parsed: Callable[[list[str]], Any]
) -> None:
    if words[0] == "COMMAND":
        words = ["interpolate", *words[1:]]
    assert words[0] in COMMANDS or words[0].startswith("-"), words
    if len(words) == 1 and not words[0].startswith("-"):
        return  # the name of a command in a sentence
    known = parsed([word.rstrip(".") if word.endswith("...") else word for word in words])
    assert known is not None or "--help" in words or "--version" in words


def test_a_wrong_command_does_not_parse(parsed: Callable[[list[str]], Any]) -> None:
    for words in (["interpolate", "a.png", "--framez", "3"], ["interpolate", "--path", "odd"]):
        with pytest.raises((Exception, SystemExit, Interrupted)) as caught:
            parsed(words)
        assert "framez" in str(caught.value) or "odd" in str(caught.value)
    with pytest.raises(ValueError, match="has no effect"):
        parsed(["interpolate", "a.png", "b.png", "--path", "slerp", "--starts", "3"])
    with pytest.raises(ValueError, match="probes is 4"):
        parsed(["density", "a.png", "--probes", "4"])


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        for words in shown(page, "make"):
            target = next((w for w in words if "=" not in w), None)
            assert target is None or f"\n{target}:" in makefile, (name_of(page), words)


def test_python_modules_exist() -> None:
    for page in PAGES:
        for words in shown(page, "python"):
            if words[0] == "-m":
                assert find_spec(words[1]) is not None, (name_of(page), words)
            else:
                assert (ROOT / words[0]).is_file(), (name_of(page), words)
