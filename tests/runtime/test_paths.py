"""Names of files: the home directory, and names that cannot be printed as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion_geodesics.runtime.paths import expand, printable


def test_a_leading_tilde_is_the_home_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand("~/a.png") == tmp_path / "a.png"
    assert expand(Path("~") / "a.png") == tmp_path / "a.png"
    assert expand("~") == tmp_path
    assert expand("dir/~/a.png") == Path("dir/~/a.png")
    assert expand("a~.png") == Path("a~.png")


def test_a_tilde_of_no_user_is_part_of_the_name() -> None:
    assert expand("~tmp-nobody-has-this-name.png") == Path("~tmp-nobody-has-this-name.png")


def test_what_is_there_as_it_is_written_is_meant(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~").mkdir()
    (tmp_path / "~" / "a.png").touch()
    assert expand("~/a.png") == Path("~/a.png")
    assert expand("~/b.png") == tmp_path / "home" / "b.png"


def test_no_home_directory_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", homeless)
    assert expand("~/a.png") == Path("~/a.png")


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"caf\xe9.png", r"caf\xe9.png"),
        ("café.png".encode(), "café.png"),
        ("猫　1.png".encode(), "猫　1.png"),
        (b"two\nlines\x1b[31m.png", r"two\nlines\x1b[31m.png"),
        ("a\u2028b".encode(), r"a\u2028b"),
        (b"cat [draft].png", "cat [draft].png"),
    ],
)
def test_names_are_shown_on_one_line(raw: bytes, shown: str) -> None:
    assert printable(os.fsdecode(raw)) == shown
    assert printable(Path(os.fsdecode(raw))) == shown


@given(st.text(st.characters(exclude_characters="\0")))
def test_any_name_can_be_written_as_utf8_on_one_line(name: str) -> None:
    shown = printable(name)
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")


@given(st.binary(min_size=1, max_size=30))
def test_any_bytes_can_be_shown(raw: bytes) -> None:
    printable(os.fsdecode(raw)).encode("utf-8")


def test_names_are_shown_under_the_posix_locale() -> None:
    code = "import sys; from diffusion_geodesics.runtime.paths import printable as p; "
    code += "print(p(sys.argv[1]))"
    environment = {**os.environ, "LC_ALL": "POSIX"}
    environment.pop("PYTHONIOENCODING", None)
    done = subprocess.run(
        [sys.executable, "-c", code, b"caf\xe9 \xc3\xa9"], capture_output=True, env=environment
    )
    assert (done.returncode, done.stdout) == (0, b"caf\\xe9 \xc3\xa9\n"), done.stderr
