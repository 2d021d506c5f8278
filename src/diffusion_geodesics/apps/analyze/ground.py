"""The geometry that a clip is compared in: one sphere, one noise level, one density."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.density import Score
from diffusion_geodesics.manifold import Flat, Manifold, Sphere
from diffusion_geodesics.metric import Conformal


@dataclass(frozen=True)
class Known(Score):
    """Scores that were evaluated before, given back whatever is asked: only for the points they
    belong to."""

    values: Float[Tensor, "*batch dim"]

    def __call__(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        return self.values


@dataclass(frozen=True)
class Ground:
    """The metric p^(-2α) I of the noised density.

    Args:
        score: of the noised density.
        alpha: α.
        sphere: about the origin, through the middle of the clip's latents.
        sigma: σ of the noise level.
    """

    score: Score
    alpha: float
    sphere: Sphere
    sigma: float

    def connection(self, manifold: Manifold | None = None) -> Conformal:
        """The connection on the sphere, or elsewhere."""
        return Conformal(self.score, self.alpha, manifold or self.sphere)

    @property
    def flat(self) -> Flat:
        """The space of lerp, which leaves the sphere."""
        return Flat()

    def scores(self, points: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """∇log p at points. Cost: one evaluation a point, one call."""
        return self.score(points.new_zeros(points.shape[:-1]), points)

    def pull(
        self,
        points: Float[Tensor, "*batch dim"],
        velocity: Float[Tensor, "*batch dim"],
        scores: Float[Tensor, "*batch dim"],
        manifold: Manifold,
    ) -> Float[Tensor, "*batch dim"]:
        """The acceleration of the geodesics through points, tangent part, from known scores."""
        known = Conformal(Known(scores), self.alpha, manifold)
        acceleration = known.acceleration(points.new_zeros(points.shape[:-1]), points, velocity)
        return manifold.to_tangent(points, acceleration)

    def energy(self, scores: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        """σ‖s‖/√dim: about 1 in the typical set."""
        return self.sigma * torch.linalg.vector_norm(scores, dim=-1) / scores.shape[-1] ** 0.5


def log_density(
    points: Float[Tensor, "n *batch dim"], scores: Float[Tensor, "n *batch dim"]
) -> Float[Tensor, "n *batch"]:
    """log p along polygons relative to their start: ∫ s·dx by the trapezoidal rule, which is exact
    where log p is quadratic between neighbouring points."""
    steps = (0.5 * (scores[1:] + scores[:-1]) * points.diff(dim=0)).sum(-1)
    return torch.cat([torch.zeros_like(steps[:1]), steps.cumsum(0)])
