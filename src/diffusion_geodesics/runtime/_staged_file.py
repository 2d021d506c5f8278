"""A file that is written beside the one it will replace."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diffusion_geodesics.runtime._entries import Entry, State, entries, label, remove
from diffusion_geodesics.runtime.owner import hold


@contextmanager
def staged_file(target: Path, content: bytes) -> Iterator[Path]:
    """A file with this content, on disk, beside the target; deleted if it is there at the end."""
    entry = Entry.new(target.parent, label(target.name))
    lock: int | None = None
    try:
        with entry.path.open("xb") as file:
            lock = hold(entry.path)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield entry.path
    finally:
        remove(entry.path)
        if lock is not None:
            os.close(lock)


def sweep(folder: Path, target: str | None = None) -> None:
    """Delete the unfinished files of processes that have ended."""
    for entry in entries(folder):
        wanted = target is None or entry.target == label(target)
        if wanted and entry.state is State.STAGING and entry.is_gone():
            remove(entry.path)
