"""Locating a stop within a step, by repeating the step with shorter ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from diffusion_geodesics.density import evaluate
from diffusion_geodesics.ivp.integrator import Attempt, Integrator
from diffusion_geodesics.ivp.ray import RayResult
from diffusion_geodesics.ivp.state import State
from diffusion_geodesics.ivp.stops import Stop
from diffusion_geodesics.metric import Connection

REPEATS = 30
"""Most repetitions of a step to locate a stop in it."""


@dataclass(frozen=True)
class Cost:
    """What was spent."""

    batches: int = 0  # batches of score evaluations
    nfe: int = 0  # score evaluations

    def plus(self, more: Cost | Attempt) -> Cost:
        """The sum of two costs."""
        return Cost(self.batches + more.batches, self.nfe + more.nfe)


@dataclass(frozen=True)
class Located:
    """The rays after one step."""

    state: State  # at the end of the step, or at the stop
    h: Float[Tensor, " rows"]  # length of the step up to there
    hit: Bool[Tensor, " rows"]  # which rays met a stop
    codes: Int[Tensor, " rows"]
    cost: Cost  # including that of locating


def stop_values(
    connection: Connection, stops: Sequence[Stop], state: State, cost: Cost
) -> tuple[list[Tensor], Cost]:
    """The value of every stop."""
    score = None
    if any(stop.needs_score for stop in stops):
        score = evaluate(connection.score, state.t.clamp(0, 1), state.x)
        cost = cost.plus(Cost(1, len(state.t)))
    return [stop.value(state, score if stop.needs_score else None) for stop in stops], cost


def locate(
    connection: Connection,
    integrator: Integrator,
    stops: Sequence[Stop],
    here: State,
    new: State,
    h: Float[Tensor, " rows"],
    taken: Bool[Tensor, " rows"],
    before: Sequence[Tensor],
    after: Sequence[Tensor],
    cost: Cost,
) -> Located:
    """The first stop of each ray within a step, if there is one."""
    hit = torch.zeros_like(taken)
    codes = torch.full_like(taken, -1, dtype=torch.long)
    whole = h
    for whole_stop, low, high in zip(stops, before, after, strict=True):
        crossing = (taken & (low < 0) & (high >= 0)).nonzero()[:, 0]
        if not len(crossing):
            continue
        part, stop = connection.select(crossing), whole_stop.select(crossing)
        met, length, cost = _root(
            part,
            integrator,
            stop,
            here.take(crossing),
            whole[crossing],
            low[crossing],
            high[crossing],
            cost,
        )
        first = stop.holds(met) & (length <= h[crossing])
        where, picked = crossing[first], first.nonzero()[:, 0]
        new = new.put(where, met.take(picked))
        h = h.index_copy(0, where, length[picked])
        hit = hit.index_fill(0, where, True)
        codes = codes.index_fill(0, where, list(RayResult).index(stop.result))
    return Located(new, h, hit, codes, cost)


def _root(
    connection: Connection,
    integrator: Integrator,
    stop: Stop,
    here: State,
    h: Tensor,
    low: Tensor,
    high: Tensor,
    cost: Cost,
) -> tuple[State, Tensor, Cost]:
    """The step after which a stop's value is zero, by the Illinois variant of false position."""
    left, right, side = torch.zeros_like(h), h, torch.zeros_like(h)
    enough = (high - low) * 64 * torch.finfo(h.dtype).eps
    middle, attempt = right, Attempt(here, torch.zeros_like(h), 0, 0)
    for repeat in range(REPEATS):
        middle = right - high * (right - left) / (high - low).clamp_min(1e-30)
        attempt = integrator.step(connection, here, middle)
        cost = cost.plus(attempt)
        (value,), cost = stop_values(connection, [stop], attempt.state, cost)
        value = torch.nan_to_num(value, nan=torch.inf)
        if bool((value.abs() <= enough).all()) or repeat == REPEATS - 1:
            break
        below = value < 0
        high = torch.where(below, torch.where(side < 0, high / 2, high), value)
        low = torch.where(below, value, torch.where(side > 0, low / 2, low))
        left, right = torch.where(below, middle, left), torch.where(below, right, middle)
        side = torch.where(below, -1.0, 1.0).to(h)
    return attempt.state, middle, cost
