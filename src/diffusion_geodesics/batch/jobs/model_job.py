"""What all jobs with a diffusion model have in common."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from diffusion_geodesics.batch.job import Device, Facts, Job, OpenJob, Write
from diffusion_geodesics.batch.manifest import BatchPair
from diffusion_geodesics.models.settings import ModelSettings
from diffusion_geodesics.runtime.run import ignore
from diffusion_geodesics.runtime.settings import JobSettings

if TYPE_CHECKING:
    from diffusion_geodesics.models.model import DiffusionModel


@dataclass(frozen=True)
class ModelJob(Job):
    """A job of this package, pair by pair."""

    name: ClassVar[str]
    model: ModelSettings  # which model
    settings: JobSettings  # of the job
    report: bool = True  # whether each pair gets strips, a film and a page, besides its numbers

    @property
    def header(self) -> Mapping[str, Any]:
        settings = self.settings.as_nested()
        return {"job": self.name, "report": self.report, "settings": settings}

    def open(self, device: Device) -> OpenJob:
        import torch

        if device.threads:
            torch.set_num_threads(device.threads)
        changed = {} if device.name is None else {"device": device.name}
        return self.opened(self.model.model_copy(update=changed).load(ignore))

    @abstractmethod
    def opened(self, model: DiffusionModel) -> OpenJob:
        """The job with its model."""

    def together(self, model: DiffusionModel) -> int:
        """Pairs that are best computed in one batch."""
        return 1


class PairJob(ModelJob):
    """A job whose results `reporting.save` writes."""

    def opened(self, model: DiffusionModel) -> OpenJob:
        return _OpenPairJob(self, model)

    @abstractmethod
    def result(self, model: DiffusionModel, pair: BatchPair) -> object:
        """The result of one pair."""

    def results(self, model: DiffusionModel, pairs: Sequence[BatchPair]) -> Sequence[object]:
        """The results of several pairs."""
        return [self.result(model, pair) for pair in pairs]


class OpenModelJob(OpenJob):
    """A job with its model."""

    def __init__(self, job: ModelJob, model: DiffusionModel) -> None:
        self._base, self._model = job, model

    def use_threads(self, count: int) -> None:
        import torch

        torch.set_num_threads(count)

    def facts(self) -> Facts:
        model = self._model
        about = {"hash": model.hash, "dtype": str(model.dtype).removeprefix("torch.")}
        together = self._base.together(model)
        return Facts(about, _devices(self._base.model, model), _memory(), together)


class _OpenPairJob(OpenModelJob):
    def __init__(self, job: PairJob, model: DiffusionModel) -> None:
        super().__init__(job, model)
        self._job = job

    def results(self, pairs: Sequence[BatchPair]) -> Sequence[Write]:
        return [self._write(result) for result in self._job.results(self._model, pairs)]

    def _write(self, result: object) -> Write:
        from diffusion_geodesics.reporting.save import save

        report = self._job.report
        return lambda folder: save(result, folder, report=report)


def _devices(asked: ModelSettings, model: DiffusionModel) -> tuple[str, ...]:
    """The accelerators to spread workers over; none on the CPU."""
    import torch

    device = model.device
    if device.type == "cpu":
        return ()
    if device.type != "cuda" or ":" in (asked.device or ""):
        return (str(device),)
    return tuple(f"cuda:{i}" for i in range(torch.cuda.device_count()))


def _memory() -> int:
    """Most bytes that this process has taken so far."""
    try:
        import resource
    except ImportError:
        return 0
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used
