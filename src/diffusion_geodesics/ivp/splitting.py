r"""Isokinetic splitting: an integrator that keeps the Euclidean speed exactly.

The geodesic equation of a conformal metric with weight :math:`w(\log p)` at constant Euclidean
speed, :math:`\gamma'' = -\beta |\gamma'|^2 P_\perp s` with :math:`\beta = -w'/w` (:math:`\beta =
\alpha` for :math:`w = p^{-\alpha}`), is split into two flows that are both known exactly:

- **drift**: the manifold's own geodesic (a line, a great circle), without acceleration;
- **kick**: x is fixed and the direction u satisfies :math:`u' = b (I - u u^T) e` with
  :math:`b = \beta |v| |s|` and :math:`e = -s/|s|`, a rotation in the plane of u and e by

.. math:: u(\tau) = \frac{u_0 + (\sinh b\tau + c_0 (\cosh b\tau - 1))\, e}
                         {\cosh b\tau + c_0 \sinh b\tau}, \qquad c_0 = u_0 \cdot e.

Speed and sphere hold to rounding for every step length. Half a drift, a kick and half a drift are a
method of order 2, symmetric in time; compositions of such steps, some of them backwards, have a
higher order.

References:
    Strang, SIAM J. Numer. Anal. 1968.
    Suzuki, Phys. Lett. A 1990 (order 4).
    Hairer, Lubich, Wanner, Geometric Numerical Integration, 2006, sections II.4 and II.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.density import evaluate
from diffusion_geodesics.ivp.integrator import Attempt, FixedStep, State, space_form
from diffusion_geodesics.manifold import Manifold
from diffusion_geodesics.metric import Conformal, ConformalMetric, Connection
from diffusion_geodesics.shapes import PathValues


@dataclass(frozen=True)
class Composition:
    """Lengths of the parts of one step; ValueError if their sum is not 1 or their order matters."""

    parts: tuple[float, ...]  # fractions of the step with sum 1, the same in reverse order
    order: int  # of convergence

    def __post_init__(self) -> None:
        if abs(sum(self.parts) - 1) > 1e-12 or self.parts != self.parts[::-1]:
            raise ValueError(
                f"parts are {self.parts}; expected fractions that add to 1, the same backwards"
            )


_OUTER = 1 / (4 - 4 ** (1 / 3))

STRANG = Composition((1.0,), 2)
"""One part: order 2, one score evaluation a step."""

SUZUKI = Composition((_OUTER, _OUTER, 1 - 4 * _OUTER, _OUTER, _OUTER), 4)
"""Five parts: order 4, five score evaluations a step."""


@dataclass(frozen=True)
class IsokineticSplitting(FixedStep):
    """The default integrator: speed and sphere hold exactly. For conformal metrics.

    Args:
        steps: steps per unit of t; 32 by default.
        composition: :data:`SUZUKI` (order 4, the default) or :data:`STRANG` (order 2).

    Cost:
        1 score evaluation per part: 160 per unit of t by default, each in its own batch.
    """

    composition: Composition = SUZUKI

    @property
    def order(self) -> int:
        return self.composition.order

    def check(self, connection: Connection) -> None:
        if not isinstance(connection, Conformal | ConformalMetric):
            raise ValueError(
                f"IsokineticSplitting got the connection {type(connection).__name__}, whose "
                "metric is not a weight times the Euclidean one; expected a conformal one. Use "
                "RungeKutta or AdaptiveRungeKutta."
            )

    def begin(self, connection: Connection, state: State) -> Attempt:
        return Attempt(state, torch.zeros_like(state.t), 0, 0)

    def step(self, connection: Connection, state: State, h: PathValues) -> Attempt:
        for index, part in enumerate(self.composition.parts):
            before = self.composition.parts[index - 1] if index else 0.0
            state = _drift(connection, state, 0.5 * (before + part) * h)
            state = _kick(connection, state, part * h)
        state = _drift(connection, state, 0.5 * self.composition.parts[-1] * h)
        batches = len(self.composition.parts)
        return Attempt(state, torch.zeros_like(h), batches, batches * len(h))


def _norm(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True)


def transported(
    manifold: Manifold, x: Tensor, v: Tensor, tau: Float[Tensor, " paths"]
) -> tuple[Tensor, Tensor]:
    """Point and velocity of the manifold's own geodesic after some time; the speed is kept."""
    turn = manifold.curvature**0.5 * _norm(v) * tau[:, None]
    moved = space_form(manifold).exp(x, v * tau[:, None])
    pull = manifold.acceleration(x, v) * tau[:, None] * torch.sinc(turn / torch.pi)
    return moved, manifold.to_tangent(moved, v * turn.cos() + pull)


def _drift(connection: Connection, state: State, tau: Tensor) -> State:
    manifold = connection.manifold
    x, v = transported(manifold, state.x, state.v, tau)
    speed = _norm(state.v)
    metric_speed = connection.speed(state.v, torch.zeros_like(v), state.log_density)
    return State(
        state.t + tau,
        manifold.project(x),
        v * (speed / _norm(v).clamp_min(1e-30)),
        state.log_density,
        state.length + tau * metric_speed,
        state.arc + tau * speed[:, 0],
    )


def _kick(connection: Connection, state: State, tau: Tensor) -> State:
    """The log density takes half its step with the old direction and half with the new one."""
    score = connection.manifold.to_tangent(
        state.x, evaluate(connection.score, state.t.clamp(0, 1), state.x)
    )
    speed, size = _norm(state.v), _norm(score)
    direction = state.v / speed.clamp_min(1e-30)
    halfway = state.log_density + 0.5 * tau * (score * state.v).sum(-1)
    angle = tau[:, None] * _strength(connection, direction, halfway)[:, None] * speed * size
    turned = _rotated(direction, -score / size.clamp_min(1e-30), angle)
    v = speed * connection.manifold.to_tangent(state.x, turned)
    v = v * (speed / _norm(v).clamp_min(1e-30))
    log_density = halfway + 0.5 * tau * (score * v).sum(-1)
    return State(state.t, state.x, v, log_density, state.length, state.arc)


def _rotated(u: Tensor, e: Tensor, angle: Tensor) -> Tensor:
    """The kick, with numerator and denominator multiplied by exp(-|angle|) against overflow."""
    e = e * torch.where(angle < 0, -1, 1).to(e)
    cosine = (u * e).sum(-1, keepdim=True)
    small = torch.exp(-angle.abs())
    cosh, sinh = (1 + small**2) / 2, -torch.expm1(-2 * angle.abs()) / 2
    turned = u * small + e * (sinh + cosine * (cosh - small))
    return turned / _norm(turned).clamp_min(1e-30)


def _strength(connection: Connection, direction: Tensor, log_density: Tensor) -> Tensor:
    """β = -d log w / d log p of a conformal metric, by differentiating the speed it gives; it
    needs no score."""
    with torch.inference_mode(False), torch.enable_grad():
        unit = torch.zeros_like(direction)
        unit[..., 0] = 1
        variable = log_density.detach().clone().requires_grad_()
        speed = connection.speed(unit, torch.zeros_like(unit), variable)
        if not speed.requires_grad:  # a weight that does not depend on the density
            return torch.zeros_like(log_density)
        (slope,) = torch.autograd.grad(speed.log().sum(), variable)
    return -slope
