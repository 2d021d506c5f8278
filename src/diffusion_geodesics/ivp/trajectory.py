"""Follow a batch of rays step by step to their ends, with their companions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.ivp.integrator import Integrator
from diffusion_geodesics.ivp.locate import Cost, Located, locate, stop_values
from diffusion_geodesics.ivp.ray import RayResult
from diffusion_geodesics.ivp.state import State
from diffusion_geodesics.ivp.stops import Stop
from diffusion_geodesics.metric import Connection

SMALLEST_STEP = 1e-12
"""Steps, relative to the first one, below which a ray cannot continue."""

_RUNNING = -1


@dataclass(frozen=True)
class Setting:
    """What the rays of one run have in common."""

    connection: Connection  # the geometry of every ray
    integrator: Integrator  # of the rays
    stops: tuple[Stop, ...]  # where rays end earlier
    end: Float[Tensor, " paths"]  # curve parameter at which each ray ends
    max_steps: int  # steps after which a ray ends


@dataclass(frozen=True)
class Trajectory:
    """Rays at all their steps."""

    states: tuple[State, ...]  # the rays after every step, at least two
    companion: State | None  # the companions at the end, if there are any
    results: tuple[RayResult, ...]  # how each ray ended
    cost: Cost  # of rays and companions


@dataclass(frozen=True)
class _Progress:
    """Rays between two steps: their states, the values of the stops, the next step of each ray, and
    how those that have ended did (-1: running)."""

    state: State
    companion: State | None
    values: list[Tensor]
    step: Tensor
    codes: Tensor
    cost: Cost


@dataclass(frozen=True)
class _Tried:
    """A step of some rays: where it starts and leads, and which rays take it."""

    rows: Tensor
    here: State
    h: Tensor
    error: Tensor
    finite: Tensor
    taken: Tensor
    located: Located
    beside: State | None
    after: list[Tensor]

    @property
    def accepted(self) -> tuple[Tensor, Tensor]:
        """Indices of the rays that take the step, among all rays and among ``rows``."""
        return self.rows[self.taken], self.taken.nonzero()[:, 0]


def follow(setting: Setting, begin: State, companion: State | None) -> Trajectory:
    """Follow all rays to their ends."""
    progress = _begin(setting, begin, companion)
    begin, states = progress.state, [progress.state]
    every = torch.arange(len(begin.t), device=begin.t.device)
    for _ in range(setting.max_steps):
        rows = every[progress.codes == _RUNNING]
        if not len(rows):
            break
        tried, cost = _try_step(setting, progress, rows)
        progress = _advance(setting, begin, replace(progress, cost=cost), tried)
        states.append(progress.state)
    if len(states) == 1:
        states.append(progress.state)
    known = list(RayResult)
    results = tuple(RayResult.max_steps if c < 0 else known[c] for c in progress.codes.tolist())
    return Trajectory(tuple(states), progress.companion, results, progress.cost)


def _begin(setting: Setting, begin: State, companion: State | None) -> _Progress:
    every = torch.arange(len(begin.t), device=begin.t.device)
    both = begin if companion is None else begin.joined(companion)
    connection = setting.connection.select(every.repeat(len(both.t) // len(every)))
    ready = setting.integrator.begin(connection, both)
    begin, cost = ready.state.take(every), Cost().plus(ready)
    if companion is not None:
        companion = ready.state.take(every + len(every))
    codes = torch.full_like(every, _RUNNING)
    values, cost = stop_values(setting.connection, setting.stops, begin, cost)
    for stop, value in zip(setting.stops, values, strict=True):
        ended = (codes == _RUNNING) & (value >= 0) & stop.at_start
        codes = torch.where(ended, _code(stop.result), codes)
    step = torch.full_like(begin.t, setting.integrator.first_step())
    return _Progress(begin, companion, values, step, codes, cost)


def _try_step(setting: Setting, progress: _Progress, rows: Tensor) -> tuple[_Tried, Cost]:
    """One step of the running rays, ended earlier where a stop is met in it."""
    connection = setting.connection.select(rows)
    stops = [stop.select(rows) for stop in setting.stops]
    here, before = progress.state.take(rows), [value[rows] for value in progress.values]
    left = setting.end[rows] - here.t
    h = torch.where(left < 1.001 * progress.step[rows], left, progress.step[rows])
    new, error, beside, cost = _step(setting, rows, here, progress.companion, h, progress.cost)
    finite = new.finite
    error = torch.where(finite, error, torch.inf)
    taken = error <= 1
    after, cost = stop_values(connection, stops, new, cost)
    located = locate(
        connection, setting.integrator, stops, here, new, h, taken, before, after, cost
    )
    return _Tried(rows, here, h, error, finite, taken, located, beside, after), located.cost


def _advance(setting: Setting, begin: State, progress: _Progress, tried: _Tried) -> _Progress:
    """The rays after a step that was tried."""
    rows, located = tried.rows, tried.located
    companion, cost = _companion_after(setting, progress, tried)
    accepted, picked = tried.accepted
    state = progress.state.put(accepted, located.state.take(picked))
    values = [
        v.index_copy(0, accepted, a[tried.taken])
        for v, a in zip(progress.values, tried.after, strict=True)
    ]
    pace = _pace(setting.end[rows], begin.take(rows), tried)
    following = setting.integrator.next_step(tried.h, tried.error, pace)
    codes = _codes(setting, tried, following)
    return _Progress(
        state,
        companion,
        values,
        progress.step.index_copy(0, rows, following),
        progress.codes.index_copy(0, rows, codes),
        cost,
    )


def _companion_after(
    setting: Setting, progress: _Progress, tried: _Tried
) -> tuple[State | None, Cost]:
    """The companions after a step; where a ray met a stop, its companion repeats the shorter
    step."""
    companion, beside, cost = progress.companion, tried.beside, progress.cost
    if companion is None or beside is None:
        return companion, cost
    located = tried.located
    if bool(located.hit.any()):
        hit = tried.rows[located.hit]
        part = setting.integrator.step(
            setting.connection.select(hit), companion.take(hit), located.h[located.hit]
        )
        cost = cost.plus(part)
        beside = beside.put(located.hit.nonzero()[:, 0], part.state)
    accepted, picked = tried.accepted
    return companion.put(accepted, beside.take(picked)), cost


def _codes(setting: Setting, tried: _Tried, following: Tensor) -> Tensor:
    """How the rays of a step have ended, -1 where they go on."""
    left = setting.end[tried.rows] - tried.here.t
    done = tried.taken & (tried.h >= left)
    smallest = SMALLEST_STEP * setting.integrator.first_step()
    lost = ~tried.taken & ((following >= tried.h) | (following < smallest))
    codes = torch.where(done, _code(RayResult.completed), _RUNNING)
    codes = torch.where(lost, _code(RayResult.non_finite), codes)
    codes = torch.where(lost & tried.finite, _code(RayResult.step_too_small), codes)
    return torch.where(tried.located.hit, tried.located.codes, codes)


def _step(
    setting: Setting, rows: Tensor, here: State, companion: State | None, h: Tensor, cost: Cost
) -> tuple[State, Tensor, State | None, Cost]:
    """One step of the rays and of their companions, in the same batches."""
    if companion is None:
        attempt = setting.integrator.step(setting.connection.select(rows), here, h)
        return attempt.state, attempt.error, None, cost.plus(attempt)
    both = setting.connection.select(torch.cat([rows, rows]))
    attempt = setting.integrator.step(both, here.joined(companion.take(rows)), torch.cat([h, h]))
    mine = torch.arange(len(rows), device=rows.device)
    return (
        attempt.state.take(mine),
        attempt.error[mine],
        attempt.state.take(mine + len(rows)),
        cost.plus(attempt),
    )


def _pace(end: Tensor, begin: State, tried: _Tried) -> Tensor:
    """Metric length per unit of t, relative to the initial speed; 1 where rays have an end in t."""
    speed = torch.linalg.vector_norm(begin.v, dim=-1).clamp_min(1e-30)
    here, new = tried.here, tried.located.state
    pace = (new.length - here.length) / (new.t - here.t).clamp_min(1e-30) / speed
    return torch.where(tried.taken & torch.isfinite(pace) & torch.isinf(end), pace, 1)


def _code(result: RayResult) -> int:
    return list(RayResult).index(result)
