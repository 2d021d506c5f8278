"""What rays are marched through: a density at a noise level, and where they begin."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.apps.chart import Chart, FlatChart, ShellChart
from diffusion_geodesics.bvp import Solution
from diffusion_geodesics.density import Score
from diffusion_geodesics.ivp.integrator import space_form
from diffusion_geodesics.manifold import Manifold
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.path import Path

_WEIGHTS = {
    6: (-137 / 60, 5.0, -5.0, 10 / 3, -5 / 4, 1 / 5),
    5: (-25 / 12, 4.0, -3.0, 4 / 3, -1 / 4),
}
"""One-sided differences of order 5 and 4."""


@dataclass(frozen=True)
class Terrain:
    """The metric p^(-2α) I of the noised density.

    Args:
        score: of latents.
        alpha: α.
        sigma: σ of the noise level.
    """

    score: Score
    alpha: float
    sigma: float

    def connection(self, chart: Chart) -> Conformal:
        """The connection in the coordinates of a chart."""
        return Conformal(chart.score(self.score), self.alpha, chart.manifold)

    def scores(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """∇log p at latents. Cost: one evaluation a point, one call."""
        return self.score(x.new_zeros(x.shape[:-1]), x)

    def energy(self, scores: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        """σ‖s‖/√dim: about 1 in the typical set."""
        return self.sigma * torch.linalg.vector_norm(scores, dim=-1) / scores.shape[-1] ** 0.5

    @staticmethod
    def typical(start: float, band: float) -> tuple[float, float]:
        """Lowest and highest typical noise energy: a band around that of the start and 1."""
        return (1 - band) * min(start, 1.0), (1 + band) * max(start, 1.0)

    def weakened(self, halvings: int) -> Terrain:
        """The same with α halved so many times."""
        return replace(self, alpha=self.alpha * 0.5**halvings)


@dataclass(frozen=True)
class Launch:
    """Where a ray begins, and how fast.

    Args:
        x: the latent, shape (dim,).
        velocity: of the chart's coordinates for a unit of t, tangent, shape (dim,).
        chart: coordinates for t in [0, 1]; the norm stays that of t = 1 afterwards.
        unit: what a unit of t is, in words.
        reach: how far to go by default, in t.
        target: the latent that t = 1 arrives at, if there is one.
        doubt: error of the velocity, relative, as far as it is known; 0 where it is given.
        solution: the boundary value solution that it comes from, if it does.
        rows, calls: what finding it cost.
    """

    x: Float[Tensor, " dim"]
    velocity: Float[Tensor, " dim"]
    chart: Chart
    unit: str
    reach: float = 1.0
    target: Float[Tensor, " dim"] | None = None
    doubt: float = 0.0
    solution: Solution | None = None
    rows: int = 0
    calls: int = 0

    def __post_init__(self) -> None:
        if not bool(torch.isfinite(self.velocity).all()):
            raise ValueError("the direction holds a value that is not finite; give finite numbers")
        if not float(self.velocity.norm()) > 1e-9 * float(self.x.norm()):
            raise ValueError(
                "the direction is zero (or points along the norm, which the shell keeps): there is "
                "nowhere to go; give another one"
            )


def shell_of(x: Float[Tensor, " dim"], flat: bool) -> Chart:
    """The shell of one norm through a latent, or flat space."""
    norm = float(x.norm())
    return FlatChart() if flat else ShellChart(norm, norm, len(x) ** 0.5)


def part_of(chart: Chart, start: float, end: float) -> Chart:
    """The chart of a piece of t, as a chart for [0, 1]; norms stay beyond t = 1."""
    if not isinstance(chart, ShellChart):
        return chart
    times = torch.tensor([start, end], dtype=torch.float64).clamp(max=1)
    first, last = (chart.radius * chart.scale(times)).tolist()
    return ShellChart(first, last, chart.radius)


def edge_velocity(
    path: Path, manifold: Manifold, intervals: int, at_end: bool = False
) -> tuple[Float[Tensor, " dim"], float]:
    r"""dγ/dt of a path at its start or end, and its relative error.

    Six of the ``intervals + 1`` equidistant nodes are mapped to the tangent space at the edge and
    differentiated there, of order 5. The error is the difference to five nodes, and what the
    solver's central differences leave out: they are off by
    :math:`h^2 \gamma^{(4)} / 12 \approx \delta^4 \gamma / 12 h^2`, and the velocity at an edge by
    half of that at most.
    """
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
