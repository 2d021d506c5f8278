"""The adaptive Dormand-Prince method of order 5 for a state that is a pair of tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from scipy.integrate import RK45
from torch import Tensor

State: TypeAlias = tuple[Tensor, Tensor]
"""Points (points, dim) and integrals (samples, points)."""


@dataclass(frozen=True)
class Integration:
    """How an integration from u = 0 to 1 ended."""

    state: State  # at the end, or where it stopped
    error: State
    steps: int  # accepted steps
    rejected: int  # rejected steps
    finished: bool  # whether u = 1 was reached
    broken: bool  # whether it stopped at a value that is not finite


def integrate(
    rate: Callable[[float, State], State],
    state: State,
    size: Callable[[State, State], float],
    *,
    first: float = 0.05,
    max_steps: int = 200,
    on_step: Callable[[float], None] | None = None,
) -> Integration:
    """Solve d(state)/du = rate(u, state) from u = 0 to 1."""
    u, h, steps, rejected, broken = 0.0, first, 0, 0, False
    slope = rate(0.0, state)
    total = (torch.zeros_like(state[0]), torch.zeros_like(state[1]))
    while u < 1 and steps + rejected < max_steps:
        h = min(h, 1 - u)
        end = 1.0 if h == 1 - u else u + h
        slopes = [slope]
        for row, c in zip(RK45.A[1:], RK45.C[1:], strict=True):
            slopes.append(rate(u + float(c) * h, _combine(state, slopes, h * row)))
        reached = _combine(state, slopes, h * RK45.B)
        slopes.append(rate(end, reached))
        local = _combine(None, slopes, h * RK45.E)
        error = size(reached, local)
        if error < 1:
            total = (total[0] + local[0], total[1] + local[1].abs())
            u, state, slope, steps = end, reached, slopes[-1], steps + 1
            if on_step is not None:
                on_step(u)
        elif error >= 1:
            rejected += 1
        else:  # not a number
            broken = True
            break
        h *= min(5.0, max(0.2, 0.9 * max(error, 1e-10) ** -0.2))
    return Integration(state, total, steps, rejected, u == 1, broken)


def _combine(state: State | None, slopes: list[State], weights: object) -> State:
    """state + Σ weight · slope, for both tensors."""
    points, integrals = torch.zeros_like(slopes[0][0]), torch.zeros_like(slopes[0][1])
    for slope, weight in zip(slopes, torch.as_tensor(weights).tolist(), strict=False):
        points, integrals = points + weight * slope[0], integrals + weight * slope[1]
    return (points, integrals) if state is None else (state[0] + points, state[1] + integrals)
