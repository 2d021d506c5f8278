"""Follow a batch of rays step by step to their ends or to their stops, with their companions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion_geodesics.density import evaluate
from diffusion_geodesics.ivp.integrator import Attempt, Integrator, State
from diffusion_geodesics.ivp.ray import RayResult
from diffusion_geodesics.ivp.stops import Stop
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.shapes import PathValues

SMALLEST_STEP = 1e-12
"""Steps, relative to the first one, below which a ray cannot continue."""

REPEATS = 30
"""Most repetitions of a step to locate a stop in it."""

_RUNNING = -1


@dataclass(frozen=True)
class Setting:
    """What the rays of one run have in common."""

    connection: Connection  # the geometry of every ray
    integrator: Integrator
    stops: tuple[Stop, ...]  # where rays end earlier
    end: PathValues  # curve parameter at which each ray ends
    max_steps: int  # steps after which a ray ends


@dataclass(frozen=True)
class Trajectory:
    """Rays at all their steps, and what they and their companions cost."""

    states: tuple[State, ...]  # the rays after every step, at least two
    companion: State | None  # the companions at the end, if there are any
    results: tuple[RayResult, ...]  # how each ray ended
    batches: int
    nfe: int


def follow(setting: Setting, begin: State, companion: State | None) -> Trajectory:
    """Follow all rays to their ends."""
    rays = _Rays(setting, begin, companion)
    states = [rays.state]
    for _ in range(setting.max_steps):
        rows = (rays.codes == _RUNNING).nonzero()[:, 0]
        if not len(rows):
            break
        rays.advance(rows)
        states.append(rays.state)
    if len(states) == 1:
        states.append(rays.state)
    known = list(RayResult)
    results = tuple(RayResult.max_steps if c < 0 else known[c] for c in rays.codes.tolist())
    return Trajectory(tuple(states), rays.companion, results, rays.batches, rays.nfe)


class _Rays:
    """Rays between two steps: their states, the values of the stops, the next step of each ray, and
    how those that have ended did (-1: running)."""

    def __init__(self, setting: Setting, begin: State, companion: State | None) -> None:
        self.setting, self.batches, self.nfe = setting, 0, 0
        every = torch.arange(len(begin.t), device=begin.t.device)
        both = begin if companion is None else begin.joined(companion)
        connection = setting.connection.select(every.repeat(len(both.t) // len(every)))
        ready = self._counted(setting.integrator.begin(connection, both)).state
        self.begin = self.state = ready.take(every)
        self.companion = None if companion is None else ready.take(every + len(every))
        self.codes = torch.full_like(every, _RUNNING)
        self.values = self._stop_values(setting.connection, setting.stops, self.state)
        for stop, value in zip(setting.stops, self.values, strict=True):
            ended = (self.codes == _RUNNING) & (value >= 0)
            self.codes = torch.where(ended, _code(stop.result), self.codes)
        self.step = torch.full_like(begin.t, setting.integrator.first_step())

    def _counted(self, attempt: Attempt) -> Attempt:
        self.batches += attempt.batches
        self.nfe += attempt.nfe
        return attempt

    def _stop_values(
        self, connection: Connection, stops: Sequence[Stop], state: State
    ) -> list[Tensor]:
        score = None
        if any(stop.needs_score for stop in stops):
            score = evaluate(connection.score, state.t.clamp(0, 1), state.x)
            self.batches += 1
            self.nfe += len(state.t)
        return [stop.value(state, score if stop.needs_score else None) for stop in stops]

    def advance(self, rows: Tensor) -> None:
        """One step of some rays, ended earlier where a stop is met in it."""
        setting, here = self.setting, self.state.take(rows)
        left = setting.end[rows] - here.t
        tried = torch.where(left < 1.001 * self.step[rows], left, self.step[rows])
        new, error, beside = self._step(rows, here, tried)
        finite = new.finite
        error = torch.where(finite, error, torch.inf)
        taken = error <= 1
        connection = setting.connection.select(rows)
        stops = [stop.select(rows) for stop in setting.stops]
        after = self._stop_values(connection, stops, new)
        stepped = (taken, [value[rows] for value in self.values], after)
        new, h, met = self._first_stops(connection, stops, here, new, tried, *stepped)
        accepted, picked = rows[taken], taken.nonzero()[:, 0]
        if self.companion is not None and beside is not None:
            beside = self._beside(self.companion, beside, rows, h, met != _RUNNING)
            self.companion = self.companion.put(accepted, beside.take(picked))
        self.state = self.state.put(accepted, new.take(picked))
        self.values = [
            v.index_copy(0, accepted, a[taken]) for v, a in zip(self.values, after, strict=True)
        ]
        pace = self._pace(rows, here, new, taken)
        following = setting.integrator.next_step(tried, error, pace)
        self.step = self.step.index_copy(0, rows, following)
        done = taken & (tried >= left)
        smallest = SMALLEST_STEP * setting.integrator.first_step()
        lost = ~taken & ((following >= tried) | (following < smallest))
        codes = torch.where(done, _code(RayResult.completed), _RUNNING)
        codes = torch.where(lost, _code(RayResult.non_finite), codes)
        codes = torch.where(lost & finite, _code(RayResult.step_too_small), codes)
        codes = torch.where(met != _RUNNING, met, codes)
        self.codes = self.codes.index_copy(0, rows, codes)

    def _step(self, rows: Tensor, here: State, h: Tensor) -> tuple[State, PathValues, State | None]:
        """One step of the rays and of their companions, in the same batches."""
        setting, count = self.setting, len(rows)
        if self.companion is None:
            connection = setting.connection.select(rows)
            attempt = self._counted(setting.integrator.step(connection, here, h))
            return attempt.state, attempt.error, None
        connection = setting.connection.select(torch.cat([rows, rows]))
        both = here.joined(self.companion.take(rows))
        attempt = self._counted(setting.integrator.step(connection, both, torch.cat([h, h])))
        mine = torch.arange(count, device=rows.device)
        return attempt.state.take(mine), attempt.error[mine], attempt.state.take(mine + count)

    def _beside(
        self, companion: State, beside: State, rows: Tensor, h: Tensor, hit: Tensor
    ) -> State:
        """Where a ray met a stop, its companion repeats the shorter step."""
        if not bool(hit.any()):
            return beside
        connection, before = self.setting.connection.select(rows[hit]), companion.take(rows[hit])
        part = self._counted(self.setting.integrator.step(connection, before, h[hit]))
        return beside.put(hit.nonzero()[:, 0], part.state)

    def _first_stops(
        self,
        connection: Connection,
        stops: Sequence[Stop],
        here: State,
        new: State,
        whole: Tensor,
        taken: Tensor,
        before: Sequence[Tensor],
        after: Sequence[Tensor],
    ) -> tuple[State, PathValues, Tensor]:
        """The rays at the first stop that each meets within a step, the length of the step up to
        there, and the codes of the results; -1 without a stop."""
        h, codes = whole, torch.full_like(taken, _RUNNING, dtype=torch.long)
        for every, low, high in zip(stops, before, after, strict=True):
            crossing = (taken & (low < 0) & (high >= 0)).nonzero()[:, 0]
            if not len(crossing):
                continue
            part, stop = connection.select(crossing), every.select(crossing)
            bracket = (whole[crossing], low[crossing], high[crossing])
            met, length = self._root(part, stop, here.take(crossing), *bracket)
            first = length <= h[crossing]
            where, picked = crossing[first], first.nonzero()[:, 0]
            new = new.put(where, met.take(picked))
            h = h.index_copy(0, where, length[picked])
            codes = codes.index_fill(0, where, _code(stop.result))
        return new, h, codes

    def _root(
        self, connection: Connection, stop: Stop, here: State, h: Tensor, low: Tensor, high: Tensor
    ) -> tuple[State, Tensor]:
        """The step after which a stop's value is zero, by the Illinois variant of false
        position."""
        left, right, side = torch.zeros_like(h), h, torch.zeros_like(h)
        enough = (high - low) * 64 * torch.finfo(h.dtype).eps
        middle, found = right, here
        for repeat in range(REPEATS):
            middle = right - high * (right - left) / (high - low).clamp_min(1e-30)
            found = self._counted(self.setting.integrator.step(connection, here, middle)).state
            (value,) = self._stop_values(connection, [stop], found)
            value = torch.nan_to_num(value, nan=torch.inf)
            if bool((value.abs() <= enough).all()) or repeat == REPEATS - 1:
                break
            below = value < 0
            high = torch.where(below, torch.where(side < 0, high / 2, high), value)
            low = torch.where(below, value, torch.where(side > 0, low / 2, low))
            left, right = torch.where(below, middle, left), torch.where(below, right, middle)
            side = torch.where(below, -1.0, 1.0).to(h)
        return found, middle

    def _pace(self, rows: Tensor, here: State, new: State, taken: Tensor) -> PathValues:
        """Metric length per unit of t, relative to the initial speed; 1 where rays have an end in
        t."""
        speed = torch.linalg.vector_norm(self.begin.v[rows], dim=-1).clamp_min(1e-30)
        pace = (new.length - here.length) / (new.t - here.t).clamp_min(1e-30) / speed
        usable = taken & torch.isfinite(pace) & torch.isinf(self.setting.end[rows])
        return torch.where(usable, pace, 1)


def _code(result: RayResult) -> int:
    return list(RayResult).index(result)
