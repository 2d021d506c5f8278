"""Where a ray begins, and how fast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.bvp import Solution
from diffusion_geodesics.diffusion import Condition
from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings
from diffusion_geodesics.ivp.integrator import space_form
from diffusion_geodesics.latents.coordinates import Ambient, Coordinates, Shell, shell_of
from diffusion_geodesics.latents.encode import Noised
from diffusion_geodesics.latents.geometry import Geometry
from diffusion_geodesics.manifold import Manifold
from diffusion_geodesics.path import Path
from diffusion_geodesics.runtime.run import Run

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
