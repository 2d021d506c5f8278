"""Typicality: the typical shell as a manifold, and the monitors of every solution."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import diffusion_geodesics as dg
from diffusion_geodesics.manifold import SpaceForm, TypicalShell, angle_between
from tests.exact import Counting, vector

DIM, SIGMA = 64, 0.7
RADIUS = SIGMA * math.sqrt(DIM)


def _points(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, DIM, generator=generator, dtype=torch.float64)


MEAN = _points(1, 7)[0]
GAUSSIAN = dg.Gaussian(MEAN, SIGMA)
MIXTURE = dg.GaussianMixture(torch.stack([MEAN, MEAN + 0.6 * _points(1, 8)[0]]), SIGMA)


@pytest.mark.parametrize("scale", [0.01, 0.3, 0.7, 5.0, 100.0])
def test_shell_of_a_gaussian_is_a_sphere(scale: float):
    """Reached to 1e-10 with two evaluations a point, along the radius."""
    shell = TypicalShell(GAUSSIAN, SIGMA)
    away = scale * _points(5)
    x = shell.project(MEAN + away)
    assert shell.spent[0] <= 3 * 5
    expected = MEAN + away * (RADIUS / away.norm(dim=-1, keepdim=True))
    assert_close(x, expected, rtol=1e-9, atol=1e-9)
    assert float((shell.energy(x) - 1).abs().max()) < 1e-10


def test_projection_onto_the_shell_of_a_mixture():
    score = Counting(MIXTURE)
    shell = TypicalShell(score, SIGMA)
    x = shell.project(MEAN + _points(20))
    assert shell.spent == (score.rows, score.calls)
    assert score.calls <= 6
    assert float((shell.energy(x) - 1).abs().max()) < 1e-10


def test_a_point_of_the_shell_stays():
    shell = TypicalShell(MIXTURE, SIGMA)
    x = shell.project(MEAN + _points(5))
    assert_close(shell.project(x), x, rtol=0, atol=0)


def test_tangents_are_normal_to_the_gradient_of_the_energy():
    shell = TypicalShell(MIXTURE, SIGMA)
    x = shell.project(MEAN + 0.3 * _points(4) + 0.3 * _points(1, 8)).requires_grad_()
    energy = SIGMA * MIXTURE(torch.zeros(()), x).norm(dim=-1) / math.sqrt(DIM)
    (gradient,) = torch.autograd.grad(energy.sum(), x)
    gradient = gradient / gradient.norm(dim=-1, keepdim=True)
    v = _points(4, 3)
    tangent = shell.to_tangent(x.detach(), v)
    assert_close((tangent * gradient).sum(-1), torch.zeros(4).double(), rtol=0, atol=1e-5)
    assert_close(tangent, v - (v * gradient).sum(-1, keepdim=True) * gradient, rtol=0, atol=1e-4)


def test_normals_of_the_same_points_are_computed_once():
    shell = TypicalShell(MIXTURE, SIGMA)
    x = MEAN + _points(3)
    shell.to_tangent(x, _points(3, 1))
    first = shell.spent
    shell.to_tangent(x.clone(), _points(3, 2))
    assert shell.spent == first == (6, 2)


def test_geodesics_of_the_shell_of_a_gaussian_are_great_circles():
    """The density is constant there: only the shell's own geometry is left."""
    score = Counting(GAUSSIAN)
    shell = TypicalShell(score, SIGMA)
    start, end = shell.project(MEAN + _points(2))
    score.rows = score.calls = 0
    connection = dg.Conformal(score, 0.02, shell)
    solution = dg.solve_bvp(connection, dg.PreconditionedFlow(), dg.Line(start, end))
    angle = float(angle_between(start - MEAN, end - MEAN))
    assert float(solution.length) == pytest.approx(RADIUS * angle, rel=1e-5)
    assert (solution.score_evals, solution.calls) == (score.rows, score.calls)
    assert solution.noise_energy is not None
    assert_close(solution.noise_energy, torch.ones(65).double(), rtol=0, atol=1e-4)
    assert solution.warnings == ()


def test_geodesic_of_a_mixture_on_its_shell_keeps_its_noise():
    shell = TypicalShell(MIXTURE, SIGMA)
    start, end = shell.project(MEAN + _points(2))
    line = dg.Line(start, end)
    kept = dg.solve_bvp(dg.Conformal(MIXTURE, 0.02, shell), dg.PreconditionedFlow(), line)
    free = dg.geodesic(MIXTURE, start, end, alpha=0.02)
    assert kept.noise_energy is not None
    assert free.noise_energy is not None
    assert float(kept.noise_energy.min()) > 0.999
    assert float(free.noise_energy.min()) < 0.8
    assert float(kept.length) > float(free.length)
    assert float(kept.gain) < 1e-2 + float(free.gain)
    assert any("typical set" in w for w in free.warnings)


def test_the_shell_claims_no_closed_form():
    assert isinstance(dg.Flat(), SpaceForm)
    assert isinstance(dg.Sphere(), SpaceForm)
    assert not isinstance(TypicalShell(GAUSSIAN, SIGMA), SpaceForm)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.inf, math.nan])
def test_bad_sigma(sigma: float):
    with pytest.raises(ValueError, match="positive finite"):
        TypicalShell(GAUSSIAN, sigma)


def test_monitors_of_a_solution():
    density = dg.Gaussian([0.0, 0.0])
    solution = dg.geodesic(density, [1.5, 0.0], [-0.7, 1.2], alpha=0.3)
    points = solution.path(solution.t)
    assert_close(solution.norm, points.norm(dim=-1))
    assert_close(solution.noise_energy, points.norm(dim=-1) / math.sqrt(2))
    best = -0.5 * points.square().sum(-1).min()
    denser = -0.5 * min(1.5**2, 0.7**2 + 1.2**2)
    assert float(solution.gain) == pytest.approx(float(best) - denser, rel=1e-6)


def test_no_noise_level_no_energy():
    solution = dg.geodesic(lambda x: -x, [1.5, 0.0], [0.0, 1.5], alpha=0.3)
    assert solution.noise_energy is None
    assert solution.warnings == ()


def test_gain_is_never_negative():
    """A path along which the density falls from one end to the other."""
    solution = dg.geodesic(dg.HalfPlane(), vector(0, 1), vector(0, 2))
    assert float(solution.gain) == pytest.approx(0, abs=1e-12)
