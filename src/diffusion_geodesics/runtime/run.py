"""One run of a job: its stages, with progress, time and cost."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import final

from diffusion_geodesics.runtime.cost import Cost, CostBreakdown, Meter, Operations

STAGES = {
    "load": "Loading the model",
    "read": "Reading and encoding",
    "encode": "Encoding",
    "text": "Optimising embeddings",
    "domain": "Does the model know the frames?",
    "invert": "Inverting",
    "match": "Matching the images",
    "direction": "Finding the direction",
    "solve": "Solving for the path",
    "geodesic": "Solving for the geodesic of the pair",
    "metamorphosis": "Metamorphosis distance",
    "ray": "Following the ray",
    "measure": "Measuring",
    "pairs": "Pairs",
    "flow": "Following the flow, %",
    "decode": "Decoding the film",
    "compare": "Decoding the comparison",
    "write": "Writing",
}
"""What stages are called in front of people, by their names."""


@final
@dataclass(frozen=True)
class Event:
    """Progress of one stage."""

    stage: str  # its name, such as ``"solve"``
    done: int  # steps done
    total: int  # steps in all; 0 where that is not known
    detail: str = ""  # a few words, such as the name of a file
    figures: Mapping[str, float] = field(default_factory=dict)  # live numbers, such as residual


Observer = Callable[[Event], None]
"""Called with every event of a run. An exception that it raises ends the run: this is how a run is
cancelled."""


def ignore(event: Event) -> None:
    """The observer that observes nothing."""


@final
class Stage:
    """A stage that is running; call it to report progress."""

    def __init__(self, name: str, total: int, observer: Observer) -> None:
        self.name = name
        self._observer = observer
        self._total = total
        self(0)

    def __call__(
        self, done: int, total: int | None = None, detail: str = "", **figures: float
    ) -> None:
        """Report steps done, their number in all if it has become known, and live figures."""
        self._total = self._total if total is None else total
        self._done = done
        self._observer(Event(self.name, done, self._total, detail, figures))

    def finish(self) -> None:
        """Report that all steps are done."""
        total = self._total or max(self._done, 1)
        if self._done != total or not self._total:
            self(total, total)


@final
class Run:
    """Progress, time and cost of one run of a job.

    The networks that take part are given :attr:`meter`; what they count between the beginning and
    the end of a stage is the stage's cost. It is the one object of a job that changes, and it
    belongs to that job alone.
    """

    def __init__(self, observer: Observer | None = None) -> None:
        self.meter = Meter()
        self.operations = Operations()
        self._observer = observer or ignore
        self._costs = CostBreakdown()

    @contextmanager
    def stage(self, name: str, total: int = 1) -> Iterator[Stage]:
        """Run the body as a stage."""
        before, started = self.meter.read(), time.perf_counter()
        stage = Stage(name, total, self._observer)
        yield stage
        counts = self.meter.read() - before
        seconds = time.perf_counter() - started
        cost = Cost(counts.nfe, counts.batches, seconds, self.operations.tflop(counts))
        self._costs = self._costs.add(name, cost)
        stage.finish()

    def report(self, stage: str, done: int, total: int, detail: str = "", **figures: float) -> None:
        """Tell the observer of progress that has no cost of its own, such as pairs done."""
        self._observer(Event(stage, done, total, detail, figures))

    def charge(self, name: str, cost: Cost) -> None:
        """Add to a stage the cost of something that was computed before and is used again."""
        self._costs = self._costs.add(name, cost)

    @property
    def costs(self) -> CostBreakdown:
        """The cost of every stage that has ended."""
        return self._costs
