"""The store: folders and files that appear whole or not at all, and caches that survive a kill.

- `check_folder`, before any work: may a run be written there, and can it be?
- `staged_folder`: a folder that takes the place of a run's folder when it is complete.
- `write_file`: one file, written atomically.
- `KeyedCache`: tensors kept by what they were made from.

A process that is killed at any moment loses neither what was there before nor what was delivered.
What it leaves behind is hidden, names its owner, and is dealt with by the next process that writes
to the same place. Nothing that a running process or another host owns is deleted.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from diffusion_geodesics.runtime._beside import install_beside, recover_beside
from diffusion_geodesics.runtime._durable import sync_folder, sync_tree, write_durably
from diffusion_geodesics.runtime._entries import PROGRAM, Entry, State, label, remove
from diffusion_geodesics.runtime._inside import install_inside, recover_inside
from diffusion_geodesics.runtime._rules import absolute_path, refuse
from diffusion_geodesics.runtime.keyed_cache import CacheEntry, DamagedEntryError, KeyedCache
from diffusion_geodesics.runtime.owner import hold
from diffusion_geodesics.runtime.single_file import write_file

__all__ = [
    "PROGRAM",
    "CacheEntry",
    "DamagedEntryError",
    "FolderTakenError",
    "KeyedCache",
    "UnsavedError",
    "absolute_path",
    "check_folder",
    "staged_folder",
    "write_file",
]

_NOT_RENAMED = {errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM, errno.EROFS}
"""Errors of a rename from which the target must be written from the inside."""
_IN_THE_WAY = {errno.ENOTEMPTY, errno.EEXIST}
"""Errors of a rename onto a folder that is not empty and could itself be renamed."""


class UnsavedError(OSError):
    """A folder could not be delivered; what was written is in ``kept``, which the message names."""

    def __init__(self, message: str, kept: Path) -> None:
        super().__init__(message)
        self.message, self.kept = message, kept

    def __reduce__(self) -> tuple[type[UnsavedError], tuple[str, Path]]:
        return type(self), (self.message, self.kept)


class FolderTakenError(UnsavedError, FileExistsError):
    """An `UnsavedError` because another process has written the folder in the meantime."""


def check_folder(folder: str | Path, *, overwrite: bool = False, needed_bytes: int = 0) -> Path:
    """The folder as an absolute path, if a run can be written there; call it before any long work.

    A folder may be written if it does not exist or is empty. With ``overwrite`` it may also be one
    that an earlier run wrote, if it holds nothing but the files which that run names in its
    result.json. What processes that have ended left there is dealt with first: a former run that
    was moved away and not yet replaced is given back.
    """
    path = absolute_path(folder)
    _recover(path)
    refuse(path, overwrite=overwrite)
    base = _existing(path)
    if _is_renamable(path):
        _try_to_write(base, label(path.name))
    else:
        base = path
        _try_to_write(path, "")
    _try_for_space(base, needed_bytes)
    return path


@contextmanager
def staged_folder(folder: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A new, empty folder to write into, which takes the place of ``folder`` when all went well.

    It lies beside ``folder``, so that the last step is a rename; where ``folder`` cannot be renamed
    (a mount point, a parent that is read-only) it lies inside. When the body ends, every file is
    brought to the disk before the rename.

    When the body is interrupted (`KeyboardInterrupt`, `SystemExit`), what was written is deleted.
    When anything else goes wrong, it is kept in a visible folder that the error names.
    """
    path = absolute_path(folder)
    _recover(path)
    refuse(path, overwrite=overwrite)
    inside = not _is_renamable(path)
    made = _make_parents(path)
    entry = Entry.new(path, "") if inside else Entry.new(path.parent, label(path.name))
    lock: int | None = None
    try:
        entry.path.mkdir()
        lock = hold(entry.path)
        if path.exists() and not inside:
            with suppress(OSError):
                shutil.copystat(path, entry.path)
        yield entry.path
        sync_tree(entry.path)
        os.rename(entry.path, entry.to(State.FINISHED).path)
        sync_folder(entry.folder)
        install = install_inside if inside else install_beside
        install(entry.to(State.FINISHED), path, partial(refuse, overwrite=overwrite))
    except BaseException as error:
        kept = _keep(entry, path) if isinstance(error, Exception) else None
        if kept is None:
            _clear(entry, made)
            raise
        kind = FolderTakenError if isinstance(error, FileExistsError) else UnsavedError
        message = f"{path} could not be written: {_reason(error)}; what was written is in {kept}"
        raise kind(message, kept) from error
    finally:
        if lock is not None:
            os.close(lock)


def _recover(path: Path) -> None:
    recover_beside(path.parent, path)
    recover_inside(path)


def _existing(path: Path) -> Path:
    """The innermost folder around a path that exists."""
    return next(parent for parent in path.parents if parent.exists())


def _is_renamable(path: Path) -> bool:
    """Whether a folder can take the place of this one by a rename.

    It is found out by renaming an empty folder onto it, which the kernel refuses for a folder that
    is not empty, after it has looked at permissions and mounts. An empty folder is replaced.
    """
    if not path.exists():
        return True
    probe = Entry.new(path.parent, label(path.name)).path
    try:
        probe.mkdir()
        with suppress(OSError):
            shutil.copystat(path, probe)
        os.rename(probe, path)
    except OSError as error:
        if error.errno in _NOT_RENAMED:
            return False
        if error.errno not in _IN_THE_WAY:
            raise _unwritable(path.parent, error) from error
    finally:
        remove(probe)
    return True


def _try_to_write(folder: Path, target: str) -> None:
    """Write a file into a new folder, rename that, and delete both."""
    first, second = Entry.new(folder, target).path, Entry.new(folder, target).path
    try:
        first.mkdir()
        with (first / "block").open("xb") as file:
            write_durably(file, bytes(4096))
        os.rename(first, second)
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        remove(first)
        remove(second)


def _unwritable(folder: Path, error: OSError) -> OSError:
    message = f"{folder} cannot be written: {_reason(error)}; choose another folder"
    return PermissionError(message) if isinstance(error, PermissionError) else OSError(message)


def _try_for_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"{folder} has {free / 1e9:.2g} GB free and the results need about "
            f"{needed / 1e9:.2g} GB; free some space or choose another folder"
        )


def _make_parents(path: Path) -> list[Path]:
    """Create the parents that are missing; returns them, innermost first."""
    missing = [parent for parent in path.parents if not parent.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(_existing(path), error) from error
    return missing


def _keep(entry: Entry, path: Path) -> Path | None:
    """Where what was written is kept, with a visible name if possible; None if nothing was."""
    installing = entry.to(State.INSTALLING)
    if installing.exists():
        return installing.path  # the next process completes the delivery
    for staged in (entry, entry.to(State.FINISHED)):
        if staged.exists() and any(staged.path.iterdir()):
            kept = entry.folder / f"{label(path.name)}-unsaved-{entry.token}"
            try:
                os.rename(staged.path, kept)
            except OSError:
                return staged.path
            return kept
    return None


def _clear(entry: Entry, made: list[Path]) -> None:
    """Delete what was staged, and the parents that were made for it."""
    remove(entry.path)
    remove(entry.to(State.FINISHED).path)
    for parent in made:
        with suppress(OSError):
            parent.rmdir()


def _reason(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__
