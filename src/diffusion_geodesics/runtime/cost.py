"""What a computation costs, counted where it happens: at the networks.

- **NFE**, network function evaluations: one latent put through the denoiser once.
- **batches**: network calls asked for at once, into however many pieces memory cuts one, so that
  counts do not depend on the machine.
- **TFLOP**: :math:`10^{12}` floating-point operations of matrix products and convolutions, a
  multiplication and an addition counting as two. Those of the autoencoder are included; those of
  the geometry are negligible and are not.
"""

from __future__ import annotations

import operator
from dataclasses import astuple, dataclass
from threading import Lock
from typing import final


@final
@dataclass(frozen=True)
class Cost:
    """The cost of a stage, or of several: costs add."""

    nfe: int = 0  # network function evaluations
    batches: int = 0  # network calls
    seconds: float = 0.0  # wall-clock time
    tflop: float = 0.0  # operations; 0 where they were not counted

    def __add__(self, other: Cost) -> Cost:
        return Cost(*map(operator.add, astuple(self), astuple(other)))

    def __sub__(self, other: Cost) -> Cost:
        return Cost(*map(operator.sub, astuple(self), astuple(other)))

    def scaled(self, factor: float) -> Cost:
        """The cost of so many times the work in as many batches."""
        nfe = round(self.nfe * factor)
        return Cost(nfe, self.batches, self.seconds * factor, self.tflop * factor)

    def as_dict(self) -> dict[str, float]:
        """The four numbers under their names, ready for JSON."""
        seconds, tflop = round(self.seconds, 4), float(f"{self.tflop:.6g}")
        return {"nfe": self.nfe, "batches": self.batches, "seconds": seconds, "tflop": tflop}


@final
@dataclass(frozen=True)
class CostBreakdown:
    """Costs by stage, in the order in which the stages first ran."""

    stages: tuple[tuple[str, Cost], ...] = ()  # one that ran twice has the sum of both

    def add(self, stage: str, cost: Cost) -> CostBreakdown:
        """This breakdown with a cost added to a stage."""
        if any(name == stage for name, _ in self.stages):
            return CostBreakdown(tuple((n, c + cost if n == stage else c) for n, c in self.stages))
        return CostBreakdown((*self.stages, (stage, cost)))

    def __getitem__(self, stage: str) -> Cost:
        """The cost of one stage; ``Cost()`` for a stage that did not run."""
        return dict(self.stages).get(stage, Cost())

    @property
    def total(self) -> Cost:
        """The sum over all stages."""
        return sum((cost for _, cost in self.stages), Cost())

    def as_dict(self) -> dict[str, object]:
        """The contents of ``cost`` in ``result.json``: totals, and ``stages`` by name."""
        stages = {name: cost.as_dict() for name, cost in self.stages}
        return {**self.total.as_dict(), "stages": stages}


@final
@dataclass(frozen=True)
class Counts:
    """What a meter has counted."""

    nfe: int = 0  # of the denoiser
    batches: int = 0
    backward: int = 0  # those of ``nfe`` that a backward pass followed
    encoded: int = 0  # images through the autoencoder
    decoded: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*map(operator.add, astuple(self), astuple(other)))

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*map(operator.sub, astuple(self), astuple(other)))


@final
class Meter:
    """A counter that the networks of one run report to; several threads may.

    A denoiser and a metered codec hold one each; a run reads it when a stage begins and ends.
    """

    def __init__(self) -> None:
        self._counts = Counts()
        self._lock = Lock()

    def add(self, counts: Counts) -> None:
        """Count further evaluations."""
        with self._lock:
            self._counts = self._counts + counts

    def read(self) -> Counts:
        """What has been counted so far."""
        with self._lock:
            return self._counts


@final
@dataclass(frozen=True)
class Operations:
    """Floating-point operations of one unit of each kind; 0 where they were not counted."""

    evaluation: float = 0.0  # of one latent through the denoiser
    encoding: float = 0.0  # of one image through the autoencoder
    decoding: float = 0.0

    def tflop(self, counts: Counts) -> float:
        """Operations in all, in :math:`10^{12}`; a backward pass counts as two evaluations."""
        total = (counts.nfe + 2 * counts.backward) * self.evaluation
        return (total + counts.encoded * self.encoding + counts.decoded * self.decoding) / 1e12
