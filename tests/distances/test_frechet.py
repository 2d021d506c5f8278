"""Fréchet means: where the centre is known."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.density import Gaussian, HalfPlane
from diffusion_geodesics.distances import frechet_mean
from diffusion_geodesics.distances.frechet import initial_velocity
from diffusion_geodesics.manifold import Sphere
from diffusion_geodesics.path import GreatArc
from tests.exact import vector


def test_flat_space_without_a_density_has_the_arithmetic_mean():
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = vector(1, 2, 3, 0, 1)
    found = frechet_mean(Gaussian([0.0] * 3), x, weights=weights, alpha=0.0, start=x[0])
    assert found.converged
    assert found.iterations == 2
    assert_close(found.point, weights @ x / 7, rtol=1e-9, atol=1e-9)


def test_sphere_without_a_density():
    """Three points at equal angles from an axis, evenly around it: the axis."""
    turn = torch.arange(3, dtype=torch.float64) * 2 * math.pi / 3
    x = torch.stack([0.6 * turn.cos(), 0.6 * turn.sin(), torch.full_like(turn, 0.8)], -1)
    start = Sphere(1.0).project(vector(0.3, 0.1, 1.0))
    found = frechet_mean(Gaussian([0.0] * 3), x, alpha=0.0, manifold=Sphere(1.0), start=start)
    assert found.converged
    assert_close(found.point, vector(0, 0, 1), rtol=0, atol=1e-3)
    assert_close(found.distances, torch.full_like(turn, math.acos(0.8)), rtol=1e-3, atol=0)


def test_two_points_of_the_half_plane_have_the_top_of_the_semicircle():
    found = frechet_mean(HalfPlane(), torch.stack([vector(-1, 0.5), vector(1, 0.5)]))
    assert found.converged
    assert_close(found.point, vector(0, math.sqrt(1.25)), rtol=0, atol=2e-3)
    assert_close(found.distances[0] / found.distances[1], torch.tensor(1.0).double())
    assert found.nfe > 100
    assert found.batches > 1


def test_points_of_a_hyperbolic_circle_have_its_centre():
    """A hyperbolic circle of radius r about (0, 1) is a Euclidean one about (0, cosh r)."""
    r = 0.8
    turn = torch.arange(3, dtype=torch.float64) * 2 * math.pi / 3
    z = math.tanh(r / 2) * torch.polar(torch.ones_like(turn), turn)  # in the disc, by rotation
    w = 1j * (1 + z) / (1 - z)
    x = torch.stack([w.real, w.imag], -1)
    found = frechet_mean(HalfPlane(), x, tol=1e-4)
    assert found.converged
    assert_close(found.point, vector(0, 1), rtol=0, atol=2e-3)
    common = x[:, 1].log().mean().exp()
    assert_close(found.distances * 1 / common, torch.full_like(turn, r), rtol=2e-3, atol=0)


def test_initial_velocities_are_of_high_order():
    path = GreatArc(vector(1, 0), vector(0, 1))
    assert_close(initial_velocity(path), vector(0, math.pi / 2), rtol=1e-8, atol=1e-8)


def test_the_limit_of_iterations_is_reported():
    x = torch.stack([vector(-1, 0.5), vector(1, 0.5)])
    found = frechet_mean(HalfPlane(), x, max_iterations=1)
    assert not found.converged
    assert "max_iterations" in found.reason
    assert found.residual > 1e-3


@pytest.mark.parametrize("weights", [vector(-1, 2), vector(0, 0)])
def test_bad_weights(weights: torch.Tensor):
    with pytest.raises(ValueError, match="got weights"):
        frechet_mean(HalfPlane(), torch.stack([vector(0, 1), vector(0, 2)]), weights=weights)


def test_no_points():
    with pytest.raises(ValueError, match="no points"):
        frechet_mean(HalfPlane(), torch.empty(0, 2, dtype=torch.float64))


SPHERE = Sphere(2.0)


def test_antipodal_points_have_a_mean_halfway():
    x = [[2.0, 0.0, 0.0], [-2.0, 0.0, 0.0]]
    found = frechet_mean(lambda x: 0 * x, x, manifold=SPHERE)
    assert found.converged
    assert_close(found.distances, torch.full((2,), math.pi).double(), rtol=1e-6, atol=0)
    assert float(found.point[0].abs()) < 1e-6
    assert float(found.point.norm()) == pytest.approx(2.0)


def test_equal_points_are_their_own_mean():
    found = frechet_mean(Gaussian([0.0, 0.0]), [[1.0, 0.5]] * 3)
    assert found.converged
    assert_close(found.point, vector(1.0, 0.5))
    assert float(found.distances.abs().max()) == 0


def test_lists_and_arrays():
    x = vector(0, 1, 0, 2, 1, 1).reshape(3, 2)
    tensors = frechet_mean(HalfPlane(), x, weights=vector(1, 2, 3), start=vector(0, 1))
    lists = frechet_mean(HalfPlane(), x.tolist(), weights=[1, 2, 3], start=[0, 1])
    arrays = frechet_mean(HalfPlane(), x.numpy(), weights=np.array([1, 2, 3]))
    assert_close(lists.point, tensors.point, rtol=0, atol=0)
    assert_close(arrays.point, tensors.point, rtol=0, atol=1e-2)


def test_bad_input():
    x = [[0.0, 1.0], [0.0, 2.0]]
    with pytest.raises(ValueError, match=r"start has shape \(3,\)"):
        frechet_mean(HalfPlane(), x, start=[0.0, 1.0, 2.0])
    with pytest.raises(ValueError, match=r"points has shape \(2,\)"):
        frechet_mean(HalfPlane(), x[0])
    for bad in (0.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="0 < tol ≤ 1"):
            frechet_mean(HalfPlane(), x, tol=bad)
