"""The state of a batch of rays, and the interface of integrators: one step, and the length of the
next one.

An integrator is data: a table of coefficients, and a number of steps or a tolerance. One loop
(:func:`diffusion_geodesics.ivp.solve_ivp`) drives all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.manifold import Manifold, SpaceForm
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


@dataclass(frozen=True)
class Attempt:
    """One step that was tried.

    The step is accepted where its ``error`` over the tolerance is at most 1; it is zero where steps
    are fixed."""

    state: State  # where it leads
    error: PathValues
    batches: int  # cost, over all rays
    nfe: int


class Integrator(ABC):
    """Moves rays along geodesics, one step at a time."""

    @property
    @abstractmethod
    def order(self) -> int:
        """Order of convergence: the error of a ray is proportional to this power of the step."""

    @abstractmethod
    def check(self, connection: Connection) -> None:
        """Raise ValueError if the integrator does not apply to a geometry."""

    @abstractmethod
    def begin(self, connection: Connection, state: State) -> Attempt:
        """The state with everything that a step needs to know about it; not a step."""

    @abstractmethod
    def step(self, connection: Connection, state: State, h: PathValues) -> Attempt:
        """Try one step of length h > 0 in t of each ray."""

    @abstractmethod
    def first_step(self) -> float:
        """The first step in t."""

    @abstractmethod
    def next_step(self, h: PathValues, error: PathValues, pace: PathValues) -> PathValues:
        """The step to try after one of ``h`` with this error over the tolerance (infinite where
        it was not finite). ``pace`` is the metric length per unit of t now, relative to that at
        the start; 1 where steps need not depend on it."""

    @abstractmethod
    def coarser(self) -> tuple[Integrator, float]:
        """A cheaper version of this integrator, for an error estimate, and the factor by which the
        difference of the two results exceeds the error of this one."""


@dataclass(frozen=True)
class FixedStep(Integrator):
    """Integrators of equal steps.

    Args:
        steps: steps per unit of t, at least 2. Where a ray has no end in t (only stops), a step is
            at most 1/steps of the initial speed in Euclidean and in metric length.

    Raises:
        ValueError: ``steps`` is below 2.
    """

    steps: int = 32

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise ValueError(f"steps is {self.steps}; expected at least 2")

    def first_step(self) -> float:
        return 1.0 / self.steps

    def next_step(self, h: PathValues, error: PathValues, pace: PathValues) -> PathValues:
        return 1.0 / (self.steps * pace.clamp(min=1))

    def coarser(self) -> tuple[Integrator, float]:
        """Half the steps: Richardson's estimate."""
        return replace(self, steps=max(2, self.steps // 2)), 2.0**self.order - 1


def space_form(manifold: Manifold) -> SpaceForm:
    """The manifold, if its own geodesics are known in closed form."""
    if not isinstance(manifold, SpaceForm):
        raise ValueError(
            f"got the manifold {type(manifold).__name__}, whose own geodesics are not known; "
            "rays need Flat() or Sphere(radius)"
        )
    return manifold
