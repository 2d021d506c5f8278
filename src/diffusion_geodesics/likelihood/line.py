r"""Log density along a path, relative to its start, with an error estimate.

.. math:: \log p(\gamma(t)) - \log p(\gamma(0)) = \int_0^t s(\gamma) \cdot \gamma'\,du

by Clenshaw-Curtis quadrature; the error is the difference to the rule with every second point.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.density import Score
from diffusion_geodesics.length import measure
from diffusion_geodesics.manifold import Flat, Manifold
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.path import Path


@dataclass(frozen=True)
class LineDensity:
    """Log density along paths, relative to their start.

    ``error`` is the largest difference along the path to the rule with every second point, in nats.
    It does not detect a score that is no gradient; compare two paths between the same ends for
    that."""

    t: Float[Tensor, " time"]
    """Chebyshev parameters in [0, 1]."""
    log_density: Float[Tensor, "time *batch"]
    """Log p(γ(t)) - log p(γ(0)) in nats."""
    error: Float[Tensor, "*batch"]
    nfe: int
    """Score evaluations spent, in one batch."""

    @property
    def difference(self) -> Float[Tensor, "*batch"]:
        """log p at the end minus log p at the start."""
        return self.log_density[-1]


def line_density(
    score: Score, path: Path, *, manifold: Manifold | None = None, intervals: int = 64
) -> LineDensity:
    """Log density along a path, relative to its start, by integrating a score at an even number of
    Chebyshev ``intervals``, at least 4 (otherwise ValueError).

    Cost:
        ``intervals + 1`` score evaluations per path, in one batch.
    """
    space = Flat() if manifold is None else manifold
    profile = measure(Conformal(score, 0.0, space), path, intervals=intervals)
    return LineDensity(profile.t, profile.log_density, profile.log_density_error, profile.nfe)
