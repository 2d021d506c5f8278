"""The loop that drives every integrator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from diffusion_geodesics.ivp.hermite import Hermite
from diffusion_geodesics.ivp.integrator import Integrator, State, space_form, start
from diffusion_geodesics.ivp.ray import Ray
from diffusion_geodesics.ivp.splitting import IsokineticSplitting
from diffusion_geodesics.ivp.stops import Stop
from diffusion_geodesics.ivp.trajectory import Setting, follow
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.shapes import Points, Values


def solve_ivp(
    connection: Connection,
    x0: Points,
    v0: Points,
    *,
    integrator: Integrator | None = None,
    stops: Sequence[Stop] = (),
    t0: float | Values = 0.0,
    horizon: float = 1.0,
    max_steps: int = 1000,
    growth: bool = True,
    error: bool = True,
) -> Ray:
    r"""Follow geodesics from points in given directions, all rays in one batch.

    Solves :math:`\gamma'' = a(\gamma, \gamma')`, :math:`\gamma(t_0) = x_0`, :math:`\gamma'(t_0) =
    v_0` with the connection's acceleration a. Conformal geodesics keep their Euclidean speed, so
    after ``horizon`` a ray has the Euclidean length ``horizon * |v0|``.

    Args:
        connection: the geometry.
        x0: starts, shape (dim,) for one ray or (*batch, dim); projected onto the manifold.
        v0: initial velocities dγ/dt, of the shape of x0; the tangent part is used.
        integrator: :class:`IsokineticSplitting` with 32 steps by default.
        stops: where to end earlier; the first that a ray meets.
        t0: curve parameter at the start, for densities that change along the curve; one number or
            one per ray.
        horizon: length of the parameter interval, > 0; infinite if only the stops end the ray. A
            density that depends on t is evaluated at t = 1 where t exceeds 1.
        max_steps: steps after which a ray ends without its stop, ≥ 1.
        growth: measure the growth of small errors with a companion ray, whose velocity is turned
            by a small angle in one random direction; it shares the batches of the ray.
        error: estimate the error of the end point from a second run with half the steps (or 10
            times the tolerance).

    Raises:
        ValueError: shapes differ, values are not finite, the integrator does not apply to the
            connection, or the manifold is neither flat nor a sphere.

    Cost:
        By default 160 score evaluations for the ray itself, 160 for its companion in the same 160
        batches, and 80 in 80 batches for the error. Locating a stop takes about five more steps.
    """
    integrator = IsokineticSplitting() if integrator is None else integrator
    _check(x0, v0, stops, horizon, max_steps)
    integrator.check(connection)
    space_form(connection.manifold)
    batch, dim = x0.shape[:-1], x0.shape[-1]
    x = connection.manifold.project(x0.reshape(-1, dim))
    v = connection.manifold.to_tangent(x, v0.reshape(-1, dim))
    begin = start(x, v, torch.as_tensor(t0, dtype=x.dtype, device=x.device).flatten())
    setting = Setting(connection, integrator, tuple(stops), begin.t + horizon, max_steps)
    turned, angle = _turned(connection, x, v)
    trajectory = follow(setting, begin, replace(begin, v=turned) if growth else None)
    batches, nfe, end = trajectory.batches, trajectory.nfe, trajectory.states[-1]
    factor = gap = torch.full_like(end.t, torch.nan)
    if trajectory.companion is not None:
        factor = _growth(end, trajectory.companion, angle)
    if error:
        coarser, ratio = integrator.coarser()
        second = follow(replace(setting, integrator=coarser), begin, None)
        gap = torch.linalg.vector_norm(second.states[-1].x - end.x, dim=-1) / ratio
        batches, nfe = batches + second.batches, nfe + second.nfe

    def shaped(name: str) -> Tensor:
        values = torch.stack([getattr(state, name) for state in trajectory.states])
        return values.reshape(len(values), *batch, *values.shape[2:])

    times, nodes, velocities = shaped("t"), shaped("x"), shaped("v")
    accelerations = None if end.rate is None else shaped("rate")[..., dim : 2 * dim]
    return Ray(
        path=Hermite(times, nodes, velocities, accelerations, connection.manifold),
        results=trajectory.results,
        t=times,
        nodes=nodes,
        velocities=velocities,
        log_density=shaped("log_density"),
        lengths=shaped("length"),
        arcs=shaped("arc"),
        growth=factor.reshape(batch),
        error=gap.reshape(batch),
        batches=batches,
        nfe=nfe,
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


def _turned(connection: Connection, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Velocities turned by a small angle in one random direction, and that angle; 0 where there is
    no direction to turn to."""
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
    """Sideways distance of the companion at the end, relative to that in flat space."""
    gap = companion.x - end.x
    square = end.v.square().sum(-1, keepdim=True).clamp_min(1e-30)
    gap = gap - (gap * end.v).sum(-1, keepdim=True) / square * end.v
    flat = angle * end.arc
    return torch.where(flat > 0, torch.linalg.vector_norm(gap, dim=-1) / flat.clamp_min(1e-30), 1.0)
