"""What several processes deliver to one place: the first one wins, and nothing is half there."""

import errno
import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from diffusion_geodesics.runtime._durable import staged_file, sync_folder
from diffusion_geodesics.runtime._entries import Entry, entries, remove

_PATIENCE = 5.0  # seconds


def deliver_once(target: Path, work: Path, write: Callable[[Path], object]) -> bool:
    """Write a folder and let it appear by one rename: False where another process was faster.

    ``write`` makes it, down to the disk, below ``work``, which is on the same file system.
    """
    room = Entry.new(work, target.name).path
    try:
        _made(room, room.mkdir)
        write(room / target.name)
        _made(target, lambda: os.rename(room / target.name, target))
    except OSError:
        if target.is_dir():  # delivered by another process
            return False
        raise
    finally:
        remove(room)
    sync_folder(target.parent)
    return True


def create_once(path: Path, content: str) -> float | None:
    """Create a small file with its content at once, if it is not there; its folder is made.

    None where it was created, else the file system's time now, to which the age of the file can be
    compared. It is not brought to the disk: for what need not survive the machine.
    """
    staging = Entry.new(path.parent, path.name).path
    try:
        _made(staging, lambda: staging.write_text(content, encoding="utf-8"))
        now = staging.stat().st_mtime
        try:
            os.link(staging, path)
        except FileExistsError:
            return now
        except OSError:  # no links on this file system
            try:
                with path.open("x", encoding="utf-8") as file:
                    file.write(content)
            except FileExistsError:
                return now
        return None
    finally:
        remove(staging)


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file of ours atomically, whatever was there."""
    data = content.encode() if isinstance(content, str) else content

    def replace() -> None:
        with staged_file(path, data) as staging:
            os.replace(staging, path)

    _made(path, replace)


def sweep_work(folder: Path, is_done: Callable[[str], bool] = lambda target: False) -> None:
    """Delete what processes that have ended, or other hosts for targets that are done, left in a
    folder of unfinished work, and the folder if it is empty."""
    for entry in entries(folder):
        if entry.is_gone() or (not entry.owner.is_local and is_done(entry.target)):
            remove(entry.path)
    with suppress(OSError):
        folder.rmdir()


def _made(path: Path, make: Callable[[], object]) -> None:
    """Make something in a folder that other processes delete when it is empty."""
    limit = time.monotonic() + _PATIENCE
    while True:
        try:
            _make_parent(path)
            make()
            return
        except FileNotFoundError:
            if time.monotonic() > limit:
                raise
            time.sleep(random.uniform(0, 1e-3))  # so that it is not deleted in step


def _make_parent(path: Path) -> None:
    """Make a file's folder; `FileNotFoundError` where another process deletes it meanwhile."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # it was there, and at the next look it was not
        if path.parent.exists():
            raise
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error


def file_age(path: Path, now: float | None = None) -> float:
    """Seconds since a file was last touched, by `create_once`'s or this machine's clock; infinite
    where it is gone."""
    try:
        return (time.time() if now is None else now) - path.stat().st_mtime
    except OSError:
        return float("inf")
