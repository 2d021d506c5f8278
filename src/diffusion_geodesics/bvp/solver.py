"""The boundary value problem, and the interface of its solvers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.bvp.result import Step
from diffusion_geodesics.bvp.solution import Solution
from diffusion_geodesics.metric import Connection, Energy
from diffusion_geodesics.path import Path


@dataclass(frozen=True)
class BoundaryProblem:
    """Find the geodesic between the two ends of a path.

    Args:
        geometry: a :class:`Connection` (geodesics by their acceleration), or an :class:`Energy`
            (geodesics as curves of least energy).
        paths: the initial path, for one pair of points (points of shape (time, dim)) or a batch of
            pairs (time, *batch, dim); or several initial paths between the same points, of which
            solvers return the shortest solution of each pair.

    Raises:
        TypeError: ``geometry`` or ``paths`` is something else.
        ValueError: no path, or paths that differ in shape or in their ends.
    """

    geometry: Connection | Energy
    paths: Path | Sequence[Path]

    def __post_init__(self) -> None:
        if not isinstance(self.geometry, Connection | Energy):
            raise TypeError(
                f"geometry is of type {type(self.geometry).__name__}; expected a Connection such "
                "as Conformal(score, alpha), or an Energy such as MetricEnergy(metric)"
            )
        paths = (self.paths,) if isinstance(self.paths, Path) else tuple(self.paths)
        if not paths:
            raise ValueError("got no initial path; expected one path or several")
        for path in paths:
            if not isinstance(path, Path):
                raise TypeError(
                    f"got an initial path of type {type(path).__name__}; expected a Path such as "
                    "Line(x0, x1)"
                )
        object.__setattr__(self, "paths", paths)
        ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
        first = paths[0](ends)
        for path in paths[1:]:
            _check_ends(path(ends), first)

    @property
    def starts(self) -> tuple[Path, ...]:
        """The initial paths."""
        return cast("tuple[Path, ...]", self.paths)

    @property
    def connection(self) -> Connection:
        """The geometry; `ValueError` if it is an :class:`Energy`."""
        if isinstance(self.geometry, Connection):
            return self.geometry
        raise ValueError(
            f"this solver needs a Connection and got the Energy {type(self.geometry).__name__}, "
            "which has no acceleration; use EnergyMinimiser()"
        )

    @property
    def energy(self) -> Energy:
        """The geometry; `ValueError` if it is a :class:`Connection`."""
        if isinstance(self.geometry, Energy):
            return self.geometry
        raise ValueError(
            f"this solver needs an Energy and got the Connection {type(self.geometry).__name__}; "
            "use MetricEnergy(metric) with a Metric, or a solver such as PreconditionedFlow()"
        )

    def nodes(self, intervals: int) -> Float[Tensor, "nodes starts *batch dim"]:
        """Equidistant nodes of all initial paths, with exactly the same ends."""
        times = torch.linspace(0, 1, intervals + 1, dtype=torch.float64)
        nodes = torch.stack([path(times) for path in self.starts], 1)
        first = nodes[:, :1]
        ends = [first[i].expand_as(nodes[i])[None] for i in (0, -1)]
        return torch.cat([ends[0], nodes[1:-1], ends[1]])


def _check_ends(ends: Tensor, first: Tensor) -> None:
    if ends.shape != first.shape:
        raise ValueError(
            f"initial paths have shapes {tuple(ends.shape[1:])} and {tuple(first.shape[1:])}; "
            "expected paths between the same points"
        )
    scale = first.abs().max().clamp_min(1e-30)
    gap = (ends - first).abs().max()
    if bool(gap > 1e-5 * scale):
        raise ValueError(
            f"initial paths end up to {float(gap):.2g} apart; expected the same end points"
        )


@dataclass(frozen=True)
class Control:
    """When a solver stops, and whom it reports to."""

    tol: float
    """Relative residual to reach, between 0 and 1."""
    max_steps: int
    """Most steps on the finest level, ≥ 1."""
    callback: Callable[[Step], None] | None = None
    """After every iteration; may raise to cancel."""

    def __post_init__(self) -> None:
        if not 0 < self.tol <= 1 or self.max_steps < 1:
            raise ValueError(
                f"tol is {self.tol} and max_steps {self.max_steps}; expected a relative residual "
                "0 < tol ≤ 1, and max_steps ≥ 1"
            )

    def report(self, step: Step) -> None:
        """Pass an iteration to the callback, if there is one."""
        if self.callback is not None:
            self.callback(step)


class BVPSolver(ABC):
    """A method for boundary value problems."""

    @property
    def default_max_steps(self) -> int:
        """Most steps if the caller does not say."""
        return 60

    @abstractmethod
    def solve(self, problem: BoundaryProblem, control: Control) -> Solution:
        """Solve a problem. A failure is a :class:`Result` of the solution, not an exception;
        `ValueError` if the solver does not apply to the problem's geometry."""
