"""What every integrator must do, on geodesics that are known exactly."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.density import Gaussian, HalfPlane, VonMisesFisher
from diffusion_geodesics.ivp import Integrator, Ray, solve_ivp
from diffusion_geodesics.manifold import Sphere
from diffusion_geodesics.metric import Conformal
from tests.exact import Counting, GaussianEach, Wall, vector

SEMICIRCLE = vector(1, 1) * (math.pi / 2)
"""Velocity of the half-plane geodesic from (-1, 1) to (1, 1)."""

SPHERE = Sphere(1.0)


@dataclass(frozen=True)
class IntegratorCase:
    """An integrator, its errors' bound on easy problems, and versions of growing accuracy that
    take steps of h, h/2, h/4 (none where steps are adaptive)."""

    integrator: Integrator
    accuracy: float
    finer: tuple[Integrator, ...] = ()


def semicircle(integrator: Integrator, growth: bool = True, error: bool = True) -> Ray:
    """The half-plane geodesic from (-1, 1) over (0, √2) to (1, 1)."""
    connection = Conformal(HalfPlane())
    return solve_ivp(
        connection, vector(-1, 1), SEMICIRCLE, integrator=integrator, growth=growth, error=error
    )


def on_sphere(integrator: Integrator) -> Ray:
    """A geodesic of a von Mises-Fisher density."""
    connection = Conformal(VonMisesFisher([0.0, 0.0, 1.0], 1.0), 1.0, SPHERE)
    start, velocity = vector(0.6, 0, 0.8), vector(0.3, 1.1, 0.2)
    return solve_ivp(connection, start, velocity, integrator=integrator, growth=False, error=False)


class IntegratorSuite:
    """Subclasses provide the fixture ``case``, of scope ``class``."""

    @pytest.fixture(scope="class")
    @classmethod
    def ray(cls, case: IntegratorCase) -> Ray:
        return semicircle(case.integrator)

    def test_ends_where_the_semicircle_ends(self, case: IntegratorCase, ray: Ray):
        assert float((ray.end - vector(1, 1)).norm()) < case.accuracy
        assert float(ray.length) == pytest.approx(math.acosh(3), abs=3 * case.accuracy)
        assert abs(float(ray.log_density[-1])) < 3 * case.accuracy
        assert_close(
            ray.end_velocity, vector(1, -1) * (math.pi / 2), rtol=0, atol=9 * case.accuracy
        )

    def test_observed_order(self, case: IntegratorCase):
        if not case.finer:
            pytest.skip("steps are adaptive")
        errors = [
            float((semicircle(i, growth=False, error=False).end - vector(1, 1)).norm())
            for i in case.finer
        ]
        orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
        assert orders[-1] == pytest.approx(case.integrator.order, abs=0.35)

    def test_error_estimate_is_honest(self, ray: Ray):
        wrong = float((ray.end - vector(1, 1)).norm())
        assert 0.3 * wrong < float(ray.error) < 1000 * max(wrong, 1e-15)

    def test_speed_and_sphere_hold_to_rounding(self, case: IntegratorCase):
        ray = on_sphere(case.integrator)
        speed = ray.velocities.norm(dim=-1)
        assert_close(speed, speed[:1].expand_as(speed), rtol=1e-13, atol=0)
        assert_close(ray.nodes.norm(dim=-1), torch.ones_like(speed), rtol=0, atol=1e-14)
        assert float((ray.nodes * ray.velocities).sum(-1).abs().max()) < 1e-14

    def test_path_passes_the_nodes(self, case: IntegratorCase, ray: Ray):
        t = torch.linspace(0, 1, 41, dtype=torch.float64)
        assert float((ray.path(t).norm(dim=-1) - math.sqrt(2)).abs().max()) < 2e-6 + case.accuracy
        assert_close(ray.path(t, 1)[[0, -1]], ray.velocities[[0, -1]])

    def test_angular_momentum_of_a_gaussian(self, case: IntegratorCase):
        """|x ∧ v| p^-α is conserved on geodesics of a density that depends on |x| only."""
        connection = Conformal(Gaussian([0.0, 0.0]), 0.5)
        ray = solve_ivp(
            connection,
            vector(1.5, 0),
            vector(-0.6, 1.2),
            integrator=case.integrator,
            growth=False,
            error=False,
        )
        x, v = ray.nodes[-1], ray.velocities[-1]
        momentum = (x[0] * v[1] - x[1] * v[0]) * torch.exp(-0.5 * ray.log_density[-1])
        assert float(momentum) == pytest.approx(1.8, abs=30 * case.accuracy)

    def test_a_batch_is_a_loop(self, case: IntegratorCase):
        x = torch.tensor([[1.0, 0.2, 0.1], [0.4, -1.0, 0.3]], dtype=torch.float64)
        v = torch.tensor([[0.2, 0.9, 0.0], [1.0, 0.1, -0.4]], dtype=torch.float64)
        density = GaussianEach(torch.tensor([[0.1, 0.0, 0.2], [0.0, 0.3, 0.0]]).double())
        both = solve_ivp(Conformal(density), x, v, integrator=case.integrator, error=False)
        for i in range(2):
            part = density.select(torch.tensor([i]))
            connection = Conformal(part)
            one = solve_ivp(connection, x[i], v[i], integrator=case.integrator, error=False)
            assert_close(both.end[i], one.end)
            assert_close(both.length[i], one.length)
            assert_close(both.growth[i], one.growth, rtol=1e-6, atol=0)

    def test_single_precision(self, case: IntegratorCase):
        connection = Conformal(HalfPlane())
        x, v = (y.float() for y in (vector(-1, 1), SEMICIRCLE))
        ray = solve_ivp(connection, x, v, integrator=case.integrator, error=False)
        assert ray.end.dtype == torch.float32
        assert ray.result.ok
        assert float((ray.end - vector(1, 1)).norm()) < case.accuracy + 2e-5
        assert float(ray.growth) == pytest.approx(
            math.sinh(math.acosh(3)) / float(ray.arc), rel=0.05
        )

    def test_without_density_rays_are_great_circles(self, case: IntegratorCase):
        connection = Conformal(VonMisesFisher([0.0, 0.0, 1.0], 1.0), 0.0, SPHERE)
        ray = solve_ivp(
            connection,
            vector(1, 0, 0),
            vector(0, 2.0, 0),
            integrator=case.integrator,
            growth=False,
            error=False,
        )
        assert_close(
            ray.end,
            SPHERE.exp(vector(1, 0, 0), vector(0, 2.0, 0)),
            rtol=0,
            atol=1e-6 + case.accuracy,
        )
        assert float(ray.length) == pytest.approx(2, abs=1e-6 + case.accuracy)

    def test_zero_velocity_stays(self, case: IntegratorCase):
        ray = solve_ivp(
            Conformal(Gaussian([0.0, 0.0])),
            vector(1, 2),
            vector(0, 0),
            integrator=case.integrator,
        )
        assert_close(ray.end, vector(1, 2))
        assert float(ray.length) == 0
        assert float(ray.growth) == 1

    def test_cost_is_counted(self, case: IntegratorCase):
        score = Counting(Gaussian([0.0, 0.0]))
        x = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]], dtype=torch.float64)
        ray = solve_ivp(Conformal(score), x, torch.ones_like(x), integrator=case.integrator)
        assert (ray.batches, ray.nfe) == (score.batches, score.nfe)

    def test_a_wall_ends_the_ray(self, case: IntegratorCase):
        ray = solve_ivp(
            Conformal(Wall(1.0)),
            vector(0, 0),
            vector(3, 0.1),
            integrator=case.integrator,
            growth=False,
            error=False,
        )
        assert ray.result.name == "non_finite"
        assert not ray.result.ok
        assert bool(torch.isfinite(ray.nodes).all())
        assert float(ray.end[0]) < 1.2
