"""An output folder appears whole or not at all, and replaces only what is its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from diffusion_geodesics.report import check_folder, staged_folder


def write(folder: Path, text: str, *, overwrite: bool = False) -> None:
    """A minimal run: one file and its result.json."""
    with staged_folder(folder, overwrite=overwrite) as staging:
        (staging / "a.txt").write_text(text)
        result = {"program": "diffusion-geodesics", "files": ["a.txt", "result.json"]}
        (staging / "result.json").write_text(json.dumps(result))


def contents(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_new_folder_appears_with_its_parents_and_nothing_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "runs" / "one", "hello")
    assert contents(tmp_path) == ["runs", "runs/one", "runs/one/a.txt", "runs/one/result.json"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_nothing_is_left_when_writing_fails(tmp_path: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        with staged_folder(tmp_path / "runs" / "deep" / "one") as staging:
            (staging / "a.txt").write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert contents(tmp_path) == []


def test_a_former_run_survives_a_failure(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    write(folder, "former")

    def fail() -> None:
        with staged_folder(folder, overwrite=True) as staging:
            (staging / "a.txt").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert contents(tmp_path) == ["one", "one/a.txt", "one/result.json"]
    assert (folder / "a.txt").read_text() == "former"


def test_a_failed_last_step_puts_the_former_run_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "one"
    write(folder, "former")
    rename, calls = Path.rename, []

    def second_fails(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 2:
            raise OSError("disk trouble")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", second_fails)
    with pytest.raises(OSError, match="disk trouble"):
        write(folder, "new", overwrite=True)
    assert contents(tmp_path) == ["one", "one/a.txt", "one/result.json"]
    assert (folder / "a.txt").read_text() == "former"


def test_an_existing_run_is_replaced_only_when_asked(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    write(folder, "former")
    with pytest.raises(FileExistsError, match="exists; choose another folder or allow"):
        write(folder, "new")
    assert (folder / "a.txt").read_text() == "former"
    write(folder, "new", overwrite=True)
    assert (folder / "a.txt").read_text() == "new"
    assert contents(tmp_path) == ["one", "one/a.txt", "one/result.json"]


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    write(tmp_path / "one", "hello")
    assert contents(tmp_path / "one") == ["a.txt", "result.json"]


@pytest.mark.parametrize("result", [None, "{}", "not JSON", "[]", '{"program": "another"}'])
def test_a_folder_that_is_no_run_of_ours_is_never_replaced(
    tmp_path: Path, result: str | None
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "holiday.png").write_text("dear")
    if result is not None:
        (folder / "result.json").write_text(result)
    with pytest.raises(FileExistsError, match="was not written by"):
        write(folder, "new", overwrite=True)
    assert (folder / "holiday.png").read_text() == "dear"


def test_a_run_with_somebodys_notes_in_it_is_not_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    write(folder, "former")
    (folder / "notes").mkdir()
    (folder / "notes" / "mine.txt").write_text("dear")
    with pytest.raises(FileExistsError, match="notes/mine.txt"):
        write(folder, "new", overwrite=True)
    assert (folder / "notes" / "mine.txt").read_text() == "dear"


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("dear")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError, match="file is a file"):
            check_folder(folder, overwrite=True)


def test_the_current_folder_and_those_around_it_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for folder in (".", "..", tmp_path):
        with pytest.raises(ValueError, match="current folder"):
            check_folder(folder, overwrite=True)


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk", target_is_directory=True)
    write(tmp_path / "link" / "one", "hello")
    write(tmp_path / "link" / "one", "again", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "one" / "a.txt").read_text() == "again"


def test_a_folder_that_appears_in_the_meantime_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "one"

    def race() -> None:
        with staged_folder(folder):
            write(folder, "the other was faster")

    with pytest.raises(FileExistsError):
        race()
    assert (folder / "a.txt").read_text() == "the other was faster"
    assert contents(tmp_path) == ["one", "one/a.txt", "one/result.json"]
