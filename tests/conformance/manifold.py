"""What every manifold must do."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.manifolds import SpaceForm


@dataclass(frozen=True)
class ManifoldCase:
    """A manifold and any vectors of its flat space, shape (4, n, dim)."""

    name: str
    manifold: SpaceForm
    vectors: Tensor

    @property
    def x(self) -> Tensor:
        return self.manifold.project(self.vectors[0])

    @property
    def y(self) -> Tensor:
        return self.manifold.project(self.vectors[1])

    @property
    def v(self) -> Tensor:
        """Tangent vectors at ``x`` that stay well inside the cut locus."""
        v = self.manifold.to_tangent(self.x, self.vectors[2])
        v = v / v.norm(dim=-1, keepdim=True)
        return v * torch.linspace(0.01, 3.0, len(v)).to(v)[:, None] * self.scale

    @property
    def scale(self) -> float:
        c = self.manifold.curvature
        return 1 / math.sqrt(c) if c else 1.0


class ManifoldSuite:
    """Subclasses provide the fixture ``case``."""

    def test_keeps_shape_and_dtype(self, case: ManifoldCase):
        x, y, v, m = case.x.float(), case.y.float(), case.v.float(), case.manifold
        results = m.project(x), m.to_tangent(x, v), m.acceleration(x, v), m.exp(x, v), m.log(x, y)
        for value in results:
            assert (value.shape, value.dtype) == (x.shape, torch.float32)

    def test_projection_is_idempotent(self, case: ManifoldCase):
        assert_close(case.manifold.project(case.x), case.x)

    def test_projection_is_the_nearest_point(self, case: ManifoldCase):
        away = case.vectors[0]
        nearest = (away - case.x).norm(dim=-1)
        for other in (case.y, case.manifold.exp(case.x, case.v)):
            assert (nearest <= (away - other).norm(dim=-1) + 1e-12).all()

    def test_tangent_projection_is_orthogonal(self, case: ManifoldCase):
        u, w = case.vectors[2], case.vectors[3]
        tangent = case.manifold.to_tangent(case.x, u)
        assert_close(case.manifold.to_tangent(case.x, tangent), tangent)
        dot = ((u - tangent) * case.manifold.to_tangent(case.x, w)).sum(-1)
        assert_close(dot, torch.zeros_like(dot), atol=1e-9 * case.scale, rtol=0)

    def test_exp_stays_on_the_manifold(self, case: ManifoldCase):
        for factor in (1e-9, 1.0, 50.0):
            y = case.manifold.exp(case.x, factor * case.v)
            assert_close(case.manifold.project(y), y, rtol=1e-10, atol=1e-10 * case.scale)

    def test_exp_starts_with_the_velocity(self, case: ManifoldCase):
        assert_close(case.manifold.exp(case.x, torch.zeros_like(case.v)), case.x)
        h = 1e-6
        slope = (case.manifold.exp(case.x, h * case.v) - case.manifold.exp(case.x, -h * case.v)) / (
            2 * h
        )
        assert_close(slope, case.v, rtol=1e-6, atol=1e-6 * case.scale)

    def test_log_inverts_exp(self, case: ManifoldCase):
        v = case.manifold.log(case.x, case.manifold.exp(case.x, case.v))
        assert_close(v, case.v, rtol=1e-10, atol=1e-10 * case.scale)

    def test_exp_inverts_log(self, case: ManifoldCase):
        v = case.manifold.log(case.x, case.y)
        assert_close(case.manifold.to_tangent(case.x, v), v)
        assert_close(case.manifold.exp(case.x, v), case.y, rtol=1e-10, atol=1e-10 * case.scale)

    def test_log_is_a_shortest_way(self, case: ManifoldCase):
        there = case.manifold.log(case.x, case.y).norm(dim=-1)
        assert_close(there, case.manifold.log(case.y, case.x).norm(dim=-1))
        straight = (case.x - case.y).norm(dim=-1)
        assert (there >= straight * (1 - 1e-12)).all()
        assert (there <= straight * math.pi / 2 + 1e-9).all()

    def test_acceleration_is_that_of_exp(self, case: ManifoldCase):
        x, v, m = case.x, case.v, case.manifold

        def at(t: float) -> Tensor:
            return m.exp(x, t * v)

        for time in (0.3, 1.0):
            point, velocity, acceleration = differences(at, time)
            assert_close(
                m.acceleration(point, velocity), acceleration, rtol=1e-6, atol=1e-6 * case.scale
            )

    def test_identical_points(self, case: ManifoldCase):
        assert_close(case.manifold.log(case.x, case.x), torch.zeros_like(case.x))

    def test_nearby_points_keep_their_digits(self, case: ManifoldCase):
        v = case.v * 1e-7
        back = case.manifold.log(case.x, case.manifold.exp(case.x, v))
        assert_close(back, v, rtol=1e-6, atol=1e-15 * case.scale)

    def test_opposite_points_are_finite(self, case: ManifoldCase):
        v = case.manifold.log(case.x, -case.x)
        assert torch.isfinite(v).all()
        assert_close(case.manifold.exp(case.x, v), -case.x, rtol=1e-9, atol=1e-9 * case.scale)
        assert_close(case.manifold.log(case.x, -case.x), v, rtol=0, atol=0)
        almost = case.manifold.project(-case.x + 1e-9 * case.scale * case.vectors[3])
        v = case.manifold.log(case.x, almost)
        assert_close(case.manifold.exp(case.x, v), almost, rtol=1e-9, atol=1e-9 * case.scale)


def differences(curve: Callable[[float], Tensor], t: float, h: float = 1e-2) -> tuple[Tensor, ...]:
    """Point, first and second derivative of a smooth curve, by differences of fourth order."""
    a, b, c, d, e = (curve(t + k * h) for k in (-2, -1, 0, 1, 2))
    return c, (a - 8 * b + 8 * d - e) / (12 * h), (-a + 16 * b - 30 * c + 16 * d - e) / (12 * h**2)
