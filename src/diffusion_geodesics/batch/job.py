"""What is done with the pairs of a batch. A new job is two small classes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from diffusion_geodesics.batch.manifest import BatchPair

Write = Callable[[Path], object]
"""Writes the folder of a pair, which does not exist yet, down to the disk."""


@final
@dataclass(frozen=True)
class Device:
    """Where a worker computes."""

    name: str | None = None  # such as "cuda:1"; None for what the job's settings say
    threads: int = 0  # of the CPU that it may use; 0 for as many as it likes


@final
@dataclass(frozen=True)
class Facts:
    """What a worker says of itself once its model is loaded."""

    model: Mapping[str, Any]  # what keys depend on: hash of the weights, and their precision
    devices: tuple[str, ...] = ()  # accelerators to spread workers over; none on the CPU
    memory: int = 0  # bytes that its process takes
    together: int = 1  # pairs that are best computed in one batch


class OpenJob(ABC):
    """A job with its model loaded, in a worker process."""

    @abstractmethod
    def facts(self) -> Facts:
        """What the worker says of itself."""

    def use_threads(self, count: int) -> None:  # noqa: B027 - a job need not have any
        """Compute with so many threads of the CPU from now on."""

    @abstractmethod
    def results(self, pairs: Sequence[BatchPair]) -> Sequence[Write]:
        """Compute pairs, in one batch where they are alike."""


class Job(ABC):
    """A job and its settings: plain data, which goes to workers."""

    @property
    @abstractmethod
    def header(self) -> Mapping[str, Any]:
        """What all results depend on besides the model, as JSON holds it: ``job`` and
        ``settings``."""

    @abstractmethod
    def open(self, device: Device) -> OpenJob:
        """Load the model."""
