"""The state of a batch of rays: points, velocities, and the integrals along them."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.metric import Connection
from diffusion_geodesics.shapes import PathPoints, PathValues


@dataclass(frozen=True)
class State:
    """Rays, each at one parameter."""

    t: PathValues  # curve parameter
    x: PathPoints
    v: PathPoints  # dγ/dt
    log_density: PathValues  # log p(x) - log p(x0) in nats
    length: PathValues  # metric length so far, with the density relative to the start
    arc: PathValues  # Euclidean length so far
    rate: Float[Tensor, "paths packed"] | None = None  # derivative of ``packed``, if known already

    def take(self, rows: Int[Tensor, " rows"]) -> State:
        """Some of the rays."""
        values = (getattr(self, f.name) for f in fields(self))
        return State(*(None if value is None else value[rows] for value in values))  # type: ignore

    def put(self, rows: Int[Tensor, " rows"], new: State) -> State:
        """With some of the rays replaced."""

        def changed(old: Tensor | None, fresh: Tensor | None) -> Tensor | None:
            if fresh is None:
                return None
            if old is None:  # a rate that was not known before
                old = torch.full_like(fresh[:1], torch.nan).repeat(len(self.t), 1)
            return old.index_copy(0, rows, fresh)

        both = ((getattr(self, f.name), getattr(new, f.name)) for f in fields(self))
        return State(*(changed(old, fresh) for old, fresh in both))  # type: ignore

    def joined(self, other: State) -> State:
        """These rays followed by others, in one batch."""
        pairs = [(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)]
        both = [None if a is None or b is None else torch.cat([a, b]) for a, b in pairs]
        return State(*both)  # type: ignore[arg-type]

    @property
    def packed(self) -> Float[Tensor, "paths packed"]:
        """x, v, log density, metric length and arc length as one vector."""
        scalars = torch.stack([self.log_density, self.length, self.arc], -1)
        return torch.cat([self.x, self.v, scalars], -1)

    @property
    def finite(self) -> Tensor:
        """Which rays are finite, shape (paths,)."""
        return torch.isfinite(self.packed).all(-1)


def start(x: PathPoints, v: PathPoints, t: Tensor) -> State:
    """Rays at their starts."""
    zero = x.new_zeros(len(x))
    return State(zero + t, x, v, zero, zero, zero)


def unpack(t: PathValues, packed: Float[Tensor, "paths packed"]) -> State:
    """The inverse of :attr:`State.packed`."""
    dim = (packed.shape[-1] - 3) // 2
    x, v, scalars = packed.split([dim, dim, 3], -1)
    return State(t, x, v, *scalars.unbind(-1))


def rate_of_change(connection: Connection, state: State) -> Float[Tensor, "paths packed"]:
    r"""The geodesic equation as a system of first order,

    .. math:: x' = v,\quad v' = a(x, v),\quad (\log p)' = s \cdot v,\quad L' = |v|_g,\quad
              \ell' = |v|."""
    field = connection.field(state.t.clamp(0, 1), state.x, state.v, lambda score: state.log_density)
    climb = (field.score * state.v).sum(-1)
    speed = connection.speed(state.v, field.score, state.log_density)
    scalars = torch.stack([climb, speed, torch.linalg.vector_norm(state.v, dim=-1)], -1)
    return torch.cat([state.v, field.acceleration, scalars], -1)
