"""What a computation cost, as data: rows, calls, seconds and operations, stage by stage.

A **row** is one latent put through the denoiser once; a **call** is one batch asked for at once
(however many pieces memory cut it into, so that counts do not depend on the machine). A **TFLOP**
is 10^12 floating-point operations of matrix products and convolutions, a multiplication and an
addition counting as two; operations of the autoencoder are included, those of the geometry are
negligible and are not.
"""

from dataclasses import dataclass
from typing import Any, final

__all__ = ["Cost", "Ledger"]


@final
@dataclass(frozen=True)
class Cost:
    """Denoiser evaluations (`rows`), batched calls, wall time (`seconds`) and `tflop`.

    Costs add: `Cost(30, 15, 1.0) + Cost(4, 1, 0.5) == Cost(34, 16, 1.5)`.
    """

    rows: int = 0
    calls: int = 0
    seconds: float = 0.0
    tflop: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.rows + other.rows,
            self.calls + other.calls,
            self.seconds + other.seconds,
            self.tflop + other.tflop,
        )

    def as_dict(self) -> dict[str, Any]:
        """The four numbers under their names, ready for JSON."""
        return {
            "rows": self.rows,
            "calls": self.calls,
            "seconds": round(self.seconds, 4),
            "tflop": float(f"{self.tflop:.6g}"),
        }


@final
@dataclass(frozen=True)
class Ledger:
    """Costs by stage, in the order in which the stages first appeared.

    `ledger.add("inversion", cost)` returns a new ledger; a stage named twice accumulates.
    """

    stages: tuple[tuple[str, Cost], ...] = ()

    def add(self, stage: str, cost: Cost) -> "Ledger":
        """This ledger with `cost` added to `stage`."""
        if any(name == stage for name, _ in self.stages):
            return Ledger(tuple((n, c + cost if n == stage else c) for n, c in self.stages))
        return Ledger((*self.stages, (stage, cost)))

    def __getitem__(self, stage: str) -> Cost:
        """The cost of one stage; nothing (`Cost()`) for a stage that did not happen."""
        return dict(self.stages).get(stage, Cost())

    @property
    def total(self) -> Cost:
        """The sum over all stages."""
        return sum((cost for _, cost in self.stages), Cost())

    def as_dict(self, solver: str = "solve") -> dict[str, Any]:
        """The content of `cost` in `result.json`: totals, `solver_rows`, and `stages` by name.

        `solver` names the stage whose rows are reported as `solver_rows`.
        """
        return {
            "rows": self.total.rows,
            "solver_rows": self[solver].rows,
            "calls": self.total.calls,
            "seconds": round(self.total.seconds, 4),
            "tflop": float(f"{self.total.tflop:.6g}"),
            "stages": {name: cost.as_dict() for name, cost in self.stages},
        }
