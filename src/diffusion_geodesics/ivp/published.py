r"""The initial value algorithm of the paper, as its authors' code runs it.

Runge and Kutta's method of order 4 for

.. math:: x' = v,\quad v' = -\alpha |v|^2 P_x P_v P_x s(x),

where :math:`P_x` and :math:`P_v` project off x (on a sphere) and off v. The part of the
acceleration that keeps a curve on the sphere is left out; instead the point is put back onto it
after each step, and the velocity made tangent and as long as before. A density that changes with t
is held during a step. Written from a description of the algorithm.

References:
    Yu et al., Probability Density Geodesics in Image Diffusion Latent Space, CVPR 2025, section
    3.3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.ivp.integrator import Attempt, FixedStep, State
from diffusion_geodesics.ivp.runge_kutta import CLASSICAL, RungeKutta
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.metric.connection import Field, LogDensityOf
from diffusion_geodesics.shapes import PathValues, Points, Times, Values

HELD = replace(CLASSICAL, c=(0.0, 0.0, 0.0, 0.0))
"""Runge and Kutta's method with the time of the step's start in every stage."""


@dataclass(frozen=True)
class PublishedRungeKutta(FixedStep):
    """The paper's algorithm, for every connection.

    Its order is 4 in flat space and, since the acceleration lacks the sphere's own, 2 on a sphere:
    a great circle is followed by tan θ instead of θ a step. Where the density changes with t it
    is 1.

    Args:
        steps: steps per unit of t; 100 by default.

    Cost:
        4 score evaluations a step and 1 at the start, each in its own batch.
    """

    steps: int = 100

    @property
    def order(self) -> int:
        return 2

    def check(self, connection: Connection) -> None:
        """Every connection will do."""

    def begin(self, connection: Connection, state: State) -> Attempt:
        return self._method.begin(_Tangent(connection), state)

    def step(self, connection: Connection, state: State, h: PathValues) -> Attempt:
        return self._method.step(_Tangent(connection), state, h)

    @property
    def _method(self) -> RungeKutta:
        return RungeKutta(self.steps, HELD)


@dataclass(frozen=True)
class _Tangent(Connection):
    """A connection with the tangent part of its acceleration."""

    whole: Connection

    def __post_init__(self) -> None:
        object.__setattr__(self, "manifold", self.whole.manifold)
        object.__setattr__(self, "score", self.whole.score)

    @property
    def evaluations(self) -> int:
        return self.whole.evaluations

    def field(
        self, t: Times, x: Points, v: Points, log_density: LogDensityOf | None = None
    ) -> Field:
        found = self.whole.field(t, x, v, log_density)
        return replace(found, acceleration=self.manifold.to_tangent(x, found.acceleration))

    def speed(self, v: Points, score: Points, log_density: Values) -> Values:
        return self.whole.speed(v, score, log_density)

    def calibrated(
        self, t: Float[Tensor, " time"], x: Float[Tensor, "time *batch dim"]
    ) -> tuple[Connection, int]:
        whole, spent = self.whole.calibrated(t, x)
        return _Tangent(whole), spent

    def select(self, index: Int[Tensor, " paths"]) -> Connection:
        return _Tangent(self.whole.select(index))
