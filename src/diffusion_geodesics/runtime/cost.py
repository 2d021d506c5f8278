"""What a computation costs, counted where it happens: at the networks.

- **NFE**, network function evaluations: one latent put through the denoiser once.
- **batches**: network calls asked for at once, into however many pieces memory cuts one, so that
  counts do not depend on the machine.
- **TFLOP**: :math:`10^{12}` floating-point operations of matrix products and convolutions, a
  multiplication and an addition counting as two. Those of the autoencoder are included; those of
  the geometry are negligible and are not.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from threading import Lock
from typing import final


@final
@dataclass(frozen=True)
class Cost:
    """The cost of a stage, or of several: costs add.

    Args:
        nfe: network function evaluations.
        batches: network calls.
        seconds: wall-clock time.
        tflop: operations; 0 where they were not counted.
    """

    nfe: int = 0
    batches: int = 0
    seconds: float = 0.0
    tflop: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.nfe + other.nfe,
            self.batches + other.batches,
            self.seconds + other.seconds,
            self.tflop + other.tflop,
        )

    def __sub__(self, other: Cost) -> Cost:
        return Cost(
            self.nfe - other.nfe,
            self.batches - other.batches,
            self.seconds - other.seconds,
            self.tflop - other.tflop,
        )

    def scaled(self, factor: float) -> Cost:
        """The cost of so many times the work in as many batches."""
        return Cost(
            round(self.nfe * factor), self.batches, self.seconds * factor, self.tflop * factor
        )

    def as_dict(self) -> dict[str, float]:
        """The four numbers under their names, ready for JSON."""
        return {
            "nfe": self.nfe,
            "batches": self.batches,
            "seconds": round(self.seconds, 4),
            "tflop": float(f"{self.tflop:.6g}"),
        }


@final
@dataclass(frozen=True)
class CostBreakdown:
    """Costs by stage, in the order in which the stages first ran.

    Args:
        stages: (name, cost); a stage that ran twice has the sum of both.
    """

    stages: tuple[tuple[str, Cost], ...] = ()

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
        return {
            **self.total.as_dict(),
            "stages": {name: cost.as_dict() for name, cost in self.stages},
        }


@final
@dataclass(frozen=True)
class Counts:
    """What a meter has counted.

    Args:
        nfe, batches: of the denoiser.
        backward: those of ``nfe`` that a backward pass followed.
        encoded, decoded: images through the autoencoder.
    """

    nfe: int = 0
    batches: int = 0
    backward: int = 0
    encoded: int = 0
    decoded: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))


@final
class Meter:
    """A counter that the networks of one run report to; several threads may.

    A :class:`~diffusion_geodesics.diffusion.Denoiser` and a metered codec hold one each; a run
    reads it when a stage begins and when it ends.
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
    """Floating-point operations of one unit of each kind; 0 where they were not counted.

    Args:
        evaluation: of one latent through the denoiser.
        encoding, decoding: of one image through the autoencoder.
    """

    evaluation: float = 0.0
    encoding: float = 0.0
    decoding: float = 0.0

    def tflop(self, counts: Counts) -> float:
        """Operations in all, in :math:`10^{12}`; a backward pass counts as two evaluations."""
        passes = counts.nfe + 2 * counts.backward
        total = passes * self.evaluation
        return (total + counts.encoded * self.encoding + counts.decoded * self.decoding) / 1e12
