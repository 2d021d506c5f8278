"""Names of what is being written: hidden files and folders that say whose they are.

An entry is called ``.TARGET.diffusion-geodesics-STATE.OWNER.TOKEN``: the name of the file or folder
it will become, what it is, the process that made it and eight random hexadecimal digits.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import final

from diffusion_geodesics.runtime.owner import Owner

PROGRAM = "diffusion-geodesics"
LONGEST_NAME = 120
"""Bytes of a target's name above which its hash takes its place in the name of an entry."""
_PATTERN = re.compile(
    rf"\.(?P<target>.*)\.{PROGRAM}-(?P<state>[a-z]+)"
    r"\.(?P<owner>[^.]+\.[^.]+\.[^.]+\.[^.]+\.[^.]+)\.(?P<token>[0-9a-f]{8})",
    re.DOTALL,
)


@final
class State(Enum):
    """What an entry is."""

    STAGING = "staging"  # being written
    FINISHED = "finished"  # complete, on disk, and not yet in its place
    INSTALLING = "installing"  # finished, while its contents are moved into the target
    FORMER = "former"  # what was in the target before


@final
@dataclass(frozen=True)
class Entry:
    """A hidden file or folder that belongs to a target."""

    folder: Path  # where it lies
    target: str  # `label` of the target's name; empty for contents of ``folder`` itself
    state: State
    owner: Owner
    token: str

    @staticmethod
    def new(folder: Path, target: str, state: State = State.STAGING) -> Entry:
        """An entry of this process, of which no other has the name."""
        return Entry(folder, target, state, Owner.current(), secrets.token_hex(4))

    @property
    def path(self) -> Path:
        """Where it is, or would be."""
        kind = f"{PROGRAM}-{self.state.value}"
        return self.folder / f".{self.target}.{kind}.{self.owner}.{self.token}"

    def to(self, state: State) -> Entry:
        """The entry that differs in its state only; nothing is renamed."""
        return replace(self, state=state)

    def exists(self) -> bool:
        """Whether it is there."""
        return os.path.lexists(self.path)

    def is_gone(self) -> bool:
        """Whether its owner is known to have ended; see `Owner.is_gone`."""
        return self.owner.is_gone(self.path)


def label(name: str) -> str:
    """A target's name as it appears in the names of its entries; a hash if it is very long."""
    encoded = os.fsencode(name)
    return name if len(encoded) <= LONGEST_NAME else hashlib.sha256(encoded).hexdigest()


def parse(path: Path) -> Entry | None:
    """The entry with this path; None for any other file or folder."""
    found = _PATTERN.fullmatch(path.name)
    if found is None:
        return None
    owner = Owner.parse(found["owner"])
    if owner is None or found["state"] not in {s.value for s in State}:
        return None
    return Entry(path.parent, found["target"], State(found["state"]), owner, found["token"])


def entries(folder: Path) -> Iterator[Entry]:
    """The entries in a folder; none where it cannot be read."""
    mark = f".{PROGRAM}-"
    try:
        names = [name for name in os.listdir(folder) if mark in name]
    except OSError:
        return
    for name in names:
        if (entry := parse(folder / name)) is not None:
            yield entry


def remove_superseded(entry: Entry) -> None:
    """Delete what an entry that was delivered has taken the place of."""
    for other in entries(entry.folder):
        old = other.state in (State.FORMER, State.FINISHED) and other.target == entry.target
        if old and (other.token == entry.token or other.is_gone()):
            remove(other.path)


def remove(path: Path) -> None:
    """Delete a file, or a folder with its contents; what cannot be deleted stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
