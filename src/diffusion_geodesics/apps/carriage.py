r"""The path that follows correspondences between the images, at the noise level.

Both images are carried along their correspondences and mixed; each mixture is encoded and given the
noise that the ends have:

.. math:: x(t) = a\, E\big((1-t)\, A_t + t\, B_t\big) + \sigma\, \epsilon(t), \qquad
          \epsilon(t) = \text{slerp}(\epsilon_0, \epsilon_1; t), \qquad
          \epsilon_i = (x_i - a\, z_i) / \sigma,

so that both ends are exact. What it adds to the great circle is the carriage of a
:class:`~diffusion_geodesics.apps.chart.CarriedChart`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.apps.chart import CarriedChart, Chart
from diffusion_geodesics.apps.job import Job
from diffusion_geodesics.correspondence import Matches, carry, look, match
from diffusion_geodesics.diffusion import Condition, Cost
from diffusion_geodesics.path import GreatArc, Spline, chord

NODES = 33
"""Points that the carriage is a spline through."""


@dataclass(frozen=True, eq=False)
class Carriage:
    """How two images are carried into one another.

    Args:
        matches: their correspondences.
        path: latents at the noise level, a spline through `NODES` points.
        chart: the moving frame, in which the great circle (or the line) is that path.
    """

    matches: Matches
    path: Spline
    chart: CarriedChart


def carriage(
    job: Job,
    clean: Float[Tensor, "2 dim"],
    ends: Float[Tensor, "2 dim"],
    still: Chart,
) -> tuple[Carriage | None, Cost]:
    """The carriage of a pair; None where the network has no features to match by.

    Args:
        job: images and parts of the model.
        clean: latents of both images; ends: the same at the noise level.
        still: the chart that the frame is carried over.

    Cost: 24 rows, and 31 encodings.
    """
    settings, schedule = job.settings, job.denoiser.schedule
    grids, cost = look(
        job.denoiser,
        clean,
        Condition.stack(job.conditions),
        steps=settings.steps,
        seed=settings.seed,
    )
    if not grids:
        return None, cost
    matches = match(job.images, grids)
    a, sigma = schedule.coefficients(schedule.timestep(settings.steps, settings.level))
    noise = (ends - a * clean) / sigma
    t = torch.linspace(0, 1, NODES, dtype=ends.dtype, device=ends.device)
    first, last = carry(job.images.to(ends.device), matches, t)
    mixed = torch.lerp(first, last, t[:, None, None, None].to(first))
    encoded = job.codec.encode(mixed[1:-1]).to(clean)
    between = a * torch.cat([clean[:1], encoded, clean[1:]]) + sigma * GreatArc(*noise)(t)
    corners = still.coordinates(t[[0, -1]], ends)
    straight = still.latent(t, chord(corners[0], corners[1], still.manifold)(t))
    offset = between - straight
    offset[[0, -1]] = 0.0
    return Carriage(matches, Spline(between), CarriedChart(still, Spline(offset))), cost
