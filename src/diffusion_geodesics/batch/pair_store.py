"""Finished and failed pairs on disk."""

from __future__ import annotations

import json
import os
import shutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

from diffusion_geodesics.runtime.delivery import deliver_once, replace_file, sweep_work
from diffusion_geodesics.runtime.storage import UnsavedError


class StoreError(OSError):
    """Nothing can be written into the batch's folder: no fault of a pair."""


@final
@dataclass(frozen=True)
class Failure:
    """A pair that was written off."""

    name: str  # of the pair
    reason: str  # one line
    attempts: int  # how often it was tried
    traceback: str = ""  # of the last error; empty where a process died


def reason_of(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, ValueError | OSError) and text:
        return text
    return f"{type(error).__name__}: {text}".removesuffix(": ")


def traceback_of(error: BaseException) -> str:
    """Its traceback as text."""
    return "".join(traceback.format_exception(error))


@final
@dataclass(frozen=True)
class PairStore:
    """The finished and failed pairs of a batch."""

    out: Path  # folder of the batch

    @property
    def pairs(self) -> Path:
        """Folder of the finished pairs."""
        return self.out / "pairs"

    @property
    def _work(self) -> Path:
        """Folder of what is being written, on the same file system."""
        return self.out / "work"

    @property
    def _failed(self) -> Path:
        return self.out / "failed"

    def is_done(self, key: str) -> bool:
        """Whether a pair is finished."""
        return (self.pairs / key).is_dir()

    def done(self) -> set[str]:
        """The keys of all finished pairs. Cost: one listing."""
        with suppress(FileNotFoundError):
            return set(os.listdir(self.pairs))
        return set()

    def deliver(self, key: str, write: Callable[[Path], object]) -> bool:
        """Write a pair's folder; see `deliver_once`."""
        try:
            return deliver_once(self.pairs / key, self._work, lambda folder: _write(write, folder))
        except OSError as error:
            raise self.error(error) from error

    def write_off(self, key: str, failure: Failure) -> None:
        """Record that a pair has failed."""
        text = json.dumps({"key": key, **asdict(failure)}, indent=1)
        try:
            replace_file(self._failed / f"{key}.json", text)
        except OSError as error:
            raise self.error(error) from error

    def failure(self, key: str) -> Failure | None:
        """The record of a failed pair; None where there is none."""
        try:
            found = json.loads((self._failed / f"{key}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return Failure(**{n: v for n, v in found.items() if n != "key"})

    def failures(self) -> Iterator[tuple[str, Failure]]:
        """The failed pairs by their keys, in alphabetical order."""
        for file in sorted(self._failed.glob("[!.]*.json")):
            if (found := self.failure(file.stem)) is not None:
                yield file.stem, found

    def forget_failure(self, key: str) -> None:
        """Take back that a pair was written off."""
        (self._failed / f"{key}.json").unlink(missing_ok=True)

    def sweep(self) -> None:
        """Delete what processes that have ended left."""
        sweep_work(self._work, self.is_done)
        sweep_work(self._failed)

    def error(self, error: OSError) -> StoreError:
        """What to say where the operating system does not let the batch be written."""
        if isinstance(error, StoreError):
            return error
        return StoreError(
            f"{self.out} cannot be written: {error.strerror or error}; what is done stays, and the "
            "same command goes on from there"
        )


def _write(write: Callable[[Path], object], folder: Path) -> None:
    """Write a folder; what could not be delivered is not kept, and its cause is raised."""
    try:
        write(folder)
    except UnsavedError as error:
        shutil.rmtree(error.kept, ignore_errors=True)
        if isinstance(error.__cause__, Exception):
            raise error.__cause__ from None
        raise
