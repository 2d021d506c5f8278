r"""The preconditioned flow with Anderson acceleration: the default solver.

The stiff :math:`\gamma''` of the geodesic equation is inverted by scalar tridiagonal operators
shared by all coordinates. Across the curve,

.. math:: M \delta = \delta'' + b\,\delta' + (\theta^2 - c)\,\delta,

where b (advection along the curve) and c (curvature of the log density across it) come from
linearising the equation, θ² comes from the curvature of the sphere, and exponential fitting keeps M
an M-matrix where b is large. Along the curve the equation only determines the spacing of the nodes,
:math:`\delta'' = 0`, and inverting M there as well would slow convergence by a factor of c. The
update is therefore

.. math:: g = -M^{-1} P_\perp r - \hat v\, (D^2)^{-1} (\hat v \cdot r),

accelerated by Anderson's method.

References:
    Scharfetter, Gummel, IEEE Trans. Electron Devices 1969 (exponential fitting).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from diffusion_geodesics.bvp.anderson import History, flat, unflat
from diffusion_geodesics.bvp.euler_lagrange import Evaluation
from diffusion_geodesics.bvp.node_update import Level
from diffusion_geodesics.bvp.relaxation import RelaxationSolver
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.shapes import Nodes, PathValues


@dataclass(frozen=True)
class FlowState:
    """State of the flow on one level. Every tensor has shape (paths,)."""

    history: History  # iterates and updates for Anderson acceleration
    plain: Int[Tensor, " paths"]  # number of plain steps to take before the next accelerated one
    beta: PathValues  # mixing factor, at most 1
    best: PathValues  # smallest residual so far
    since: Int[Tensor, " paths"]  # iterations since then
    stagnations: Int[Tensor, " paths"]  # how often ``patience`` ran out
    length: PathValues  # length at the last iterate
    iteration: int  # iterations taken on this level


@dataclass(frozen=True)
class PreconditionedFlow(RelaxationSolver[FlowState]):
    """The default boundary value solver, for every connection.

    Args:
        intervals: intervals of each level, coarse to fine; every one at least 4.
        memory: number of differences that Anderson acceleration uses; 0 turns it off.
        reach: longest accelerated step in lengths of the plain step.
        ridge: relative ridge of the normal equations of Anderson acceleration.
        patience: iterations without a new smallest residual until its memory is cleared.
        coarse_residual, coarse_steps: residual and number of steps at which coarse levels end.
        refine: intervals of further levels, run only for pairs whose length the levels before did
            not resolve (error bar above 1%), as with strong density barriers.
        verification: Chebyshev intervals at which the solution is measured; even, at least 4.
        average_last: for a noisy score: the mean of so many last iterates in place of the best
            one, for curves that miss the tolerance; half of ``max_steps`` is a good choice.

    Raises:
        ValueError: a level has fewer than 4 intervals, or ``average_last`` is negative.

    Cost:
        intervals - 1 score evaluations per step and path, in one batch per step; see
        :class:`RelaxationSolver` for the rest.
    """

    intervals: tuple[int, ...] = (16, 32)
    memory: int = 10
    reach: float = 10.0
    ridge: float = 1e-10
    patience: int = 10
    coarse_residual: float = 5e-2
    coarse_steps: int = 30
    refine: tuple[int, ...] = ()
    average_last: int = 0
    verification: int = 64

    def __post_init__(self) -> None:
        if not self.intervals or min(self.intervals + self.refine) < 4:
            raise ValueError(
                f"intervals is {self.intervals} and refine {self.refine}; expected one or more "
                "levels of at least 4"
            )
        if self.verification < 4 or self.verification % 2:
            raise ValueError(
                f"verification is {self.verification}; expected an even number of at least 4"
            )
        if self.average_last < 0:
            raise ValueError(f"average_last is {self.average_last}; expected 0 or more iterates")

    def levels(self, tol: float, max_steps: int) -> Sequence[Level]:
        coarse = [
            Level(n, self.coarse_residual, 1e-3, self.coarse_steps) for n in self.intervals[:-1]
        ]
        change = min(1e-8, (0.1 * tol) ** 2)
        finest = Level(self.intervals[-1], tol, change, max_steps, self.average_last)
        further = [replace(finest, intervals=n, if_unresolved=True) for n in self.refine]
        return [*coarse, finest, *further]

    def init(self, evaluation: Evaluation) -> FlowState:
        like = evaluation.residual
        count = torch.zeros(like.shape, dtype=torch.long, device=like.device)
        return FlowState(
            history=History.empty(flat(evaluation.nodes[1:-1]), self.memory),
            plain=count + 1,
            beta=torch.ones_like(like),
            best=torch.full_like(like, torch.inf),
            since=count,
            stagnations=count,
            length=torch.full_like(like, torch.inf),
            iteration=0,
        )

    def move(
        self, connection: Connection, evaluation: Evaluation, state: FlowState
    ) -> tuple[Nodes, FlowState]:
        update = flat(preconditioned_update(connection, evaluation))
        better = evaluation.residual < state.best
        since = torch.where(better, 0, state.since + 1)
        plain = state.plain > 0
        stuck = ~plain & (since >= self.patience)
        stagnations = state.stagnations + stuck
        beta = torch.where(stuck & (stagnations >= 2), (state.beta / 2).clamp_min(0.25), state.beta)
        history = state.history.push(flat(evaluation.nodes[1:-1]), update)
        history = history.keep_newest(plain | stuck)
        step = history.step(beta, self.ridge)
        norm = torch.linalg.vector_norm(update, dim=-1)
        length = torch.linalg.vector_norm(step, dim=-1)
        broken = ~torch.isfinite(length)
        shrink = (self.reach * norm / length.clamp_min(1e-30)).clamp_max(1)
        step = torch.where(
            (plain | broken)[:, None], beta[:, None] * update, step * shrink[:, None]
        )
        left = torch.where(stuck, 3, (state.plain - 1).clamp_min(0))
        falling = evaluation.length < state.length * (1 - 3e-3)
        again = plain & (left == 0) & falling & (state.iteration > 2)
        state = replace(
            state,
            history=history.keep_newest(broken),
            plain=torch.where(again, 1, left),
            beta=beta,
            best=torch.minimum(state.best, evaluation.residual),
            since=torch.where(stuck, 0, since),
            stagnations=stagnations,
            length=evaluation.length,
            iteration=state.iteration + 1,
        )
        return unflat(step, evaluation.defect), state


def preconditioned_update(connection: Connection, evaluation: Evaluation) -> Nodes:
    """The update g of every curve; zero where an operator is singular or not finite."""
    field, velocity = evaluation.field, evaluation.velocity
    square = velocity.square().sum(-1, keepdim=True)
    direction = velocity / square.sqrt().clamp_min(1e-30)
    along = (evaluation.defect * direction).sum(-1, keepdim=True)
    across = evaluation.defect - along * direction
    h = 1.0 / (len(evaluation.nodes) - 1)
    z = (field.advection * h).clamp(-50, 50)
    upper, lower = _bernoulli(-z) / h**2, _bernoulli(z) / h**2
    focus = connection.manifold.curvature * square[..., 0].mean(0)
    shifted = focus - field.shift.clamp_min(0)
    second = torch.full_like(upper, h**-2)
    spacing = _solve(second, second, torch.zeros_like(second), -along)
    return _solve(upper, lower, shifted, -across) + direction * spacing


def _solve(upper: Tensor, lower: Tensor, shift: Tensor, right: Tensor) -> Tensor:
    """Solve u δ[i+1] + l δ[i-1] + (shift - u - l) δ[i] = right, for every path."""
    matrix = torch.diag_embed((shift - upper - lower).T)
    matrix = matrix + torch.diag_embed(upper[:-1].T, 1) + torch.diag_embed(lower[1:].T, -1)
    finite = torch.isfinite(matrix).flatten(1).all(1)
    eye = torch.eye(len(upper), dtype=matrix.dtype, device=matrix.device)
    matrix = torch.where(finite[:, None, None], matrix, eye)
    right = torch.nan_to_num(right.transpose(0, 1), nan=0.0, posinf=0.0, neginf=0.0)
    solved, info = torch.linalg.solve_ex(matrix, right)
    usable = finite & (info == 0)
    return torch.where(usable[:, None, None], solved, 0).transpose(0, 1)


def _bernoulli(z: Tensor) -> Tensor:
    small = z.abs() < 1e-5
    safe = torch.where(small, 1.0, z)
    return torch.where(small, 1 - z / 2, safe / torch.expm1(safe))
