"""A folder that is written inside the target, whose contents are then moved up one by one.

For a target that cannot be renamed: a mount point, or a folder in a parent that is read-only. The
states of a delivery, and what a later process makes of each when the owner has ended:

1. STAGING inside the target: unfinished, deleted.
2. FINISHED inside the target, the former contents partly moved to FORMER: they are moved back, and
   FINISHED is kept until a later delivery supersedes it.
3. INSTALLING inside the target: the delivery is completed.
4. FORMER alone: its successor is in place, so it is deleted.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from diffusion_geodesics.runtime._durable import sync_folder
from diffusion_geodesics.runtime._entries import Entry, State, entries, remove, remove_superseded
from diffusion_geodesics.runtime._rules import contents

MARK = "result.json"
"""The file by which a folder is known to hold a run: taken away first, and delivered last."""


def recover_inside(target: Path) -> None:
    """Complete or undo what processes that have ended left in a target."""
    for entry in sorted(entries(target), key=lambda e: list(State).index(e.state)):
        if entry.target or not entry.is_gone():
            continue
        former = entry.state is State.FORMER
        if entry.state is State.INSTALLING or (former and entry.to(State.FINISHED).exists()):
            with suppress(OSError):
                _move_up(entry.path, target)
        elif entry.state is State.STAGING or (former and not entry.to(State.INSTALLING).exists()):
            remove(entry.path)


def install_inside(entry: Entry, target: Path, refuse: Callable[[Path], None]) -> None:
    """Move the contents of a finished folder into the target that it lies in."""
    refuse(target)
    former = entry.to(State.FORMER).path
    try:
        _move_away(target, former)
        os.rename(entry.path, entry.to(State.INSTALLING).path)
    except BaseException:
        if former.exists():
            _move_up(former, target)
        raise
    sync_folder(target)
    _move_up(entry.to(State.INSTALLING).path, target)
    sync_folder(target)
    remove_superseded(entry)


def _move_away(target: Path, former: Path) -> None:
    """Move what is in the target into a new folder, the mark first."""
    old = contents(target)
    if not old:
        return
    former.mkdir()
    for path in sorted(old, key=lambda p: p.name != MARK):
        os.rename(path, former / path.name)


def _move_up(folder: Path, target: Path) -> None:
    """Move what is in a folder into the target, the mark last, and delete the folder."""
    for path in sorted(folder.iterdir(), key=lambda p: p.name == MARK):
        os.rename(path, target / path.name)
    folder.rmdir()
