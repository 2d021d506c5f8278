"""The interface of integrators: one step of a batch of rays, and the length of the next one.

An integrator is data: a table of coefficients, and a number of steps or a tolerance. One loop
(:func:`diffusion_geodesics.ivp.solve_ivp`) drives all of them. To add one, write the methods of
:class:`Integrator` and add it to the conformance suite.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.ivp.state import State
from diffusion_geodesics.manifold import Manifold, SpaceForm
from diffusion_geodesics.metric import Conformal, ConformalMetric, Connection


@dataclass(frozen=True)
class Attempt:
    """One step that was tried.

    Args:
        state: where it leads.
        error: its error over the tolerance, shape (paths,): the step is accepted where it is at
            most 1. Zero where steps are fixed.
        batches, nfe: cost, over all rays.
    """

    state: State
    error: Float[Tensor, " paths"]
    batches: int
    nfe: int


class Integrator(ABC):
    """Moves rays along geodesics, one step at a time."""

    @property
    @abstractmethod
    def order(self) -> int:
        """Order of convergence: the error of a ray is proportional to this power of the step."""

    @abstractmethod
    def check(self, connection: Connection) -> None:
        """Check that the integrator applies to a geometry.

        Args:
            connection: the geometry.

        Raises:
            ValueError: it does not.
        """

    @abstractmethod
    def begin(self, connection: Connection, state: State) -> Attempt:
        """The state with everything that a step needs to know about it; not a step.

        Args:
            connection: the geometry.
            state: the rays at their starts.
        """

    @abstractmethod
    def step(self, connection: Connection, state: State, h: Float[Tensor, " paths"]) -> Attempt:
        """Try one step.

        Args:
            connection: the geometry.
            state: the rays.
            h: step in t of each ray, > 0.
        """

    @abstractmethod
    def first_step(self) -> float:
        """The first step in t."""

    @abstractmethod
    def next_step(
        self,
        h: Float[Tensor, " paths"],
        error: Float[Tensor, " paths"],
        pace: Float[Tensor, " paths"],
    ) -> Float[Tensor, " paths"]:
        """The step to try after one of ``h`` with this error.

        Args:
            h: the last step.
            error: its error over the tolerance; infinite where it was not finite.
            pace: metric length per unit of t now, relative to that at the start; 1 where steps
                need not depend on it.
        """

    @abstractmethod
    def coarser(self) -> tuple[Integrator, float]:
        """A cheaper version of this integrator, for an error estimate.

        Returns:
            The integrator, and the factor by which the difference of the two results exceeds the
            error of this one.
        """


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

    def next_step(
        self,
        h: Float[Tensor, " paths"],
        error: Float[Tensor, " paths"],
        pace: Float[Tensor, " paths"],
    ) -> Float[Tensor, " paths"]:
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
