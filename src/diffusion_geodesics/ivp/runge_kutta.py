r"""Explicit Runge-Kutta methods: a tableau is data.

.. math:: k_i = f\Big(t + c_i h,\; y + h \sum_{j<i} a_{ij} k_j\Big), \qquad
          y_{+} = y + h \sum_i b_i k_i.

After every step the point is projected onto the manifold, and the velocity onto its tangent space
and scaled to its former norm, so that speed and sphere hold to rounding; the corrections are as
small as the error of the step.

References:
    Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I, 1993, sections II.4 and
    II.10 (Dormand and Prince's method of order 8 with error estimates of orders 5 and 3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from scipy.integrate import DOP853
from torch import Tensor

from diffusion_geodesics.ivp.integrator import (
    Attempt,
    FixedStep,
    Integrator,
    State,
    rate_of_change,
    unpack,
)
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.shapes import PathValues


@dataclass(frozen=True)
class Tableau:
    """Coefficients of an explicit Runge-Kutta method; ValueError if their numbers do not fit."""

    a: tuple[tuple[float, ...], ...]
    """Row i holds a_ij for j < i."""
    b: tuple[float, ...]
    """Weights of the stages."""
    c: tuple[float, ...]
    """Times of the stages as fractions of the step."""
    order: int
    """Of convergence."""

    def __post_init__(self) -> None:
        shapes = [len(row) for row in self.a] == list(range(len(self.b)))
        if not shapes or len(self.c) != len(self.b):
            raise ValueError(
                f"a tableau has rows of {[len(row) for row in self.a]}, {len(self.b)} weights and "
                f"{len(self.c)} times; expected rows of 0, 1, 2, ... and as many of each"
            )


CLASSICAL = Tableau(
    ((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6), (0.0, 0.5, 0.5, 1.0), 4
)
"""Runge and Kutta's method of order 4, four stages."""

DORMAND_PRINCE_8 = Tableau(
    tuple(tuple(float(a) for a in row[:i]) for i, row in enumerate(DOP853.A)),
    tuple(float(b) for b in DOP853.B),
    tuple(float(c) for c in DOP853.C),
    8,
)
"""Dormand and Prince's method of order 8, twelve stages."""


def _attempt(connection: Connection, state: State, error: Tensor, batches: int) -> Attempt:
    return Attempt(state, error, batches, batches * connection.evaluations * len(error))


def _begin(connection: Connection, state: State) -> Attempt:
    state = replace(state, rate=rate_of_change(connection, state))
    return _attempt(connection, state, torch.zeros_like(state.t), 1)


def _step(
    connection: Connection, tableau: Tableau, state: State, h: Tensor
) -> tuple[State, list[Tensor]]:
    """The step, and the rates of its stages and at its end. One score evaluation a stage: the
    first has the rate at the end of the step before."""
    packed, width = state.packed, h[:, None]
    rates = [rate_of_change(connection, state) if state.rate is None else state.rate]
    for row, c in zip(tableau.a[1:], tableau.c[1:], strict=True):
        moved = packed + width * _sum(row, rates)
        rates.append(rate_of_change(connection, unpack(state.t + c * h, moved)))
    new = unpack(state.t + h, packed + width * _sum(tableau.b, rates))
    new = _on_manifold(connection, state, new)
    rates.append(rate_of_change(connection, new))
    return replace(new, rate=rates[-1]), rates


def _sum(weights: tuple[float, ...], rates: list[Tensor]) -> Tensor:
    return sum(w * rate for w, rate in zip(weights, rates, strict=True) if w)  # type: ignore


def _on_manifold(connection: Connection, old: State, new: State) -> State:
    x = connection.manifold.project(new.x)
    v = connection.manifold.to_tangent(x, new.v)
    speed, now = (torch.linalg.vector_norm(u, dim=-1, keepdim=True) for u in (old.v, v))
    return replace(new, x=x, v=v * (speed / now.clamp_min(1e-30)))


@dataclass(frozen=True)
class RungeKutta(FixedStep):
    """A Runge-Kutta method of equal steps, for every connection.

    Args:
        steps: steps per unit of t; 40 by default, which costs as much as the default integrator.
        tableau: the method; the classical one of order 4 by default.

    Cost:
        1 score evaluation per stage and 1 at the start: 161 per unit of t by default, each in its
        own batch.
    """

    steps: int = 40
    tableau: Tableau = CLASSICAL

    @property
    def order(self) -> int:
        return self.tableau.order

    def check(self, connection: Connection) -> None:
        """Every connection will do."""

    def begin(self, connection: Connection, state: State) -> Attempt:
        return _begin(connection, state)

    def step(self, connection: Connection, state: State, h: PathValues) -> Attempt:
        new, _ = _step(connection, self.tableau, state, h)
        return _attempt(connection, new, torch.zeros_like(h), len(self.tableau.b))


@dataclass(frozen=True)
class AdaptiveRungeKutta(Integrator):
    """Dormand and Prince's method of order 8 with an error control for every ray.

    The error of a step in x, in v (per unit of t), in log density and in metric length is kept
    below ``atol + rtol * scale``. The scale is the Euclidean length of a unit of t; for the log
    density it is 1 nat, for the metric length the larger of that and the metric length so far.

    Args:
        rtol, atol: tolerances ≥ 0; at least 10 rounding errors are allowed.
        first: first step to try, in t.

    Raises:
        ValueError: a tolerance is negative, both are 0, or ``first`` is not positive.

    Cost:
        12 score evaluations per step tried and 1 at the start, each in its own batch. A rejected
        step costs as much as an accepted one.
    """

    rtol: float = 1e-8
    atol: float = 0.0
    first: float = 1 / 16

    def __post_init__(self) -> None:
        if not (self.rtol >= 0 and self.atol >= 0 and self.rtol + self.atol > 0):
            raise ValueError(
                f"rtol is {self.rtol} and atol {self.atol}; expected both ≥ 0 and one above"
            )
        if not self.first > 0:
            raise ValueError(f"first is {self.first}; expected a positive step")

    @property
    def order(self) -> int:
        return DORMAND_PRINCE_8.order

    def check(self, connection: Connection) -> None:
        """Every connection will do."""

    def first_step(self) -> float:
        return self.first

    def begin(self, connection: Connection, state: State) -> Attempt:
        return _begin(connection, state)

    def step(self, connection: Connection, state: State, h: PathValues) -> Attempt:
        new, rates = _step(connection, DORMAND_PRINCE_8, state, h)
        fifth, third = (
            self._relative(state, h[:, None] * _sum(tuple(map(float, e)), rates))
            for e in (DOP853.E5, DOP853.E3)
        )
        blend = torch.sqrt(fifth**2 + 0.01 * third**2).clamp_min(1e-30)
        error = torch.nan_to_num(fifth**2 / blend, nan=torch.inf)
        return _attempt(connection, new, error, len(DORMAND_PRINCE_8.b))

    def _relative(self, state: State, error: Tensor) -> Tensor:
        split = unpack(state.t, error)
        rtol = max(self.rtol, 10 * torch.finfo(error.dtype).eps)
        scale = torch.linalg.vector_norm(state.v, dim=-1)
        both = [torch.linalg.vector_norm(e, dim=-1) for e in (split.x, split.v)]
        length = torch.maximum(scale, state.length)
        errors = [
            *(e / (self.atol + rtol * scale).clamp_min(1e-30) for e in both),
            split.log_density.abs() / (self.atol + rtol),
            split.length.abs() / (self.atol + rtol * length).clamp_min(1e-30),
        ]
        return torch.stack(errors).amax(0)

    def next_step(self, h: PathValues, error: PathValues, pace: PathValues) -> PathValues:
        return h * (0.9 * error.clamp_min(1e-30) ** (-1 / self.order)).clamp(0.2, 5.0)

    def coarser(self) -> tuple[Integrator, float]:
        """The same with a tolerance 10 times larger: the difference of the two is the error of the
        looser run, and so an upper estimate."""
        return replace(self, rtol=10 * self.rtol, atol=10 * self.atol), 1.0
