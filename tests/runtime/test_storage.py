"""A folder appears whole or not at all, replaces only what is ours, and names what it could not."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from diffusion_geodesics.runtime import storage
from diffusion_geodesics.runtime.storage import (
    FolderTakenError,
    UnsavedError,
    check_folder,
    staged_folder,
)
from tests.runtime.sandbox import bind_read_only, mount_tmpfs, run_in_child, tree

RUN = ["one", "one/a.txt", "one/frames", "one/frames/000.png", "one/result.json"]


def write(folder: Path, text: str, *, overwrite: bool = False, **options: bool) -> None:
    """A minimal run: two files and its result.json."""
    with staged_folder(folder, overwrite=overwrite, **options) as staging:
        (staging / "a.txt").write_text(text)
        (staging / "frames").mkdir()
        (staging / "frames" / "000.png").write_text(text)
        files = ["a.txt", "frames/000.png", "result.json"]
        result = {"program": "diffusion-geodesics", "files": files}
        (staging / "result.json").write_text(json.dumps(result))


def text_of(folder: Path) -> str:
    """The text of the run in a folder, whose two files must agree."""
    text = (folder / "a.txt").read_text()
    assert (folder / "frames" / "000.png").read_text() == text
    assert json.loads((folder / "result.json").read_text())["program"] == "diffusion-geodesics"
    return text


@pytest.fixture(params=["beside", "inside"])
def placement(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where folders are staged: beside their target, or inside as for a mount point."""
    if request.param == "inside":
        monkeypatch.setattr(storage, "_is_renamable", lambda path: not path.exists())
    return str(request.param)


def test_a_new_folder_appears_with_its_parents_and_nothing_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "runs" / "one", "hello")
    assert tree(tmp_path / "runs") == RUN
    assert tree(tmp_path)[0] == "runs"


def test_an_empty_folder_may_be_used(tmp_path: Path, placement: str) -> None:
    (tmp_path / "one").mkdir(mode=0o750)
    check_folder(tmp_path / "one")
    write(tmp_path / "one", "hello")
    assert tree(tmp_path) == RUN
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o750


def test_an_existing_run_is_replaced_only_when_asked(tmp_path: Path, placement: str) -> None:
    folder = tmp_path / "one"
    write(folder, "former")
    for refused in (lambda: write(folder, "new"), lambda: check_folder(folder)):
        with pytest.raises(FileExistsError, match="exists; choose another folder or allow"):
            refused()
    assert text_of(folder) == "former"
    assert check_folder(folder, overwrite=True) == folder
    write(folder, "new", overwrite=True)
    assert text_of(folder) == "new"
    assert tree(tmp_path) == RUN


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_nothing_is_left_of_what_was_interrupted(
    tmp_path: Path, interruption: type[BaseException]
) -> None:
    def interrupted() -> None:
        with staged_folder(tmp_path / "runs" / "deep" / "one") as staging:
            (staging / "a.txt").write_text("half")
            raise interruption

    with pytest.raises(interruption):
        interrupted()
    assert tree(tmp_path) == []


def test_an_interruption_keeps_the_former_run(tmp_path: Path, placement: str) -> None:
    write(tmp_path / "one", "former")

    def interrupted() -> None:
        with staged_folder(tmp_path / "one", overwrite=True) as staging:
            (staging / "a.txt").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert text_of(tmp_path / "one") == "former"
    assert tree(tmp_path) == RUN


@pytest.mark.parametrize("error", [ValueError("odd sizes"), OSError(errno.ENOSPC, "disk full")])
def test_what_fails_at_writing_is_kept_where_the_error_says(
    tmp_path: Path, error: Exception
) -> None:
    folder = tmp_path / "one"
    write(folder, "former")

    def failing() -> None:
        with staged_folder(folder, overwrite=True) as staging:
            (staging / "path.safetensors").write_text("an hour's work")
            raise error

    with pytest.raises(UnsavedError, match="one could not be written: (odd sizes|disk full)") as e:
        failing()
    assert e.value.__cause__ is error
    assert str(e.value.kept) in str(e.value)
    assert (e.value.kept / "path.safetensors").read_text() == "an hour's work"
    assert not e.value.kept.name.startswith(".")
    assert text_of(folder) == "former"
    write(folder, "new", overwrite=True)  # the next start leaves it
    assert (e.value.kept / "path.safetensors").exists()


def test_nothing_is_kept_where_nothing_was_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="^odd sizes$"), staged_folder(tmp_path / "one"):
        raise ValueError("odd sizes")
    assert tree(tmp_path) == []


def test_a_delivery_that_fails_gives_the_former_run_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "one"
    write(folder, "former")
    rename = os.rename

    def refusing(source: Path, target: Path) -> None:
        if Path(target) == folder and "finished" in Path(source).name:
            raise OSError(errno.EIO, "disk trouble")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refusing)
    with pytest.raises(UnsavedError, match="disk trouble") as e:
        write(folder, "new", overwrite=True)
    assert text_of(folder) == "former"
    assert text_of(e.value.kept) == "new"


@pytest.mark.parametrize("result", [None, "{}", "not JSON", "[]", '{"program": "another"}'])
def test_a_folder_that_is_no_run_of_ours_is_never_replaced(
    tmp_path: Path, result: str | None, placement: str
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "holiday.png").write_text("dear")
    if result is not None:
        (folder / "result.json").write_text(result)
    with pytest.raises(FileExistsError, match="was not written by"):
        write(folder, "new", overwrite=True)
    assert (folder / "holiday.png").read_text() == "dear"


@pytest.mark.parametrize("kind", ["file", "link to a folder", "broken link"])
def test_a_run_with_somebodys_files_in_it_is_not_replaced(tmp_path: Path, kind: str) -> None:
    folder, mine = tmp_path / "one", tmp_path / "mine"
    write(folder, "former")
    mine.mkdir()
    (mine / "photo.png").write_text("dear")
    (folder / "notes").mkdir()
    if kind == "file":
        (folder / "notes" / "mine.txt").write_text("dear")
    else:
        (folder / "notes" / "mine.txt").symlink_to(mine if "folder" in kind else tmp_path / "gone")
    with pytest.raises(FileExistsError, match="notes/mine.txt"):
        write(folder, "new", overwrite=True)
    assert (folder / "notes" / "mine.txt").is_symlink() == (kind != "file")
    assert (mine / "photo.png").exists()


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
    assert text_of(tmp_path / "disk" / "one") == "again"


def test_links_that_lead_to_themselves_are_told(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ValueError, match="loop cannot be used"):
        check_folder(tmp_path / "loop")


def test_the_home_folder_is_meant_by_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert check_folder("~/one") == tmp_path / "one"
    assert check_folder(str(tmp_path / "~nobody-of-that-name")).name == "~nobody-of-that-name"


def test_a_folder_that_appears_in_the_meantime_stays_and_the_results_are_kept(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "one"

    def race() -> None:
        with staged_folder(folder) as staging:
            (staging / "a.txt").write_text("slower")
            write(folder, "the other was faster")

    with pytest.raises(FolderTakenError) as e:
        race()
    assert isinstance(e.value, FileExistsError)
    assert text_of(folder) == "the other was faster"
    assert (e.value.kept / "a.txt").read_text() == "slower"


def test_of_two_that_overwrite_at_once_both_deliver_and_the_last_stays(tmp_path: Path) -> None:
    write(tmp_path / "one", "former")
    with staged_folder(tmp_path / "one", overwrite=True) as staging:
        write(tmp_path / "one", "faster", overwrite=True)
        for source in (tmp_path / "one").iterdir():
            os.rename(source, staging / source.name)
        (staging / "a.txt").write_text("slower")
        (staging / "frames" / "000.png").write_text("slower")
    assert text_of(tmp_path / "one") == "slower"
    assert tree(tmp_path) == RUN


def test_a_delivery_survives_another_one_between_its_renames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "one"
    write(folder, "former")
    rename, others = os.rename, ["faster"]

    def interfering(source: Path, target: Path) -> None:
        rename(source, target)
        if "former" in Path(target).name and others:  # the target has just been moved away
            write(folder, others.pop())

    monkeypatch.setattr(os, "rename", interfering)
    write(folder, "new", overwrite=True)
    assert text_of(folder) == "new"
    assert tree(tmp_path) == RUN


@pytest.mark.parametrize("name", [b"caf\xe9", "Ünï→漢字".encode(), b"new\nline", b"x" * 250])
def test_names_in_any_encoding(tmp_path: Path, name: bytes, placement: str) -> None:
    folder = tmp_path / os.fsdecode(name)
    check_folder(folder)
    write(folder, "former")
    check_folder(folder, overwrite=True)
    write(folder, "new", overwrite=True)
    assert text_of(folder) == "new"
    assert os.listdir(os.fsencode(tmp_path)) == [name]


def test_checking_leaves_no_trace(tmp_path: Path) -> None:
    write(tmp_path / "one", "former")
    before = tree(tmp_path)
    check_folder(tmp_path / "one", overwrite=True)
    check_folder(tmp_path / "two" / "deep", needed_bytes=1000)
    assert tree(tmp_path) == before


def test_too_little_space_is_found_out_before(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="GB free and the results need about 1e\\+09 GB"):
        check_folder(tmp_path / "one", needed_bytes=10**18)


@pytest.mark.parametrize("call", ["mkdir", "fsync", "rename"])
@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT])
def test_a_place_that_cannot_be_written_is_found_out_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(OSError, match=re.escape(os.strerror(code))) as e:
        check_folder(tmp_path / "one")
    assert str(tmp_path) in str(e.value)
    assert "choose another folder" in str(e.value)


def test_files_are_on_the_disk_before_the_folder_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, rename = os.fsync, os.rename

    def noted_fsync(descriptor: int) -> None:
        calls.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    def noted_rename(source: Path, target: Path) -> None:
        calls.append(f"rename to {Path(target).name}")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    write(tmp_path / "one", "hello")
    last = calls.index("rename to one")
    assert {"a.txt", "000.png", "result.json", "frames"} <= set(calls[:last])
    assert calls[last + 1 :] == [tmp_path.name]


def test_a_mount_point_is_written_from_the_inside(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()

    def action() -> None:
        mount_tmpfs(folder)
        device = folder.stat().st_dev
        check_folder(folder)
        write(folder, "former")
        with pytest.raises(FileExistsError):
            check_folder(folder)
        check_folder(folder, overwrite=True)
        write(folder, "new", overwrite=True)
        assert text_of(folder) == "new"
        assert tree(tmp_path) == RUN
        assert folder.stat().st_dev == device

    run_in_child(action)


def test_a_folder_in_a_read_only_parent_is_written_from_the_inside(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()

    def action() -> None:
        bind_read_only(tmp_path, folder)
        check_folder(folder)
        write(folder, "former")
        write(folder, "new", overwrite=True)
        assert text_of(folder) == "new"
        assert tree(tmp_path) == RUN
        with pytest.raises(OSError, match="Read-only file system; choose another folder"):
            check_folder(tmp_path / "two")

    run_in_child(action)


def test_read_only_media_are_found_out_before(tmp_path: Path) -> None:
    def action() -> None:
        mount_tmpfs(tmp_path, read_only=True)
        for folder in (tmp_path, tmp_path / "one", tmp_path / "deep" / "one"):
            with pytest.raises(OSError, match="Read-only file system; choose another folder"):
                check_folder(folder)

    run_in_child(action)


def test_a_disk_that_fills_up_keeps_what_was_written(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        with staged_folder(folder, overwrite=True) as staging:
            (staging / "path.safetensors").write_text("an hour's work")
            (staging / "large").write_bytes(bytes(1_000_000))

    def action() -> None:
        mount_tmpfs(tmp_path, "256k")
        write(tmp_path / "one", "former")
        with pytest.raises(UnsavedError, match="No space left on device") as e:
            fill(tmp_path / "one")
        assert (e.value.kept / "path.safetensors").read_text() == "an hour's work"
        assert text_of(tmp_path / "one") == "former"

    run_in_child(action)


def test_a_disk_that_is_full_is_found_out_before(tmp_path: Path) -> None:
    def action() -> None:
        mount_tmpfs(tmp_path, "64k")
        (tmp_path / "large").write_bytes(bytes(50_000))
        with pytest.raises(OSError, match="GB free and the results need"):
            check_folder(tmp_path / "one", needed_bytes=50_000)
        with pytest.raises(OSError, match="No space"):
            (tmp_path / "larger").write_bytes(bytes(50_000))
        with pytest.raises(OSError, match="No space left on device; choose another folder"):
            check_folder(tmp_path / "one")

    run_in_child(action)


def test_messages_never_name_options(tmp_path: Path) -> None:
    write(tmp_path / "one", "former")
    refused: list[Callable[[], object]] = [
        lambda: check_folder(tmp_path / "one"),
        lambda: check_folder(tmp_path / "one" / "a.txt"),
        lambda: check_folder(tmp_path / "two", needed_bytes=10**18),
    ]
    for call in refused:
        with pytest.raises(OSError, match=r"\w") as e:
            call()
        assert "--" not in str(e.value)
