"""How far curves are from geodesics: nought for geodesics, known for great arcs."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.geodesics import geodesic
from diffusion_geodesics.latents.geometry import Geometry
from diffusion_geodesics.manifold import Flat
from diffusion_geodesics.path import GreatArc, Line
from diffusion_geodesics.video.statistics import (
    FRACTIONS,
    Bends,
    Statistics,
    bends,
    metric_length,
    statistics,
)
from tests.video.scenes import SPHERE, density, ends, geometry


def even(count: int) -> Tensor:
    return torch.linspace(0, 1, count, dtype=torch.float64)


def bent(here: Geometry, points: Tensor, half: int = 1) -> Bends:
    return bends(here, points[:, None], here.scores(points)[:, None], SPHERE, half)


def test_a_geodesic_is_one_and_a_great_arc_is_not() -> None:
    start, end = ends()
    here = geometry()
    solution = geodesic(here.score, start, end, alpha=here.alpha, manifold=SPHERE, tol=1e-6)
    rho: list[float] = []
    for count in (17, 33):
        found = bent(here, solution.path(even(count)))
        rho.append(float((found.wrong.square().sum() / found.asked.square().sum()).sqrt()))
    assert rho[1] < 0.02
    assert rho[1] < 0.5 * rho[0]
    arc = GreatArc(start, end)(even(33))
    found = bent(here, arc)
    assert float(found.residual.mean()) == pytest.approx(1.0, abs=0.05)
    assert_close(bent(here, arc.flip(0)).residual.flip(0), found.residual)


def test_without_strength_a_great_arc_is_a_geodesic() -> None:
    found = bent(geometry(0.0), GreatArc(*ends())(even(33)))
    assert float(found.residual.max()) < 0.05


def test_the_angle_is_between_the_accelerations_that_are_and_that_are_asked_for() -> None:
    """A curve that bends as a geodesic does has 0°, one that bends the other way 180°."""
    here, (start, end) = geometry(), ends()
    solution = geodesic(here.score, start, end, alpha=here.alpha, manifold=SPHERE, tol=1e-6)
    path, arc = solution.path(even(33)), GreatArc(start, end)(even(33))
    assert float(bent(here, path).angle.mean()) < 5
    other = SPHERE.project(2 * arc - path)
    assert float(bent(here, other).angle[8:-8].mean()) > 150


def test_points_that_stand_still_have_no_bend() -> None:
    arc = GreatArc(*ends())(even(17))
    still = torch.cat([arc[:8], arc[8:9].expand(4, -1), arc[9:]])
    found = bent(geometry(), still)
    assert torch.isnan(found.residual[:, 0]).nonzero()[:, 0].tolist() == [8, 9]
    assert bool(torch.isfinite(found.angle[:8]).all())


def test_the_metric_length_of_a_line_in_an_exponential_density_is_exact() -> None:
    """p = e^x on a unit line: ∫ e^(-α (x - ½)) dx = 2 sinh(α/2) / α."""
    x = even(2001)[:, None]
    length = metric_length(x, x[:, 0], 0.8, Flat())
    assert float(length) == pytest.approx(2 * math.sinh(0.4) / 0.8, rel=1e-6)
    arc = GreatArc(*ends())(even(9))
    total = SPHERE.radius * math.acos(float((arc[0] * arc[-1]).sum()) / 9)
    found = metric_length(arc, torch.zeros(9).double(), 1.0, SPHERE)
    assert float(found) == pytest.approx(total, rel=1e-9)


def measured(points: Tensor, here: Geometry, strength_zero_arc: Tensor) -> Statistics:
    return statistics(
        here,
        points,
        here.scores(points),
        strength_zero_arc,
        metric_length(
            strength_zero_arc, torch.zeros(strength_zero_arc.shape[:2]).double(), 0.0, SPHERE
        ),
        manifold=SPHERE,
        half=1,
    )


def test_every_statistic_of_a_great_arc_without_strength_is_known() -> None:
    here, arc = geometry(0.0), GreatArc(*(x[None] for x in ends()))
    points = arc(even(17))
    found = measured(points, here, arc(even(FRACTIONS)))
    assert float(found.length) == pytest.approx(1, rel=1e-9)
    assert float(found.deviation) < 1e-3
    assert float(found.greatest) < 1e-3
    steps = points[:, 0].diff(dim=0).norm(dim=-1)
    assert float(found.speed) == pytest.approx(float(steps.mean()), rel=1e-9)
    assert float(found.variation) == pytest.approx(0, abs=1e-6)
    log_p = density().log_prob(torch.zeros(17), points[:, 0])
    inside = log_p[6:11].mean() - 0.5 * (log_p[0] + log_p[-1])
    assert float(found.middle) == pytest.approx(float(inside), abs=1e-6)
    energy = here.noise_energy(here.scores(points[:, 0]))
    expected = float(energy.min() / energy[[0, -1]].min())
    assert float(found.energy) == pytest.approx(expected, rel=1e-9)


def test_a_detour_deviates_by_its_height() -> None:
    """A tent over a chord: the heights at equal shares of both lengths are its own."""
    chord, height = 2.0, 0.5
    t = even(FRACTIONS)
    side = math.hypot(chord / 2, height)
    tent = torch.stack([chord * t, height * (1 - (2 * t - 1).abs())], 1)[:, None]
    line = Line(tent[0], tent[-1])(t)
    here = geometry(0.0, 2)
    found = statistics(
        here,
        tent,
        here.scores(tent),
        line,
        torch.tensor([chord], dtype=torch.float64),
        manifold=Flat(),
        half=1,
    )
    assert float(found.length) == pytest.approx(2 * side / chord, rel=1e-9)
    assert float(found.greatest) == pytest.approx(height / chord, rel=1e-9)
    heights = tent[:, 0, 1].square().mean().sqrt()
    assert float(found.deviation) == pytest.approx(float(heights) / chord, rel=1e-9)


def test_windows_are_measured_as_one_by_one() -> None:
    here = geometry()
    generator = torch.Generator().manual_seed(3)
    points = SPHERE.project(torch.randn(9, 4, 6, generator=generator, dtype=torch.float64))
    arcs = GreatArc(points[0], points[-1])(even(FRACTIONS))
    every = measured(points, here, arcs)
    for k in range(4):
        one = measured(points[:, k : k + 1], here, arcs[:, k : k + 1])
        for name in Statistics.names():
            assert_close(getattr(every, name)[k : k + 1], getattr(one, name), equal_nan=True)
