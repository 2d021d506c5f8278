"""A folder that is written beside the target and takes its place by a rename.

The states of a delivery, one rename apart, and what a later process makes of each when the owner
has ended:

1. STAGING beside the target: unfinished, deleted.
2. FINISHED beside the target, the target as before: kept until a later delivery supersedes it.
3. FINISHED beside the target, the former contents in FORMER, no target: FORMER is renamed back.
4. The target is the finished folder, FORMER beside it: FORMER is deleted.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from diffusion_geodesics.runtime import _entries
from diffusion_geodesics.runtime._durable import sync_folder
from diffusion_geodesics.runtime._entries import Entry, State
from diffusion_geodesics.runtime._rules import contents

ATTEMPTS = 20  # how often a delivery is tried while other processes deliver to the same folder


def recover_beside(folder: Path, target: Path) -> None:
    """Undo what processes that have ended left in a folder."""
    for entry in list(_entries.entries(folder)):
        if not entry.target:
            continue
        if entry.state is State.STAGING and entry.is_gone():
            _entries.remove(entry.path)
        if entry.state is State.FORMER:
            known = target.name if _entries.label(target.name) == entry.target else entry.target
            _recover_former(entry, folder / known)


def _recover_former(former: Entry, target: Path) -> None:
    finished = former.to(State.FINISHED)
    if not finished.exists():  # its successor is in place
        if former.is_gone():
            _entries.remove(former.path)
        return
    running = former.owner.is_local and not finished.is_gone()  # between its two renames
    if not running and not contents(target):
        with suppress(OSError):  # refused where another process was faster
            os.rename(former.path, target)


def install_beside(entry: Entry, target: Path, refuse: Callable[[Path], None]) -> None:
    """Put a finished folder in the place of the target."""
    for attempt in range(1, ATTEMPTS + 1):
        refuse(target)
        try:
            _swap(entry, target)
            break
        except OSError:
            if attempt == ATTEMPTS or not contents(target):
                raise
            # Another process has delivered to the target: look at it anew.
    sync_folder(target.parent)
    _entries.remove_superseded(entry)


def _swap(entry: Entry, target: Path) -> None:
    if not contents(target):
        os.rename(entry.path, target)  # in the place of an empty folder as well
        return
    former = entry.to(State.FORMER).path
    _entries.remove(former)  # of an earlier attempt, which another process has replaced
    os.rename(target, former)
    try:
        os.rename(entry.path, target)
    except BaseException:
        with suppress(OSError):
            os.rename(former, target)
        raise
