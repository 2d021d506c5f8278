"""One file is written whole or not at all, and never over a file that is not ours."""

from __future__ import annotations

import errno
import itertools
import json
import os
import stat
import threading
from pathlib import Path

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file

from diffusion_geodesics.runtime.single_file import check_file
from diffusion_geodesics.runtime.storage import PROGRAM, write_file
from tests.runtime.sandbox import mount_tmpfs, run_in_child, tree

OURS = json.dumps({"program": PROGRAM, "density": 1.5})


def test_a_new_file_appears_with_its_parents(tmp_path: Path) -> None:
    assert write_file(tmp_path / "deep" / "a.json", "hélas") == tmp_path / "deep" / "a.json"
    assert (tmp_path / "deep" / "a.json").read_bytes() == "hélas".encode()
    assert write_file(tmp_path / "b", b"\0\xff").read_bytes() == b"\0\xff"
    assert tree(tmp_path) == ["b", "deep", "deep/a.json"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_new_files_may_be_read_as_the_umask_says(tmp_path: Path, overwrite: bool) -> None:
    umask = os.umask(0o027)
    try:
        path = write_file(tmp_path / "a", "text", overwrite=overwrite)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    "content",
    ["dear", "{}", "{not JSON", "[1]", '{"program": "another"}', "{" * 100_000, "\x89PNG\r\n"],
)
def test_a_file_that_is_not_ours_stays(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content.encode())
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match="a.png exists and was not written by"):
            check_file(path, overwrite=overwrite)
        with pytest.raises(FileExistsError, match="a.png exists and was not written by"):
            write_file(path, "new", overwrite=overwrite)
        assert path.read_bytes() == content.encode()
        assert tree(tmp_path) == ["a.png"]


def test_files_of_ours_are_replaced_if_asked(tmp_path: Path) -> None:
    about = {"program": PROGRAM}
    image = PngInfo()
    image.add_text("Software", PROGRAM)
    (tmp_path / "a.json").write_text(OURS)
    save_file({"x": torch.ones(3)}, tmp_path / "a.safetensors", metadata=about)
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png", pnginfo=image)
    (tmp_path / "empty").touch()
    for path in list(tmp_path.iterdir()):
        with pytest.raises(FileExistsError, match="allow it to be overwritten"):
            write_file(path, "new")
        assert check_file(path, overwrite=True) == path
        assert write_file(path, "new", overwrite=True).read_text() == "new"


def test_tensors_and_images_of_others_stay(tmp_path: Path) -> None:
    save_file({"x": torch.ones(3)}, tmp_path / "a.safetensors", metadata={"program": "another"})
    save_file({"x": torch.ones(3)}, tmp_path / "b.safetensors")
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    for path in list(tmp_path.iterdir()):
        with pytest.raises(FileExistsError):
            write_file(path, "new")


def test_permissions_and_links_are_kept(tmp_path: Path) -> None:
    target, link = tmp_path / "a.json", tmp_path / "link.json"
    target.write_text(OURS)
    target.chmod(0o600)
    link.symlink_to(target)
    write_file(link, "new", overwrite=True)
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="is a folder; name a file"):
        write_file(tmp_path, "text", overwrite=True)


def test_where_nothing_can_be_written_is_found_out_before(tmp_path: Path) -> None:
    assert check_file(tmp_path / "new" / "a.json") == tmp_path / "new" / "a.json"
    assert tree(tmp_path) == []
    with pytest.raises(OSError, match="cannot be written"):
        check_file("/proc/none/a.json")


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    write_file(pipe, "text")
    reader.join()
    assert got == ["text"]
    assert pipe.is_fifo()


def test_a_file_that_appears_in_the_meantime_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, link = tmp_path / "a.json", os.link

    def slow(source: Path, target: Path) -> None:
        path.write_text("the other was faster")
        link(source, target)

    monkeypatch.setattr(os, "link", slow)
    with pytest.raises(FileExistsError, match="was not written by"):
        write_file(path, "new")
    assert path.read_text() == "the other was faster"


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP])
def test_file_systems_without_links_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refuse)
    assert write_file(tmp_path / "a.json", "new").read_text() == "new"
    assert tree(tmp_path) == ["a.json"]


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EXDEV])
def test_a_file_that_is_mounted_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    path = tmp_path / "a.json"
    path.write_text(OURS)

    def refuse(source: Path, target: Path) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "replace", refuse)
    inode = path.stat().st_ino
    write_file(path, "new", overwrite=True)
    assert path.read_text() == "new"
    assert path.stat().st_ino == inode
    assert tree(tmp_path) == ["a.json"]


def test_a_full_disk_keeps_the_former_file(tmp_path: Path) -> None:
    def action() -> None:
        mount_tmpfs(tmp_path, "64k")
        (tmp_path / "a.json").write_text(OURS)
        with pytest.raises(OSError, match="No space left on device"):
            write_file(tmp_path / "a.json", bytes(100_000), overwrite=True)
        assert (tmp_path / "a.json").read_text() == OURS
        assert tree(tmp_path) == ["a.json"]

    run_in_child(action)


def test_a_kill_at_any_call_leaves_the_former_file_or_the_new_one(tmp_path: Path) -> None:
    calls = 0
    for k in itertools.count(1):
        calls = k
        path = tmp_path / str(k) / "a.json"
        path.parent.mkdir()
        path.write_text(OURS)
        killed = run_in_child(lambda to=path: write_file(to, OURS + " ", overwrite=True), k)
        assert path.read_text() in {OURS, OURS + " "}
        write_file(path, OURS, overwrite=True)
        assert tree(path.parent) == ["a.json"]
        if not killed:
            break
    assert calls > 3
