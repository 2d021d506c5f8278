"""The one loop that drives every integrator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.ivp.hermite import Hermite
from diffusion_geodesics.ivp.integrator import Integrator, space_form
from diffusion_geodesics.ivp.locate import Cost, locate, stop_values
from diffusion_geodesics.ivp.ray import Ray, RayResult
from diffusion_geodesics.ivp.splitting import IsokineticSplitting
from diffusion_geodesics.ivp.state import State, start
from diffusion_geodesics.ivp.stops import Stop
from diffusion_geodesics.metric import Connection

SMALLEST_STEP = 1e-12
"""Steps, as a part of the first one, below which a ray cannot go on."""

_RUNNING = -1


def solve_ivp(
    connection: Connection,
    x0: Float[Tensor, "*batch dim"],
    v0: Float[Tensor, "*batch dim"],
    *,
    integrator: Integrator | None = None,
    stops: Sequence[Stop] = (),
    t0: float | Float[Tensor, "*batch"] = 0.0,
    horizon: float = 1.0,
    max_steps: int = 1000,
    growth: bool = True,
    error: bool = True,
) -> Ray:
    r"""Follow geodesics from points in given directions, all rays in one batch.

    Solves :math:`\gamma'' = a(\gamma, \gamma')`, :math:`\gamma(t_0) = x_0`, :math:`\gamma'(t_0) =
    v_0` with the connection's acceleration a; conformal geodesics keep their Euclidean speed, so
    that after ``horizon`` a ray has the Euclidean length ``horizon * |v0|``.

    Args:
        connection: the geometry.
        x0: starts, shape (dim,) for one ray or (*batch, dim); projected onto the manifold.
        v0: initial velocities dγ/dt, of the shape of x0; the tangent part is used.
        integrator: :class:`IsokineticSplitting` with 32 steps by default.
        stops: where to end earlier; the first that a ray meets.
        t0: curve parameter at the start, for densities that change along the curve; a number or
            one for each ray.
        horizon: how far to go in t, > 0; infinite where only the stops end the ray. A density is
            asked at t = 1 where t exceeds 1.
        max_steps: steps after which a ray ends without its stop.
        growth: measure the growth of small errors with a companion ray, whose velocity is turned
            by a small angle in a random direction (always the same). It rides in the same calls.
        error: estimate the error of the end point from a second run of half the steps (or 10
            times the tolerance).

    Returns:
        A :class:`Ray`.

    Raises:
        ValueError: shapes differ, values are not finite, the integrator does not fit the
            connection, or the manifold is neither flat nor a sphere.

    Cost: by default 160 score evaluations for the ray itself, 160 for its companion in the same
    160 calls, and 80 in 80 calls for the error. Locating a stop takes about five more steps.
    """
    integrator = IsokineticSplitting() if integrator is None else integrator
    _check(x0, v0, stops, horizon, max_steps)
    integrator.check(connection)
    space_form(connection.manifold)
    batch, dim = x0.shape[:-1], x0.shape[-1]
    x = connection.manifold.project(x0.reshape(-1, dim))
    v = connection.manifold.to_tangent(x, v0.reshape(-1, dim))
    begin = start(x, v, torch.as_tensor(t0, dtype=x.dtype, device=x.device).flatten())
    setting = _Setting(connection, integrator, tuple(stops), begin.t + horizon, max_steps)
    turned, angle = _turned(connection, x, v)
    track = _march(setting, begin, replace(begin, v=turned) if growth else None)
    cost, end = track.cost, track.states[-1]
    unknown = torch.full_like(end.t, torch.nan)
    factor, gap = unknown, unknown
    if track.companion is not None:
        factor = _growth(end, track.companion, angle)
    if error:
        coarser, ratio = integrator.coarser()
        second = _march(replace(setting, integrator=coarser), begin, None)
        gap = torch.linalg.vector_norm(second.states[-1].x - end.x, dim=-1) / ratio
        cost = cost.plus(second.cost)

    def shaped(name: str) -> Tensor:
        values = torch.stack([getattr(state, name) for state in track.states])
        return values.reshape(len(values), *batch, *values.shape[2:])

    times, nodes, velocities = shaped("t"), shaped("x"), shaped("v")
    accelerations = None
    if end.rate is not None:
        accelerations = shaped("rate")[..., dim : 2 * dim]
    return Ray(
        path=Hermite(times, nodes, velocities, accelerations, connection.manifold),
        results=track.results,
        t=times,
        nodes=nodes,
        velocities=velocities,
        log_density=shaped("log_density"),
        lengths=shaped("length"),
        arcs=shaped("arc"),
        growth=factor.reshape(batch),
        error=gap.reshape(batch),
        calls=cost.calls,
        score_evals=cost.score_evals,
    )


def _check(x0: Tensor, v0: Tensor, stops: Sequence[Stop], horizon: float, max_steps: int) -> None:
    if x0.shape != v0.shape or x0.ndim == 0 or not x0.numel():
        raise ValueError(
            f"x0 has shape {tuple(x0.shape)} and v0 {tuple(v0.shape)}; expected one shape "
            "(*batch, dim)"
        )
    for name, value in (("x0", x0), ("v0", v0)):
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"{name} holds a value that is not finite; expected finite numbers")
    if not horizon > 0 or max_steps < 1:
        raise ValueError(
            f"horizon is {horizon} and max_steps {max_steps}; expected horizon > 0, max_steps ≥ 1"
        )
    if math.isinf(horizon) and not stops:
        raise ValueError("horizon is infinite and there are no stops; expected one or the other")


@dataclass(frozen=True)
class _Setting:
    connection: Connection
    integrator: Integrator
    stops: tuple[Stop, ...]
    end: Float[Tensor, " paths"]
    max_steps: int


@dataclass(frozen=True)
class _Track:
    states: tuple[State, ...]
    companion: State | None
    results: tuple[RayResult, ...]
    cost: Cost


def _march(setting: _Setting, begin: State, companion: State | None) -> _Track:
    """All rays to their ends. A companion takes the steps of its ray, whatever its own error."""
    integrator, stops, cost = setting.integrator, setting.stops, Cost()
    every = torch.arange(len(begin.t), device=begin.t.device)
    both = begin if companion is None else begin.beside(companion)
    ready = integrator.begin(
        setting.connection.select(every.repeat(len(both.t) // len(every))), both
    )
    begin, cost = ready.state.take(every), cost.plus(ready)
    if companion is not None:
        companion = ready.state.take(every + len(every))
    state, states = begin, [begin]
    codes = torch.full_like(every, _RUNNING)
    step = torch.full_like(begin.t, integrator.first_step())
    values, cost = stop_values(setting.connection, stops, begin, cost)
    for stop, value in zip(stops, values, strict=True):
        ended = (codes == _RUNNING) & (value >= 0) & stop.at_start
        codes = torch.where(ended, _code(stop.result), codes)
    for _ in range(setting.max_steps):
        rows = every[codes == _RUNNING]
        if not len(rows):
            break
        connection = setting.connection.select(rows)
        stops = [stop.select(rows) for stop in setting.stops]
        here, before = state.take(rows), [value[rows] for value in values]
        left = setting.end[rows] - here.t
        h = torch.where(left < 1.001 * step[rows], left, step[rows])
        new, error, beside, cost = _step(setting, rows, here, companion, h, cost)
        finite = new.finite
        error = torch.where(finite, error, torch.inf)
        taken = error <= 1
        after, cost = stop_values(connection, stops, new, cost)
        located = locate(connection, integrator, stops, here, new, h, taken, before, after, cost)
        new, cost = located.state, located.cost
        if companion is not None and beside is not None:
            if bool(located.hit.any()):
                hit = rows[located.hit]
                part = integrator.step(
                    setting.connection.select(hit), companion.take(hit), located.h[located.hit]
                )
                cost = cost.plus(part)
                beside = beside.put(located.hit.nonzero()[:, 0], part.state)
            companion = companion.put(rows[taken], beside.take(taken.nonzero()[:, 0]))
        state = state.put(rows[taken], new.take(taken.nonzero()[:, 0]))
        values = [
            v.index_copy(0, rows[taken], a[taken]) for v, a in zip(values, after, strict=True)
        ]
        done = taken & (h >= left)
        pace = _pace(setting.end[rows], begin.take(rows), here, new, taken)
        following = integrator.next_step(h, error, pace)
        lost = ~taken & ((following >= h) | (following < SMALLEST_STEP * integrator.first_step()))
        ends = torch.where(done, _code(RayResult.completed), _RUNNING)
        ends = torch.where(lost, _code(RayResult.non_finite), ends)
        ends = torch.where(lost & finite, _code(RayResult.step_too_small), ends)
        ends = torch.where(located.hit, located.codes, ends)
        codes = codes.index_copy(0, rows, ends)
        step = step.index_copy(0, rows, following)
        states.append(state)
    if len(states) == 1:
        states.append(state)
    known = list(RayResult)
    results = tuple(RayResult.max_steps if c < 0 else known[c] for c in codes.tolist())
    return _Track(tuple(states), companion, results, cost)


def _step(
    setting: _Setting,
    rows: Tensor,
    here: State,
    companion: State | None,
    h: Tensor,
    cost: Cost,
) -> tuple[State, Tensor, State | None, Cost]:
    """One step of the rays and of their companions, in the same calls."""
    if companion is None:
        attempt = setting.integrator.step(setting.connection.select(rows), here, h)
        return attempt.state, attempt.error, None, cost.plus(attempt)
    both = setting.connection.select(torch.cat([rows, rows]))
    attempt = setting.integrator.step(both, here.beside(companion.take(rows)), torch.cat([h, h]))
    mine = torch.arange(len(rows), device=rows.device)
    return (
        attempt.state.take(mine),
        attempt.error[mine],
        attempt.state.take(mine + len(rows)),
        cost.plus(attempt),
    )


def _pace(end: Tensor, begin: State, here: State, new: State, taken: Tensor) -> Tensor:
    """Metric length a unit of t, over the initial speed; 1 where rays have an end in t."""
    speed = torch.linalg.vector_norm(begin.v, dim=-1).clamp_min(1e-30)
    pace = (new.length - here.length) / (new.t - here.t).clamp_min(1e-30) / speed
    return torch.where(taken & torch.isfinite(pace) & torch.isinf(end), pace, 1)


def _turned(connection: Connection, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Velocities turned by a small angle in one random direction, and that angle. No angle where
    there is nowhere to turn to."""
    noise = torch.randn(x.shape[-1], generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    across = connection.manifold.to_tangent(x, noise.to(x.device).expand(x.shape))
    speed = torch.linalg.vector_norm(v, dim=-1, keepdim=True)
    along = v / speed.clamp_min(1e-30)
    across = across - (across * along).sum(-1, keepdim=True) * along
    size = torch.linalg.vector_norm(across, dim=-1, keepdim=True)
    angle = torch.finfo(x.dtype).eps ** 0.4
    angles = torch.where((size > 1e-6) & (speed > 0), angle, 0.0)
    turned = v * angles.cos() + speed * angles.sin() * across / size.clamp_min(1e-30)
    return turned, angles[:, 0]


def _growth(end: State, companion: State, angle: Tensor) -> Tensor:
    """Sideways distance of the companion at the end, over that in flat space."""
    gap = companion.x - end.x
    square = end.v.square().sum(-1, keepdim=True).clamp_min(1e-30)
    gap = gap - (gap * end.v).sum(-1, keepdim=True) / square * end.v
    flat = angle * end.arc
    return torch.where(flat > 0, torch.linalg.vector_norm(gap, dim=-1) / flat.clamp_min(1e-30), 1.0)


def _code(result: RayResult) -> int:
    return list(RayResult).index(result)
