r"""The matching conditions of multiple shooting, and an approximate inverse of their derivative.

A path is cut into K segments. The unknowns are the initial velocity :math:`v_0` and, at every
joint, point and velocity :math:`(x_k, v_k)`; a ray is launched from each of them. The conditions

.. math:: X_k - x_{k+1} = 0, \quad V_k - v_{k+1} = 0 \ (k < K - 1), \qquad X_{K-1} - B = 0

compare the end :math:`(X_k, V_k)` of each ray with the start of the next one, and the last end with
the target; on a sphere in the tangent space of the latter.

Their derivative is approximated by that of the equation :math:`\delta'' = \lambda \delta` across
the path (λ: curvature of the log density there, less the manifold's focusing) and
:math:`\delta'' = 0` along it, in a frame that turns with the path. So its inverse is that of two
small matrices (2K - 1 rows) that all coordinates share.

References
----------
Stoer, Bulirsch, Introduction to Numerical Analysis, 2002, section 7.3.5 (multiple shooting).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.ivp import Integrator, Ray, solve_ivp
from diffusion_geodesics.ivp.integrator import space_form
from diffusion_geodesics.manifold import Manifold
from diffusion_geodesics.metric import Connection


@dataclass(frozen=True)
class Launch:
    """Points and velocities that the segments start from; K segments.

    Args:
        x, v: shape (K, paths, dim); ``x[0]`` is the path's start.
    """

    x: Float[Tensor, "segments paths dim"]
    v: Float[Tensor, "segments paths dim"]

    def moved(self, manifold: Manifold, step: Float[Tensor, "unknowns paths dim"]) -> Launch:
        """With a step in the unknowns (v_0, x_1, v_1, x_2, v_2, ...)."""
        x = manifold.project(self.x[1:] + step[1::2])
        x = torch.cat([self.x[:1], x])
        return Launch(x, manifold.to_tangent(x, self.v + step[::2]))

    def take(self, rows: Tensor) -> Launch:
        """Some of the paths."""
        return Launch(self.x[:, rows], self.v[:, rows])

    def put(self, rows: Tensor, part: Launch) -> Launch:
        """With some of the paths replaced."""
        return Launch(self.x.index_copy(1, rows, part.x), self.v.index_copy(1, rows, part.v))


@dataclass(frozen=True)
class Flight:
    """What the rays of all segments miss by.

    Args:
        defect: the conditions' left-hand sides, in the order (X_0, V_0, X_1, V_1, ..., X_{K-1}),
            shape (2K - 1, paths, dim); infinite where a ray came to no end.
        direction: velocity at the path's end, shape (paths, dim).
        length: metric length of all rays, with the density relative to the start, shape (paths,).
    """

    defect: Float[Tensor, "unknowns paths dim"]
    direction: Float[Tensor, "paths dim"]
    length: Float[Tensor, " paths"]

    @property
    def miss(self) -> Float[Tensor, " paths"]:
        """Largest norm of a condition."""
        return torch.linalg.vector_norm(self.defect, dim=-1).amax(0)

    def take(self, rows: Tensor) -> Flight:
        """Some of the paths."""
        return Flight(self.defect[:, rows], self.direction[rows], self.length[rows])

    def put(self, rows: Tensor, part: Flight) -> Flight:
        """With some of the paths replaced."""
        return Flight(
            self.defect.index_copy(1, rows, part.defect),
            self.direction.index_copy(0, rows, part.direction),
            self.length.index_copy(0, rows, part.length),
        )


def fly(
    connection: Connection,
    integrator: Integrator,
    launch: Launch,
    target: Float[Tensor, "paths dim"],
    *,
    growth: bool = False,
) -> tuple[Flight, Ray]:
    """Follow all segments of all paths in one batch of rays, segment after segment.

    Cost: that of one ray from end to end for each path, however many segments; twice that with
    the growth.
    """
    segments, paths, dim = launch.x.shape
    index = torch.arange(paths, device=target.device).repeat(segments)
    times = torch.arange(segments, device=target.device).to(target) / segments
    ray = solve_ivp(
        connection.select(index),
        launch.x.reshape(-1, dim),
        launch.v.reshape(-1, dim),
        integrator=integrator,
        t0=times.repeat_interleave(paths),
        horizon=1 / segments,
        growth=growth,
        error=False,
    )
    end = ray.end.reshape(segments, paths, dim)
    velocity = ray.end_velocity.reshape(segments, paths, dim)
    defect = launch.x.new_zeros(2 * segments - 1, paths, dim)
    manifold = space_form(connection.manifold)
    defect[::2] = manifold.log(torch.cat([launch.x[1:], target[None]]), end)
    defect[1::2] = manifold.to_tangent(launch.x[1:], velocity[:-1]) - launch.v[1:]
    ended = torch.tensor([r.ok for r in ray.results], device=target.device)
    ended = ended.reshape(segments, paths).all(0)
    defect = torch.where(ended[:, None], defect, torch.inf)
    return Flight(defect, velocity[-1], _length(connection, launch, ray)), ray


def _length(connection: Connection, launch: Launch, ray: Ray) -> Tensor:
    """Lengths of the segments, each known relative to its own start, added up."""
    segments, paths, _ = launch.x.shape
    climb = ray.log_density[-1].reshape(segments, paths)
    log_density = torch.cat([torch.zeros_like(climb[:1]), climb.cumsum(0)[:-1]])
    nothing = torch.zeros_like(launch.v)
    here, start = (
        connection.speed(launch.v, nothing, level)
        for level in (log_density, torch.zeros_like(log_density))
    )
    scale = torch.where(start > 0, here / start.clamp_min(1e-30), 1)
    return (scale * ray.length.reshape(segments, paths)).sum(0)


@dataclass(frozen=True)
class ApproximateInverse:
    """Inverse of the conditions' derivative, for a density of one curvature across the path.

    Args:
        across, along: inverses of the two small matrices, shape (paths, 2K-1, 2K-1).
        points, directions: frame at each unknown's place, shape (2K-1, paths, dim).
        end_point, end_direction: frame at the target, shape (paths, dim).
        flat: whether the frame need not turn with the points.
    """

    across: Float[Tensor, "paths unknowns unknowns"]
    along: Float[Tensor, "paths unknowns unknowns"]
    points: Float[Tensor, "unknowns paths dim"]
    directions: Float[Tensor, "unknowns paths dim"]
    end_point: Float[Tensor, "paths dim"]
    end_direction: Float[Tensor, "paths dim"]
    flat: bool

    @property
    def goals(self) -> Float[Tensor, "unknowns paths dim"]:
        """Where each condition compares."""
        return torch.cat([self.points[1:], self.end_point[None]])

    def __call__(
        self, defect: Float[Tensor, "unknowns paths dim"]
    ) -> Float[Tensor, "unknowns paths dim"]:
        """The change of the unknowns that would change the conditions by ``defect``."""
        first = (self.points[:1], self.directions[:1])
        places = (self.goals, torch.cat([self.directions[1:], self.end_direction[None]]))
        common = self._turn(defect, places, first)
        norm = torch.linalg.vector_norm(self.directions[0], dim=-1, keepdim=True)
        direction = self.directions[0] / norm.clamp_min(1e-30)
        along = (common * direction).sum(-1)
        rest = common - along[..., None] * direction
        solved = torch.einsum("puq,qpd->upd", self.across, rest)
        solved = solved + torch.einsum("puq,qp->up", self.along, along)[..., None] * direction
        return self._turn(solved, first, (self.points, self.directions))

    def _turn(
        self, x: Tensor, origin: tuple[Tensor, Tensor], goal: tuple[Tensor, Tensor]
    ) -> Tensor:
        direction = origin[1]
        if not self.flat:
            x, direction = (_rotated(y, origin[0], goal[0]) for y in (x, direction))
        return _rotated(x, direction, goal[1])


def _rotated(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The smallest rotation that takes the direction of a to that of b, applied to x."""
    a, b = (y / torch.linalg.vector_norm(y, dim=-1, keepdim=True).clamp_min(1e-30) for y in (a, b))
    both = a + b
    cosine = (a * b).sum(-1, keepdim=True)
    share = (both * x).sum(-1, keepdim=True) / (1 + cosine).clamp_min(1e-3)
    return x - share * both + 2 * (a * x).sum(-1, keepdim=True) * b


def approximate_inverse(
    connection: Connection, launch: Launch, flight: Flight, target: Float[Tensor, "paths dim"]
) -> ApproximateInverse:
    """Cost: one score evaluation a segment and path, one call."""
    segments, paths, _ = launch.x.shape
    times = torch.arange(segments, device=target.device).to(target) / segments
    field = connection.field(times[:, None].expand(segments, paths), launch.x, launch.v)
    square = launch.v.square().sum(-1)
    stiffness = field.shift.clamp_min(0) - connection.manifold.curvature * square
    rows = torch.arange(2 * segments - 1, device=target.device)
    place = (rows + 1) // 2
    return ApproximateInverse(
        across=torch.linalg.pinv(_transition(stiffness)),
        along=torch.linalg.pinv(_transition(torch.zeros_like(stiffness))),
        points=launch.x[place],
        directions=launch.v[place],
        end_point=target,
        end_direction=flight.direction,
        flat=connection.manifold.curvature == 0,
    )


def _transition(stiffness: Float[Tensor, "segments paths"]) -> Tensor:
    """Derivative of the conditions for δ'' = λ δ, shape (paths, 2K-1, 2K-1)."""
    segments, paths = stiffness.shape
    tau = 1.0 / segments
    root = stiffness.abs().sqrt() * tau
    grows = stiffness > 0
    bounded = root.clamp(max=20)
    cosine = torch.where(grows, bounded.cosh(), root.cos())
    sine = tau * torch.where(
        grows, bounded.sinh() / bounded.clamp_min(1e-30), torch.sinc(root / torch.pi)
    )
    sine = torch.where(root > 1e-8, sine, tau)
    matrix = stiffness.new_zeros(paths, 2 * segments - 1, 2 * segments - 1)
    for k in range(segments):
        matrix[:, 2 * k, 2 * k] = sine[k]
        if k:
            matrix[:, 2 * k, 2 * k - 1] = cosine[k]
        if k < segments - 1:
            matrix[:, 2 * k, 2 * k + 1] = -1
            matrix[:, 2 * k + 1, 2 * k] = cosine[k]
            matrix[:, 2 * k + 1, 2 * k + 2] = -1
            if k:
                matrix[:, 2 * k + 1, 2 * k - 1] = stiffness[k] * sine[k]
    return matrix
