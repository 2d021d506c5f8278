"""Which process works on which pair, and how often each was tried: lock-free, in files.

The n-th attempt at a pair is the file ``KEY.n``, which only one process can create. It names the
process and a ticket of the driver that handed the pair out. An attempt is over when

- the pair is delivered or written off (then all of its files are deleted),
- it failed and is to be tried again (the file then holds the error),
- its process has ended; or, for a process of another host, when it has not touched the file for
  `LEASE` seconds, which it does every `BEAT` seconds;
- the driver says that its ticket is void.

Two processes that come to different conclusions compute the pair twice; it is delivered once.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import final

from diffusion_geodesics.runtime.delivery import create_once, file_age, replace_file, sweep_work
from diffusion_geodesics.runtime.owner import Owner

BEAT = 15.0
"""Seconds between signs of life."""
LEASE = 120.0
"""Seconds without one after which a process of another host counts as ended."""


@final
@dataclass(frozen=True)
class Attempt:
    """An attempt of this process at a pair."""

    key: str  # of the pair
    number: int  # from 1
    path: Path  # its file


@final
@dataclass(frozen=True)
class Busy:
    """Another process works on the pair."""


@final
@dataclass(frozen=True)
class Spent:
    """All attempts at a pair have failed."""

    attempts: int  # how many
    reason: str  # of the last one, in one line
    traceback: str  # of the last one


@final
@dataclass(frozen=True)
class Claims:
    """The attempts at the pairs of a batch."""

    folder: Path  # of their files
    most: int  # attempts at a pair

    def take(self, key: str, ticket: str, void: Mapping[str, str]) -> Attempt | Busy | Spent:
        """Begin the next attempt at a pair, if no other process is at it."""
        content = json.dumps({"owner": str(Owner.current()), "ticket": ticket})
        last = Spent(0, "", "")
        for number in range(1, self.most + 1):
            path = self._file(key, number)
            now = create_once(path, content)
            if now is None:
                return Attempt(key, number, path)
            ended = self._ended(path, number, ticket, void, now)
            if ended is None:
                return Busy()
            last = ended
        return last

    def _ended(
        self, path: Path, number: int, ticket: str, void: Mapping[str, str], now: float
    ) -> Spent | None:
        """How an attempt ended; None while it goes on."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:  # delivered or given back this moment
            return None
        except ValueError:  # being written, on a file system without links
            found = {}
        if "reason" in found:
            return Spent(number, found["reason"], found["traceback"])
        died = "the process that computed it ended without a word"
        given = str(found.get("ticket", ""))
        if given in void or given == ticket:
            return Spent(number, void.get(given) or died, "")
        owner = Owner.parse(str(found.get("owner", "")))
        foreign = owner is None or not owner.is_local
        if (owner is not None and owner.is_gone(path)) or (foreign and file_age(path, now) > LEASE):
            return Spent(number, died, "")
        return None

    def give_up(self, attempt: Attempt, reason: str, traceback: str) -> None:
        """Record that an attempt has failed; the pair can be tried again."""
        record = {"owner": str(Owner.current()), "reason": reason, "traceback": traceback}
        replace_file(attempt.path, json.dumps(record))

    def give_back(self, attempt: Attempt) -> None:
        """Take an attempt back, as if it had not been begun."""
        with suppress(OSError):
            attempt.path.unlink()

    def settle(self, key: str) -> None:
        """Delete all attempts at a pair that is delivered or written off."""
        for number in range(self.most, 0, -1):
            with suppress(OSError):
                self._file(key, number).unlink()

    def sweep(self, settled: set[str], *, interrupted: bool = False) -> None:
        """Delete the attempts at settled pairs, and what processes that have ended left."""
        for path in self.folder.glob("[!.]*"):
            if path.name.partition(".")[0] in settled or (interrupted and self._is_gone(path)):
                with suppress(OSError):
                    path.unlink()
        sweep_work(self.folder)

    def _is_gone(self, path: Path) -> bool:
        with suppress(OSError, ValueError):
            owner = Owner.parse(json.loads(path.read_text(encoding="utf-8"))["owner"])
            return owner is not None and owner.is_gone(path)
        return False

    def _file(self, key: str, number: int) -> Path:
        return self.folder / f"{key}.{number}"


@contextmanager
def beating(attempts: Sequence[Attempt]) -> Iterator[None]:
    """Give signs of life for attempts while the body runs."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT):
            for attempt in attempts:
                with suppress(OSError):
                    os.utime(attempt.path)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
