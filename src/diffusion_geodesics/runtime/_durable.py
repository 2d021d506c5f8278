"""Bytes that are on the disk, not only in the operating system's cache."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from diffusion_geodesics.runtime._entries import Entry, State, entries, label, remove
from diffusion_geodesics.runtime.owner import hold


def write_durably(file: BinaryIO, content: bytes) -> None:
    """Write into an open file and wait until it is on the disk."""
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until names in a folder are on the disk, where the file system can do that."""
    with suppress(OSError):
        _sync(folder)


def sync_tree(folder: Path) -> None:
    """Wait until every file below a folder, and the names of all of them, are on the disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            _sync(Path(parent, name))
        sync_folder(Path(parent))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def staged_file(target: Path, content: bytes) -> Iterator[Path]:
    """A file with this content, on disk, beside the target; deleted if it is there at the end."""
    entry = Entry.new(target.parent, label(target.name))
    lock: int | None = None
    try:
        with entry.path.open("xb") as file:
            lock = hold(entry.path)
            write_durably(file, content)
        yield entry.path
    finally:
        remove(entry.path)
        if lock is not None:
            os.close(lock)


def sweep(folder: Path, target: str | None = None) -> None:
    """Delete the unfinished files of processes that have ended; of any target if none is named."""
    for entry in entries(folder):
        wanted = target is None or entry.target == label(target)
        if wanted and entry.state is State.STAGING and entry.is_gone():
            remove(entry.path)
