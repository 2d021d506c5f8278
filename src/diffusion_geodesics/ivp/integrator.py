"""The interface of integrators: one step of a batch of rays, and the length of the next one.

An integrator is data: a table of coefficients, and a number of steps or a tolerance. One loop
(:func:`diffusion_geodesics.ivp.solve_ivp`) drives all of them. To add one, write the methods of
:class:`Integrator` and add it to the conformance suite.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

from diffusion_geodesics.ivp.state import State
from diffusion_geodesics.manifold import Manifold, SpaceForm
from diffusion_geodesics.metric import Conformal, ConformalMetric, Connection
from diffusion_geodesics.shapes import PathValues


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


def is_conformal(connection: Connection) -> bool:
    """Whether the metric is a weight times the Euclidean one."""
    return isinstance(connection, Conformal | ConformalMetric)


def space_form(manifold: Manifold) -> SpaceForm:
    """The manifold, if its own geodesics are known in closed form."""
    if not isinstance(manifold, SpaceForm):
        raise ValueError(
            f"got the manifold {type(manifold).__name__}, whose own geodesics are not known; "
            "rays need Flat() or Sphere(radius)"
        )
    return manifold
