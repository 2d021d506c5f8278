"""What every connection and every metric must do."""

from dataclasses import dataclass

import torch
from scipy.integrate import solve_ivp
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.density import Density
from diffusion_geodesics.manifold import Manifold
from diffusion_geodesics.metric import ConformalMetric, Connection, Metric, Weight


@dataclass(frozen=True)
class ConnectionCase:
    """A connection, the metric it should come from, and points and velocities (n, dim);
    ``reference`` is the log density that theirs counts from."""

    name: str
    connection: Connection
    metric: Metric
    x: Tensor
    v: Tensor
    reference: float = 0.0

    @property
    def t(self) -> Tensor:
        return torch.full_like(self.x[:, 0], 0.4)


def connection_case(
    name: str,
    density: Density,
    alpha: float | Weight,
    manifold: Manifold,
    x: Tensor,
    v: Tensor,
    *,
    score_only: bool,
    reference: float = 0.0,
) -> ConnectionCase:
    """The conformal connection or metric of a density at given points."""
    x = manifold.project(x)
    metric = ConformalMetric(density, alpha, manifold, reference)
    connection = metric.connection if score_only else metric
    return ConnectionCase(name, connection, metric, x, manifold.to_tangent(x, v), reference)


def christoffel_acceleration(metric: Metric, t: Tensor, x: Tensor, v: Tensor) -> Tensor:
    """Acceleration of the affinely parametrised geodesic from one point, from derivatives of the
    inner product: -Γ(v, v) in the chart φ(u) = project(x + E u), carried back to flat space."""
    identity = torch.eye(len(x), dtype=x.dtype, device=x.device)
    tangent = metric.manifold.to_tangent(x.expand(len(x), -1), identity)
    columns, size, _ = torch.linalg.svd(tangent)
    basis = columns[:, size > 0.5]

    def chart(u: Tensor) -> Tensor:
        return metric.manifold.project(x + basis @ u)

    def gram(u: Tensor) -> Tensor:
        slope = torch.autograd.functional.jacobian(chart, u, create_graph=True)
        assert isinstance(slope, Tensor)
        n = slope.shape[1]
        point = chart(u).expand(n, n, -1)
        left, right = slope.T[:, None].expand(n, n, -1), slope.T[None].expand(n, n, -1)
        return metric.inner(t.expand(n, n), point, left, right)

    origin = basis.new_zeros(basis.shape[1])
    g = gram(origin).detach()
    slope = torch.autograd.functional.jacobian(gram, origin)
    assert isinstance(slope, Tensor)
    w = basis.T @ v
    first = torch.einsum("ijk,j,k->i", slope, w, w) - 0.5 * torch.einsum("jki,j,k->i", slope, w, w)
    bend = -torch.linalg.solve(g, first)
    dphi = torch.autograd.functional.jacobian(chart, origin)
    assert isinstance(dphi, Tensor)
    ddphi = torch.func.jacrev(torch.func.jacrev(chart))(origin)
    return dphi @ bend + torch.einsum("ijk,j,k->i", ddphi, w, w)


def across(a: Tensor, v: Tensor) -> Tensor:
    """The part of a that is orthogonal to v."""
    return a - (a * v).sum(-1, keepdim=True) / v.square().sum(-1, keepdim=True) * v


def assert_angular_momentum_is_conserved(metric: Metric) -> None:
    """Rotations about the mean are isometries, so g(v, Ωx)/|v|_g is constant along geodesics,
    whatever their parameter."""
    t = torch.zeros(1, dtype=torch.float64)

    def slope(_: float, state: list[float]) -> list[float]:
        x, v = torch.tensor(state[:2]).double()[None], torch.tensor(state[2:]).double()[None]
        return [*state[2:], *metric.acceleration(t, x, v)[0].tolist()]

    found = solve_ivp(
        slope, (0, 1.5), [1.3, 0.2, -0.6, 1.0], rtol=1e-9, atol=1e-10, t_eval=[0, 1.5]
    )
    x, v = (torch.from_numpy(part.T.copy()) for part in (found.y[:2], found.y[2:]))
    turn = torch.stack([-x[:, 1], x[:, 0]], -1)
    times = t.expand(len(x))
    momentum = metric.inner(times, x, v, turn) / metric.inner(times, x, v, v).sqrt()
    assert_close(momentum[1], momentum[0], rtol=1e-7, atol=0)
    assert (x[1] - x[0]).norm() > 0.5


class ConnectionSuite:
    """Subclasses provide the fixture ``case``."""

    def test_acceleration_is_that_of_the_metric(self, case: ConnectionCase):
        """Up to the speed along the curve, which the solver chooses: P_perp."""
        got = case.connection.acceleration(case.t, case.x, case.v)
        for i in range(len(case.x)):
            expected = christoffel_acceleration(case.metric, case.t[i], case.x[i], case.v[i])
            assert_close(
                across(got[i], case.v[i]), across(expected, case.v[i]), rtol=1e-8, atol=1e-9
            )

    def test_euclidean_speed_is_constant(self, case: ConnectionCase):
        along = (case.connection.acceleration(case.t, case.x, case.v) * case.v).sum(-1)
        assert_close(along, torch.zeros_like(along), rtol=0, atol=1e-9)

    def test_curves_stay_on_the_manifold(self, case: ConnectionCase):
        a = case.connection.acceleration(case.t, case.x, case.v)
        own = case.connection.manifold.acceleration(case.x, case.v)
        assert_close(case.connection.manifold.to_tangent(case.x, a - own), a - own)

    def test_acceleration_is_quadratic_in_velocity(self, case: ConnectionCase):
        one = case.connection.acceleration(case.t, case.x, case.v)
        assert_close(case.connection.acceleration(case.t, case.x, -3 * case.v), 9 * one)

    def test_zero_velocity_is_finite(self, case: ConnectionCase):
        a = case.connection.acceleration(case.t, case.x, torch.zeros_like(case.v))
        assert_close(a, torch.zeros_like(a))

    def test_a_batch_is_a_loop(self, case: ConnectionCase):
        together = case.connection.field(case.t, case.x, case.v)
        for i in range(len(case.x)):
            one = case.connection.field(case.t[i : i + 1], case.x[i : i + 1], case.v[i : i + 1])
            assert_close(one.acceleration[0], together.acceleration[i])
            assert_close(one.score[0], together.score[i])
            assert_close(one.shift[0], together.shift[i])
            assert_close(one.advection[0], together.advection[i])

    def test_speed_is_the_norm_of_the_metric(self, case: ConnectionCase):
        score = case.connection.field(case.t, case.x, case.v).score
        density = case.connection.score
        assert isinstance(density, Density)
        log_density = density.log_prob(case.t, case.x) - case.reference
        speed = case.connection.speed(case.v, score, log_density)
        assert_close(speed**2, case.metric.inner(case.t, case.x, case.v, case.v))

    def test_a_given_log_density_takes_the_place_of_the_density(self, case: ConnectionCase):
        density = case.connection.score
        assert isinstance(density, Density)
        own = case.connection.field(case.t, case.x, case.v)

        def known(score: Tensor) -> Tensor:
            assert_close(score, own.score)
            return density.log_prob(case.t, case.x) - case.reference

        given = case.connection.field(case.t, case.x, case.v, known)
        for name in ("score", "acceleration", "shift", "advection"):
            assert_close(getattr(given, name), getattr(own, name))

    def test_a_scale_free_geometry_needs_no_log_density(self, case: ConnectionCase):
        def other(score: Tensor) -> Tensor:
            return torch.full_like(score[..., 0], -5.0)

        own = case.connection.acceleration(case.t, case.x, case.v)
        shifted = case.connection.acceleration(case.t, case.x, case.v, other)
        if case.connection.scale_free:
            assert_close(shifted, own)
        else:
            assert (shifted - own).abs().max() > 1e-3

    def test_single_precision(self, case: ConnectionCase):
        exact = case.connection.field(case.t, case.x, case.v)
        single = case.connection.field(case.t.float(), case.x.float(), case.v.float())
        assert single.acceleration.dtype == torch.float32
        assert_close(single.acceleration.double(), exact.acceleration, rtol=1e-3, atol=1e-3)

    def test_calibration_keeps_the_geometry(self, case: ConnectionCase):
        path = torch.stack([case.x, case.x + 0.1 * case.v, case.x + 0.2 * case.v])
        calibrated, cost = case.connection.calibrated(
            torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64), path
        )
        assert cost in (0, 2 * len(case.x))
        assert_close(
            calibrated.acceleration(case.t, case.x, case.v),
            case.connection.acceleration(case.t, case.x, case.v),
        )
        assert calibrated.calibrated(case.t[:3], path)[1] == 0


class MetricSuite(ConnectionSuite):
    """Metrics have an inner product as well; their connection is their own."""

    def test_inner_is_symmetric_and_positive(self, case: ConnectionCase):
        u = case.metric.manifold.to_tangent(case.x, torch.roll(case.v, 1, 0) + case.x)
        inner = case.metric.inner
        assert_close(inner(case.t, case.x, u, case.v), inner(case.t, case.x, case.v, u))
        assert (inner(case.t, case.x, u, u) > 0).all()
        product = inner(case.t, case.x, u, case.v) ** 2
        bound = inner(case.t, case.x, u, u) * inner(case.t, case.x, case.v, case.v)
        assert (product <= bound * (1 + 1e-12)).all()

    def test_inner_is_linear(self, case: ConnectionCase):
        u, w, inner = torch.roll(case.v, 1, 0), case.x, case.metric.inner
        assert_close(
            inner(case.t, case.x, 2 * u - 3 * w, case.v),
            2 * inner(case.t, case.x, u, case.v) - 3 * inner(case.t, case.x, w, case.v),
        )
