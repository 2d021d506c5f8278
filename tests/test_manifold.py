"""Flat space, spheres and typical shells: projections, tangents, exponential and logarithm."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.bvp import BoundaryProblem, PreconditionedFlow, solve_bvp
from diffusion_geodesics.density import Gaussian, GaussianMixture
from diffusion_geodesics.geodesics import geodesic
from diffusion_geodesics.manifold import Flat, SpaceForm, Sphere, TypicalShell, angle_between
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.path import Line
from tests.conformance.manifold import ManifoldCase, ManifoldSuite
from tests.exact import Counting, vector


def _vectors(dim: int) -> Tensor:
    generator = torch.Generator().manual_seed(dim)
    return torch.randn(4, 8, dim, generator=generator, dtype=torch.float64)


CASES = [
    ManifoldCase("flat, 2-d", Flat(), _vectors(2)),
    ManifoldCase("flat, 50-d", Flat(), _vectors(50)),
    ManifoldCase("circle", Sphere(), _vectors(2)),
    ManifoldCase("sphere, 3-d", Sphere(2.5), _vectors(3)),
    ManifoldCase("sphere, 64-d", Sphere(8.0), _vectors(64)),
    ManifoldCase("small sphere", Sphere(1e-3), _vectors(5)),
]


class TestManifolds(ManifoldSuite):
    @pytest.fixture(params=CASES, ids=lambda c: c.name)
    def case(
        self, request: pytest.FixtureRequest, device: torch.device, dtype: torch.dtype
    ) -> ManifoldCase:
        case = request.param
        return ManifoldCase(case.name, case.manifold, case.vectors.to(device, dtype))


@given(st.floats(1e-9, math.pi - 1e-9), st.floats(0.1, 10), st.floats(0.1, 10))
def test_angle(angle: float, a: float, b: float):
    x = vector(a, 0)
    y = b * vector(math.cos(angle), math.sin(angle))
    assert float(angle_between(x, y)) == pytest.approx(angle, rel=1e-12, abs=1e-15)


def test_angles_near_zero_and_pi_keep_their_digits():
    for small in (1e-4, 1e-8, 1e-12):
        assert float(angle_between(vector(1, 0), vector(1, small))) == pytest.approx(
            math.atan(small), rel=1e-14
        )
        back = math.pi - float(angle_between(vector(1, 0), vector(-1, small)))
        assert back == pytest.approx(math.atan(small), abs=1e-15)


def test_angle_of_a_zero_vector():
    assert float(angle_between(vector(0, 0), vector(1, 0))) == 0


def test_great_circle_closes():
    x, v = vector(2, 0, 0), vector(0, 4 * math.pi, 0)
    assert_close(Sphere(2.0).exp(x, v), x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("radius", [0.0, -1.0, math.inf, math.nan])
def test_bad_radius(radius: float):
    with pytest.raises(ValueError, match="positive finite"):
        Sphere(radius)


DIM, SIGMA = 64, 0.7
RADIUS = SIGMA * math.sqrt(DIM)


def _cloud(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, DIM, generator=generator, dtype=torch.float64)


MEAN = _cloud(1, 7)[0]
GAUSSIAN = Gaussian(MEAN, SIGMA)
MIXTURE = GaussianMixture(torch.stack([MEAN, MEAN + 0.6 * _cloud(1, 8)[0]]), SIGMA)


@pytest.mark.parametrize("scale", [0.01, 0.3, 0.7, 5.0, 100.0])
def test_shell_of_a_gaussian_is_a_sphere(scale: float):
    """Reached to 1e-10 with two evaluations a point, along the radius."""
    shell = TypicalShell(GAUSSIAN, SIGMA)
    away = scale * _cloud(5)
    x = shell.project(MEAN + away)
    assert shell.spent[0] <= 3 * 5
    expected = MEAN + away * (RADIUS / away.norm(dim=-1, keepdim=True))
    assert_close(x, expected, rtol=1e-9, atol=1e-9)
    assert float((shell.energy(x) - 1).abs().max()) < 1e-10


def test_projection_onto_the_shell_of_a_mixture():
    score = Counting(MIXTURE)
    shell = TypicalShell(score, SIGMA)
    x = shell.project(MEAN + _cloud(20))
    assert shell.spent == (score.nfe, score.batches)
    assert score.batches <= 6
    assert float((shell.energy(x) - 1).abs().max()) < 1e-10


def test_a_point_of_the_shell_stays():
    shell = TypicalShell(MIXTURE, SIGMA)
    x = shell.project(MEAN + _cloud(5))
    assert_close(shell.project(x), x, rtol=0, atol=0)


def test_tangents_are_normal_to_the_gradient_of_the_energy():
    shell = TypicalShell(MIXTURE, SIGMA)
    x = shell.project(MEAN + 0.3 * _cloud(4) + 0.3 * _cloud(1, 8)).requires_grad_()
    energy = SIGMA * MIXTURE(torch.zeros(()), x).norm(dim=-1) / math.sqrt(DIM)
    (gradient,) = torch.autograd.grad(energy.sum(), x)
    gradient = gradient / gradient.norm(dim=-1, keepdim=True)
    v = _cloud(4, 3)
    tangent = shell.to_tangent(x.detach(), v)
    assert_close((tangent * gradient).sum(-1), torch.zeros(4).double(), rtol=0, atol=1e-5)
    assert_close(tangent, v - (v * gradient).sum(-1, keepdim=True) * gradient, rtol=0, atol=1e-4)


def test_normals_of_the_same_points_are_computed_once():
    shell = TypicalShell(MIXTURE, SIGMA)
    x = MEAN + _cloud(3)
    shell.to_tangent(x, _cloud(3, 1))
    first = shell.spent
    shell.to_tangent(x.clone(), _cloud(3, 2))
    assert shell.spent == first == (6, 2)


def test_geodesics_of_the_shell_of_a_gaussian_are_great_circles():
    """The density is constant there: only the shell's own geometry is left."""
    score = Counting(GAUSSIAN)
    shell = TypicalShell(score, SIGMA)
    start, end = shell.project(MEAN + _cloud(2))
    score.nfe = score.batches = 0
    connection = Conformal(score, 0.02, shell)
    solution = solve_bvp(BoundaryProblem(connection, Line(start, end)), PreconditionedFlow())
    angle = float(angle_between(start - MEAN, end - MEAN))
    assert float(solution.length) == pytest.approx(RADIUS * angle, rel=1e-5)
    assert (solution.nfe, solution.batches) == (score.nfe, score.batches)
    assert solution.noise_energy is not None
    assert_close(solution.noise_energy, torch.ones(65).double(), rtol=0, atol=1e-4)
    assert solution.warnings == ()


def test_geodesic_of_a_mixture_on_its_shell_keeps_its_noise():
    shell = TypicalShell(MIXTURE, SIGMA)
    start, end = shell.project(MEAN + _cloud(2))
    line = Line(start, end)
    kept = solve_bvp(BoundaryProblem(Conformal(MIXTURE, 0.02, shell), line), PreconditionedFlow())
    free = geodesic(MIXTURE, start, end, alpha=0.02)
    assert kept.noise_energy is not None
    assert free.noise_energy is not None
    assert float(kept.noise_energy.min()) > 0.999
    assert float(free.noise_energy.min()) < 0.8
    assert float(kept.length) > float(free.length)
    assert float(kept.gain) < 1e-2 + float(free.gain)
    assert any("typical set" in w for w in free.warnings)


def test_the_shell_claims_no_closed_form():
    assert isinstance(Flat(), SpaceForm)
    assert isinstance(Sphere(), SpaceForm)
    assert not isinstance(TypicalShell(GAUSSIAN, SIGMA), SpaceForm)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.inf, math.nan])
def test_bad_sigma(sigma: float):
    with pytest.raises(ValueError, match="positive finite"):
        TypicalShell(GAUSSIAN, sigma)
