r"""How far sequences of points are from being geodesics.

For points at known times with velocity v and acceleration a (local parabolas), both tangent to the
manifold, and :math:`a_g` the acceleration of the geodesic through the point with that velocity,

.. math:: \rho^2 = \frac{\sum_i |P_\perp (a - a_g)|^2}{\sum_i \max(|P_\perp a_g|,\,
          0.1 |v|^2 / D)^2}, \qquad
          \cos\phi = \frac{P_\perp a \cdot P_\perp a_g}{|P_\perp a| |P_\perp a_g|},

D the chord: the Euler-Lagrange residual and the angle between the two accelerations. Both are
local, and jitter from frame to frame counts in them. What the whole curve does is measured by its
length over the geodesic's, and by the *deviation*: the root mean square distance of curve and
geodesic at equal fractions of their own lengths, over D.
"""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.latents.geometry import Geometry, log_density
from diffusion_geodesics.manifold import Manifold, angle_between
from diffusion_geodesics.path import separation
from diffusion_geodesics.video.curves import arc_length, at_arc_length
from diffusion_geodesics.video.local_fit import local_fit

FRACTIONS = 33  # fractions of arc length at which a curve is compared with its geodesic
LEAST_BENDING = 0.1  # bending times chord below which the residual is no longer relative
STILL = 0.05  # speed relative to the mean below which a point is taken to stand still
PerWindow = Float[Tensor, " windows"]


@dataclass(frozen=True)
class Bends:
    """What a curve does at its inner points m .. n-1-m; shape (inner, *batch)."""

    # |P⊥(a - a_g)| / max(|P⊥ a_g|, 0.1 |v|²/D); NaN where the curve stands still
    residual: Float[Tensor, "inner *batch"]
    angle: Float[Tensor, "inner *batch"]  # between the two, in degrees; NaN there too
    wrong: Float[Tensor, "inner *batch"]  # the residual's numerator, and its denominator
    asked: Float[Tensor, "inner *batch"]
    jitter: Float[Tensor, "*batch"]  # share of the acceleration that scatter explains


@dataclass(frozen=True)
class Statistics:
    """One number a window; NaN where it has none."""

    residual: PerWindow  # relative Euler-Lagrange residual ρ
    angle: PerWindow  # mean angle of the bends, in degrees; 90 for no relation at all
    length: PerWindow  # in the metric, over that of the geodesic between the same ends
    deviation: PerWindow  # root mean square distance from it at equal fractions, over the chord
    greatest: PerWindow  # the greatest such distance
    middle: PerWindow  # log density in the middle third less the mean of both ends, in nats
    energy: PerWindow  # least noise energy σ‖s‖/√dim over that of the lower end
    speed: PerWindow  # Euclidean length over time
    variation: PerWindow  # standard deviation of the speeds over their mean, in time
    jitter: PerWindow  # share of the acceleration that scatter about local parabolas explains

    @staticmethod
    def names() -> tuple[str, ...]:
        """The names of all figures."""
        return tuple(f.name for f in fields(Statistics))


def bends(
    geometry: Geometry,
    points: Float[Tensor, "n *batch dim"],
    scores: Float[Tensor, "n *batch dim"],
    manifold: Manifold,
    half: int,
    times: Float[Tensor, "n *batch"] | None = None,
) -> Bends:
    """The bends of curves, from points at times (even ones by default) and the scores there. Costs
    nothing more."""
    fit = local_fit(points, half, times)
    inner = slice(half, len(points) - half)
    x = points[inner]
    velocity = manifold.to_tangent(x, fit.velocity)
    square = velocity.square().sum(-1)

    def across(a: Tensor) -> Tensor:
        a = manifold.to_tangent(x, a)
        along = (a * velocity).sum(-1) / square.clamp_min(1e-30)
        return a - along[..., None] * velocity

    own = across(fit.acceleration)
    asked = across(geometry.geodesic_acceleration(x, velocity, scores[inner], manifold))
    chord = torch.linalg.vector_norm(points[-1] - points[0], dim=-1)
    least = LEAST_BENDING * square / chord.clamp_min(1e-30)
    scale = torch.maximum(torch.linalg.vector_norm(asked, dim=-1), least)
    wrong = torch.linalg.vector_norm(own - asked, dim=-1)
    mean, _ = _speed(torch.linalg.vector_norm(points.diff(dim=0), dim=-1), times)
    moving = square.sqrt() > STILL * mean
    nothing = torch.full_like(wrong, torch.nan)
    return Bends(
        torch.where(moving, wrong / scale.clamp_min(1e-30), nothing),
        torch.where(moving, angle_between(own, asked).rad2deg(), nothing),
        wrong,
        scale,
        fit.jitter,
    )


def metric_length(
    points: Float[Tensor, "n *batch dim"],
    log_p: Float[Tensor, "n *batch"],
    alpha: float,
    manifold: Manifold,
) -> Float[Tensor, "*batch"]:
    """∫ p^(-α) |dx| of polygons with the manifold's own geodesics for sides, p relative to the
    geometric mean of both ends."""
    level = log_p - 0.5 * (log_p[0] + log_p[-1])
    steps = separation(points[:-1], points[1:], manifold)
    return (torch.exp(-0.5 * alpha * (level[1:] + level[:-1])) * steps).sum(0)


def statistics(
    geometry: Geometry,
    points: Float[Tensor, "n windows dim"],
    scores: Float[Tensor, "n windows dim"],
    geodesic: Float[Tensor, "m windows dim"],
    geodesic_length: Float[Tensor, " windows"],
    *,
    manifold: Manifold,
    half: int,
    times: Float[Tensor, "n windows"] | None = None,
) -> Statistics:
    """Everything about curves between the ends of known geodesics. Costs no evaluation."""
    bent = bends(geometry, points, scores, manifold, half, times)
    arc = arc_length(points)
    chord = torch.linalg.vector_norm(points[-1] - points[0], dim=-1).clamp_min(1e-30)
    fraction = torch.linspace(0, 1, FRACTIONS).to(points)[:, None].expand(-1, points.shape[1])
    apart = at_arc_length(points, fraction) - at_arc_length(geodesic, fraction)
    gap = torch.linalg.vector_norm(apart, dim=-1)
    log_p = log_density(points, scores)
    place = arc / arc[-1].clamp_min(1e-30)
    middle = (place > 1 / 3) & (place < 2 / 3)
    inside = torch.where(middle, log_p, 0).sum(0) / middle.sum(0)
    energy = geometry.noise_energy(scores)
    mean, spread = _speed(arc.diff(dim=0), times)
    return Statistics(
        residual=(bent.wrong.square().sum(0) / bent.asked.square().sum(0)).sqrt(),
        angle=bent.angle.nanmean(0),
        length=metric_length(points, log_p, geometry.alpha, manifold) / geodesic_length,
        deviation=gap.square().mean(0).sqrt() / chord,
        greatest=gap.amax(0) / chord,
        middle=inside - 0.5 * (log_p[0] + log_p[-1]),
        energy=energy.amin(0) / energy[[0, -1]].amin(0),
        speed=mean,
        variation=spread / mean.clamp_min(1e-30),
        jitter=bent.jitter,
    )


def _speed(
    steps: Float[Tensor, "steps *batch"], times: Float[Tensor, "n *batch"] | None
) -> tuple[Tensor, Tensor]:
    """Mean of the speed between neighbours and its standard deviation, both over time."""
    took = torch.ones_like(steps) if times is None else times.diff(dim=0).to(steps)
    mean = steps.sum(0) / took.sum(0)
    return mean, ((steps / took - mean).square() * took).sum(0).div(took.sum(0)).sqrt()
