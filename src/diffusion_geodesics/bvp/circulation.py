r"""Whether a score is a gradient, as far as the path between two points and its chord show it.

The score of a density is a gradient, so its line integrals between two points agree. Its
circulation

.. math:: \oint s \cdot dx = \int_\gamma s \cdot dx - \int_{\mathrm{chord}} s \cdot dx

is zero for it. Where it is not, log densities and lengths depend on the path along which they are
integrated: lengths by a factor of about :math:`e^{\alpha \oint s \cdot dx}`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from diffusion_geodesics.bvp.length_check import changes_with_t
from diffusion_geodesics.length import Profile
from diffusion_geodesics.likelihood.line import LineDensity, line_density
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.path import Path

INTERVALS = 16
"""Chebyshev intervals of the first look at the chord; four times as many follow if it finds
something."""

LARGE = 0.05
"""α times the circulation above which a score counts as no gradient: lengths are then ambiguous by
more than 5%."""


@dataclass(frozen=True)
class Circulation:
    """The circulation of a score around a path and the chord of its ends."""

    value: Float[Tensor, "*batch"]
    error: Float[Tensor, "*batch"]  # of the quadrature, in nats
    alpha: float  # strength of the metric
    nfe: int  # cost
    batches: int  # cost

    @property
    def large(self) -> Bool[Tensor, "*batch"]:
        """Where it makes lengths ambiguous by more than 5%, beyond its error."""
        return self.alpha * (self.value.abs() - 5 * self.error) > LARGE

    def pair(self, index: int) -> Circulation:
        """The circulation of one pair of a batch."""
        value, error = self.value.flatten()[index], self.error.flatten()[index]
        return Circulation(value, error, self.alpha, self.nfe, self.batches)


def circulation(connection: Connection, profile: Profile, chord: Path, alpha: float) -> Circulation:
    """The circulation of a score around a path and its chord."""
    along = line_density(connection.score, chord, intervals=INTERVALS)
    found = _around(profile, along, alpha, along.nfe, 1)
    if not bool(found.large.any()):
        return found
    finer = line_density(connection.score, chord, intervals=4 * INTERVALS)
    changes, spent = changes_with_t(connection, profile)
    found = _around(profile, finer, alpha, along.nfe + finer.nfe + spent, 3)
    still = torch.zeros_like(found.value)
    value = torch.where(changes.reshape(found.value.shape), still, found.value)
    return Circulation(value, found.error, alpha, found.nfe, found.batches)


def _around(
    profile: Profile, chord: LineDensity, alpha: float, nfe: int, batches: int
) -> Circulation:
    value = profile.log_density[-1] - chord.difference
    return Circulation(value, profile.log_density_error + chord.error, alpha, nfe, batches)
