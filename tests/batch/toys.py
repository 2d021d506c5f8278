"""A job that needs no network: what a batch does with pairs, in milliseconds."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diffusion_geodesics.batch.job import Device, Facts, Job, OpenJob, Write
from diffusion_geodesics.batch.manifest import BatchPair
from diffusion_geodesics.runtime.storage import staged_folder


@dataclass(frozen=True)
class ToyJob(Job):
    """Hashes images.

    Args:
        seconds: that a pair takes.
        behaviour: by the name of a pair: "die", "die once", "raise", "raise once" or "refuse".
        log: a file that gets a line whenever a pair is begun.
        memory, load_error: of the worker.
    """

    seconds: float = 0.0
    behaviour: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None
    load_error: str = ""
    size: int = 100

    @property
    def header(self) -> Mapping[str, Any]:
        return {"job": "toy", "settings": {"size": self.size}}

    def open(self, device: Device) -> OpenJob:
        if self.load_error:
            raise ValueError(self.load_error)
        return OpenToy(self)


class OpenToy(OpenJob):
    def __init__(self, job: ToyJob) -> None:
        self.job = job

    def facts(self) -> Facts:
        return Facts({"id": "toy", "hash": "0"}, memory=10_000_000)

    def results(self, pairs: Sequence[BatchPair]) -> Sequence[Write]:
        return [self._result(pair) for pair in pairs]

    def _result(self, pair: BatchPair) -> Write:
        first = True
        if self.job.log is not None:
            first = pair.name not in begun(self.job.log)
            with self.job.log.open("a") as file:
                file.write(f"{pair.name}\n")
        behaviour = self.job.behaviour.get(pair.name, "")
        if behaviour == "die" or (behaviour == "die once" and first):
            os.kill(os.getpid(), signal.SIGKILL)
        if behaviour == "raise" or (behaviour == "raise once" and first):
            raise RuntimeError(f"no luck with {pair.name}")
        if behaviour == "refuse":
            raise ValueError(f"{pair.name} is no pair")
        content = Path(pair.a).read_bytes() + Path(pair.b).read_bytes()
        time.sleep(self.job.seconds)
        return lambda folder: _write(folder, pair, content, self.job.size)


def _write(folder: Path, pair: BatchPair, content: bytes, size: int) -> None:
    with staged_folder(folder) as staging:
        (staging / "frames").mkdir()
        (staging / "frames" / "000.bin").write_bytes((content * size)[:size])
        text = json.dumps({"program": "diffusion-geodesics", "name": pair.name})
        (staging / "result.json").write_text(text)


def begun(log: Path) -> list[str]:
    """The names of the pairs that were begun, in order."""
    return log.read_text().splitlines() if log.exists() else []


def toy_pairs(folder: Path, count: int) -> list[BatchPair]:
    """Pairs of small files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{i}.bin" for i in range(count + 1)]
    for i, file in enumerate(files):
        file.write_bytes(f"image {i}".encode())
    return [BatchPair(f"pair{i}", str(files[i]), str(files[i + 1])) for i in range(count)]
