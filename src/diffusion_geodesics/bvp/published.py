r"""The boundary value algorithm of the paper, with the settings its authors published.

Bisection: 1, 3, 7, then 15 control points, the new ones on the segments (lerp, or slerp on the
sphere) between the old. On each level 100 plain gradient steps

.. math:: x_i \leftarrow x_i + \eta_k P_\perp \frac{\gamma''(t_i) + \alpha |\gamma'|^2 s(x_i)}
          {|\gamma'|}, \qquad \eta_k = \frac{0.1}{n}\Big(1 - \frac{k}{100}\Big)

for n control points: minus the functional derivative of the length, but for its factor
:math:`p^{-\alpha}`, which a score does not know; with γ' and γ'' from the natural cubic spline
through all nodes. There is no convergence test. A natural spline has γ'' = 0 at both ends, so its
second derivative is 27% wrong beside them: what the algorithm converges to is not a geodesic, and
its Euler-Lagrange residual, which is reported, stays large. The step has a unit: 0.1 suits latents
of norm 128, while paths as short as those in the plane need a smaller rate, or it is unstable.

Written from the description of the algorithm, to compare with it and to reproduce its paths; the
default solver is :class:`PreconditionedFlow`.

References:
    Yu et al., Probability Density Geodesics in Image Diffusion Latent Space, CVPR 2025, sections
    3.3 and 3.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from torch import Tensor

from diffusion_geodesics.bvp.euler_lagrange import Evaluation
from diffusion_geodesics.bvp.node_update import Between, Level
from diffusion_geodesics.bvp.relaxation import RelaxationSolver
from diffusion_geodesics.manifold import Sphere
from diffusion_geodesics.metric import Connection


def published_alpha(alpha: float, sigma: float) -> float:
    """The exponent of p that the authors' strength amounts to, α σ / 2.

    Their estimate of the score lacks the factor 1/σ of s = -ε/σ and carries a factor 1/2; 0.002 at
    noise level σ = 0.9 is then an exponent of 0.0009. To reproduce their path for a strength,
    solve with this exponent and the true score.

    Args:
        alpha: their strength, ≥ 0.
        sigma: standard deviation σ of the noise of the latents, in (0, 1] for theirs.

    Raises:
        ValueError: alpha is negative or sigma not positive.
    """
    if alpha < 0 or not sigma > 0:
        raise ValueError(f"alpha is {alpha} and sigma {sigma}; expected alpha ≥ 0 and sigma > 0")
    return 0.5 * alpha * sigma


def mean_norm_sphere(x0: Float[Tensor, " dim"], x1: Float[Tensor, " dim"]) -> Sphere:
    """The sphere the authors work on: its radius is the mean norm of both end points."""
    return Sphere(0.5 * float(torch.linalg.vector_norm(x0) + torch.linalg.vector_norm(x1)))


@dataclass(frozen=True)
class DescentState:
    """Number of the next step on this level, from 0."""

    step: int


@dataclass(frozen=True)
class PublishedDescent(RelaxationSolver[DescentState]):
    """The paper's algorithm as published: bisection and plain gradient steps.

    Args:
        levels_of: how often the path is bisected: 4 levels have 1, 3, 7 and 15 control points.
        steps: gradient steps on each level.
        learning_rate: η of one control point, in units of length, divided by the number of points
            and falling linearly to 0 over the steps of a level.
        gives_up: end a level as soon as the acceleration term outweighs the score term (root mean
            squares over the control points), as published. The authors' code says nothing;
            here it is reported in ``Solution.given_up``, in its ``warnings``, and, for the last
            level, as its result.

    ``tol`` of the loop decides only what the result is called, and ``max_steps`` has no effect.
    The algorithm works on :func:`mean_norm_sphere`; it runs in flat space too.

    Cost:
        1 + 3 + 7 + 15 score evaluations for 4 calls, 101 times: 2626, with 406 calls in all (one
        step of each level is only there to report its residual).
    """

    levels_of: int = 4
    steps: int = 100
    learning_rate: float = 0.1
    gives_up: bool = True

    def __post_init__(self) -> None:
        if self.levels_of < 1 or self.steps < 1 or not self.learning_rate > 0:
            raise ValueError(
                f"levels_of is {self.levels_of}, steps {self.steps} and learning_rate "
                f"{self.learning_rate}; expected positive numbers"
            )

    def levels(self, tol: float, max_steps: int) -> Sequence[Level]:
        return [
            Level(
                2 ** (k + 1),
                residual=0.0,
                length_change=0.0,
                max_steps=self.steps,
                average_last=1,
                between=Between.segments,
            )
            for k in range(self.levels_of)
        ]

    def init(self, evaluation: Evaluation) -> DescentState:
        return DescentState(0)

    def move(
        self, connection: Connection, evaluation: Evaluation, state: DescentState
    ) -> tuple[Float[Tensor, "inner paths dim"], DescentState]:
        nodes, manifold = evaluation.nodes, connection.manifold
        inner = nodes[1:-1]
        first, second = (m.to(nodes) for m in _natural_spline(len(nodes)))
        velocity = manifold.to_tangent(inner, torch.tensordot(first, nodes, dims=1))
        square = velocity.square().sum(-1, keepdim=True).clamp_min(1e-30)

        def across(a: Tensor) -> Tensor:
            a = manifold.to_tangent(inner, a)
            return a - (a * velocity).sum(-1, keepdim=True) / square * velocity

        # The connection's force belongs to the velocity of the evaluation: bring it to this one.
        speed = evaluation.velocity.square().sum(-1, keepdim=True).clamp_min(1e-30)
        bend = across(torch.tensordot(second, nodes, dims=1))
        pull = -across(evaluation.field.acceleration) / speed * square
        rate = self.learning_rate / len(inner) * (1 - state.step / self.steps)
        moving = square > (1e3 * torch.finfo(nodes.dtype).eps) ** 2 * inner.square().sum(-1, True)
        move = torch.where(moving, rate * (bend + pull) / square.sqrt(), 0)
        if self.gives_up:
            outweighed = bend.square().sum((0, 2)) > pull.square().sum((0, 2))
            move = torch.where(outweighed[:, None], 0, move)
        return move, DescentState(state.step + 1)


@lru_cache(maxsize=8)
def _natural_spline(nodes: int) -> tuple[Tensor, Tensor]:
    """First and second derivatives of the natural cubic spline at the inner of its equidistant
    nodes, as matrices (nodes - 2, nodes)."""
    grid = np.linspace(0, 1, nodes)
    spline = CubicSpline(grid, np.eye(nodes), axis=0, bc_type="natural")
    return torch.from_numpy(spline(grid[1:-1], 1)), torch.from_numpy(spline(grid[1:-1], 2))
