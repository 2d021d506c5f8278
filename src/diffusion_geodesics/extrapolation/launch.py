"""Directions: where a ray begins, and how fast."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.bvp import BoundaryProblem, Solution, Step, solve_bvp
from diffusion_geodesics.diffusion import Condition
from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings
from diffusion_geodesics.images import ImageSource
from diffusion_geodesics.ivp.integrator import space_form
from diffusion_geodesics.latents.choices import solver_of
from diffusion_geodesics.latents.coordinates import Ambient, Coordinates, Shell, shell, shell_of
from diffusion_geodesics.latents.encode import Noised
from diffusion_geodesics.latents.geometry import Geometry
from diffusion_geodesics.manifold import Manifold
from diffusion_geodesics.path import Path, chord
from diffusion_geodesics.runtime.run import Run

START = torch.zeros(1, dtype=torch.float64)
ENDS = torch.tensor([0.0, 1.0], dtype=torch.float64)
ANGLE = 0.5
"""Default t_max, in start norms, of directions that have no length of their own."""

_WEIGHTS = {
    6: (-137 / 60, 5.0, -5.0, 10 / 3, -5 / 4, 1 / 5),
    5: (-25 / 12, 4.0, -3.0, 4 / 3, -1 / 4),
}
"""Weights of one-sided differences of order 5 and 4."""


@final
@dataclass(frozen=True, eq=False)
class Setup:
    """What directions are worked out from."""

    run: Run  # that counts the cost
    noised: Noised  # the start and further images at the noise level, or the last frames of a clip
    geometry: Geometry  # the metric
    settings: ExtrapolationSettings  # every choice
    encode_prompt: Callable[[str], Condition]  # text to condition

    @property
    def latents(self) -> Float[Tensor, "images dim"]:
        """The latents at the level."""
        return self.noised.latents


@final
@dataclass(frozen=True, eq=False)
class Launch:
    """Where a ray begins, and how fast."""

    x: Float[Tensor, " dim"]  # the latent
    velocity: Float[Tensor, " dim"]  # of the coordinates for a unit of t, tangent
    coordinates: Coordinates  # for t in [0, 1]; the norm stays that of t = 1 afterwards
    unit: str  # what a unit of t is, in words
    t_max: float = 1.0  # how far to go by default
    target: Float[Tensor, " dim"] | None = None  # the latent that t = 1 arrives at, if there is one
    velocity_error: float = 0.0  # relative, as far as it is known; 0 where the velocity is given
    solution: Solution | None = None

    def __post_init__(self) -> None:
        if not bool(torch.isfinite(self.velocity).all()):
            raise ValueError("the direction holds a value that is not finite; give finite numbers")
        if not float(self.velocity.norm()) > 1e-9 * float(self.x.norm()):
            raise ValueError(
                "the direction is zero (or points along the norm, which the shell keeps): there is "
                "nowhere to go; give another one"
            )


class Direction(ABC):
    """Where to go from the start."""

    renewable: ClassVar[bool] = False
    """Whether it can be estimated anew along the way."""
    strength: ClassVar[float] = 1.0
    """α · dim of the metric where none is asked for."""

    @property
    def images(self) -> tuple[ImageSource, ...]:
        """Further images that it needs, after the start."""
        return ()

    @property
    def prompts(self) -> tuple[str, ...]:
        """What it encodes besides the prompt of the start."""
        return ()

    @abstractmethod
    def launch(self, setup: Setup) -> Launch:
        """The start and the velocity. Raises `ValueError` for a direction that is none."""

    @abstractmethod
    def description(self) -> str:
        """What it is, in words."""

    def settings(self) -> dict[str, object]:
        """What it is as values of a settings file; nothing where it came from no file."""
        return {}

    def renewed(self, setup: Setup, x: Float[Tensor, "rows dim"]) -> Float[Tensor, "rows dim"]:
        """Directions from latents on the way, of any length."""
        raise ValueError(
            f"{self.description()} is a direction that is known once; leave reestimate at 0, or go "
            "towards an image or a prompt"
        )


def coordinates_of(x: Float[Tensor, " dim"], *, flat: bool) -> Coordinates:
    """The shell of one norm through a latent, or flat space."""
    return Ambient() if flat else shell_of(x)


def piece_of(coordinates: Coordinates, start: float, end: float) -> Coordinates:
    """The coordinates of a piece of t, for t in [0, 1]."""
    return coordinates.piece(start, end) if isinstance(coordinates, Shell) else coordinates


def edge_velocity(
    path: Path, manifold: Manifold, intervals: int, *, at_end: bool = False
) -> tuple[Float[Tensor, " dim"], float]:
    r"""dγ/dt of a path at its start or end, and its relative error.

    Six of the ``intervals + 1`` equidistant nodes are mapped to the tangent space at the edge and
    differentiated there, of order 5. The error is the difference to five nodes, plus half of
    :math:`\delta^4 \gamma / 12 h^2`, which the solver's central differences leave out."""
    t = torch.linspace(0, 1, intervals + 1, dtype=torch.float64)
    every = path(1 - t if at_end else t)
    nodes, space = every[:6], space_form(manifold)
    offsets = torch.stack([space.log(nodes[0], node) for node in nodes]) * intervals
    found = [
        torch.tensordot(torch.tensor(w, dtype=nodes.dtype).to(nodes), offsets[:n], dims=1)
        for n, w in _WEIGHTS.items()
    ]
    velocity = -found[0] if at_end else found[0]
    fourth = manifold.to_tangent(every[2:-2], every.diff(n=4, dim=0)).norm(dim=-1)
    wrong = (found[0] - found[1]).norm() + fourth.max() * intervals**2 / 24
    return velocity, float(wrong / found[0].norm().clamp_min(1e-30))


def between(setup: Setup, a: Tensor, b: Tensor) -> Coordinates:
    """The coordinates of the way between two latents."""
    return Ambient() if setup.settings.metric.flat else shell(a, b)


def around(setup: Setup, x: Tensor) -> Coordinates:
    """The coordinates about one latent."""
    return coordinates_of(x, flat=setup.settings.metric.flat)


def solved_velocity(
    setup: Setup, coordinates: Coordinates, a: Tensor, b: Tensor, *, at_end: bool = False
) -> tuple[Tensor, dict[str, Any]]:
    """The velocity at an end of the geodesic between two latents, its error and the solution."""
    ends = coordinates.coordinates(ENDS, torch.stack([a, b]))
    solve = setup.settings.solve
    with setup.run.stage("solve", total=0) as stage:

        def show(step: Step) -> None:
            stage(step.iteration, residual=float(step.residual.min()))

        arc = chord(ends[0], ends[1], coordinates.manifold)
        problem = BoundaryProblem(setup.geometry.connection(coordinates), arc)
        limits = {"tol": solve.tol, "max_steps": solve.max_steps}
        solution = solve_bvp(problem, solver_of(solve), **limits, callback=show)
    velocity, wrong = edge_velocity(
        solution.path, coordinates.manifold, solve.intervals[-1], at_end=at_end
    )
    return velocity, {"velocity_error": wrong, "solution": solution}


def of_norm(setup: Setup, x: Tensor, direction: Tensor) -> Launch:
    """Along the tangent part of a direction, with the norm of the point in its coordinates. The
    zero vector stays zero."""
    coordinates = around(setup, x)
    y = coordinates.coordinates(START, x[None])[0]
    tangent = coordinates.manifold.to_tangent(y, direction)
    small = 1e-9 * y.norm()
    velocity = tangent * (y.norm() / tangent.norm()) if tangent.norm() > small else 0 * tangent
    unit = "the norm of the start (a radian on the shell)"
    return Launch(x, velocity, coordinates, unit, t_max=ANGLE)
