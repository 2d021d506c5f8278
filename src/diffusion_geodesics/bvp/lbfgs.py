r"""L-BFGS for a batch of independent problems, each with its own history and line search.

Every problem has its own quasi-Newton direction d and its own line search. In each iteration it
asks for the function at one trial point, so that one evaluation of the whole batch serves all
problems and none waits for another:

.. math:: x \leftarrow x + \tau d \quad\text{if}\quad
          f(x + \tau d) \le f(x) + 10^{-4}\, \tau\, d \cdot \nabla f,
          \qquad\text{else}\quad \tau \leftarrow \text{smaller}.

The variables have to be scaled so that the Hessian is of order one, because the first direction is
:math:`-\nabla f`.

References:
    Nocedal, Wright, Numerical Optimization, 2006, algorithms 7.4 and 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

DECREASE = 1e-4
"""Fraction of the predicted decrease that a step must achieve (Armijo condition)."""

SHORTEST = 1e-8
"""Step along the direction below which the history is dropped or the problem abandoned."""


Variables: TypeAlias = Float[Tensor, "problems size"]
Numbers: TypeAlias = Float[Tensor, " problems"]


@dataclass(frozen=True)
class Search:
    """The state of each problem."""

    x: Variables  # the accepted point, its value and gradient
    f: Numbers
    g: Variables
    direction: Variables  # d and τ of the next trial
    step: Numbers
    moves: Float[Tensor, "memory problems size"]  # the last steps of x, newest last
    changes: Float[Tensor, "memory problems size"]  # the corresponding changes of g
    count: Int[Tensor, " problems"]  # how many of them are valid (the newest ones)
    resets: Int[Tensor, " problems"]  # how often the history was dropped since the last good step

    @property
    def trial(self) -> Variables:
        """The points to evaluate next."""
        return self.x + self.step[:, None] * self.direction

    @property
    def stalled(self) -> Bool[Tensor, " problems"]:
        """Problems in which even steepest descent finds no smaller value."""
        return self.resets >= 2


def begin(x: Variables, f: Numbers, g: Variables, memory: int = 20) -> Search:
    """The state before the first iteration."""
    zeros = x.new_zeros(memory, *x.shape)
    count = torch.zeros(len(x), dtype=torch.long, device=x.device)
    return Search(x, f, g, _bounded(-g), torch.ones_like(f), zeros, zeros, count, count)


def advance(search: Search, f: Numbers, g: Variables) -> Search:
    """The state after one iteration."""
    slope = _dot(search.g, search.direction)
    rounding = 4 * torch.finfo(f.dtype).eps * search.f.abs()
    bound = search.f + DECREASE * search.step * slope + rounding
    good = torch.isfinite(f) & torch.isfinite(g).all(-1) & (f <= bound)
    x, f_next = torch.where(good[:, None], search.trial, search.x), torch.where(good, f, search.f)
    g_next = torch.where(good[:, None], g, search.g)
    move, change = x - search.x, g_next - search.g
    product = _dot(move, change)
    curved = good & (product > 1e-10 * _norm(move) * _norm(change))
    moves, changes = (
        torch.where(curved[:, None], torch.cat([old[1:], new[None]]), old)
        for old, new in ((search.moves, move), (search.changes, change))
    )
    count = (search.count + curved).clamp_max(len(moves))
    excess = f - search.f - search.step * slope
    parabola = -0.5 * search.step * slope / excess.clamp_min(1e-30)
    shorter = search.step * torch.nan_to_num(parabola, nan=0.1).clamp(0.1, 0.5)
    stuck = ~good & (shorter < SHORTEST)
    count = torch.where(stuck, 0, count)
    direction = _bounded(_direction(g_next, moves, changes, count))
    direction = torch.where((good | stuck)[:, None], direction, search.direction)
    step = torch.where(good | stuck, 1.0, shorter)
    resets = torch.where(good, 0, search.resets + stuck)
    return Search(x, f_next, g_next, direction, step, moves, changes, count, resets)


def _direction(g: Tensor, moves: Tensor, changes: Tensor, count: Tensor) -> Tensor:
    """-H g by the two-loop recursion; the steepest descent where there is no history."""
    q = g
    factors: list[Tensor] = []
    age = range(len(moves))
    for i in reversed(age):
        valid = len(moves) - i <= count
        inverse = torch.where(valid, 1 / _dot(moves[i], changes[i]).clamp_min(1e-300), 0)
        factors.append(torch.where(valid, inverse * _dot(moves[i], q), 0))
        q = q - factors[-1][:, None] * changes[i]
    scale = _dot(moves[-1], changes[-1]) / _dot(changes[-1], changes[-1]).clamp_min(1e-300)
    q = torch.where(count > 0, scale, 1.0)[:, None] * q
    for i, factor in zip(age, reversed(factors), strict=True):
        valid = len(moves) - i <= count
        inverse = torch.where(valid, 1 / _dot(moves[i], changes[i]).clamp_min(1e-300), 0)
        q = q + torch.where(valid, factor - inverse * _dot(changes[i], q), 0)[:, None] * moves[i]
    downhill = (_dot(q, g) > 0) & torch.isfinite(q).all(-1)
    return -torch.where(downhill[:, None], q, g)


def _bounded(direction: Tensor) -> Tensor:
    """Directions no longer than 1."""
    return direction / _norm(direction).clamp_min(1.0)[:, None]


def _dot(u: Tensor, v: Tensor) -> Tensor:
    return (u * v).sum(-1)


def _norm(u: Tensor) -> Tensor:
    return torch.linalg.vector_norm(u, dim=-1)
