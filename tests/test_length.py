"""Lengths and densities along a path: exact integrals, spectral order, honest errors."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from diffusion_geodesics.density import Gaussian, GaussianMixture, HalfPlane
from diffusion_geodesics.geodesics import geodesic
from diffusion_geodesics.length import chebyshev, measure
from diffusion_geodesics.manifold import Sphere
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.path import GreatArc, Line
from tests.exact import Counting, vector
from tests.problems import reference


def _grid(count: int) -> torch.Tensor:
    return torch.linspace(0, 1, count, dtype=torch.float64)


@pytest.mark.parametrize("intervals", [4, 16, 64])
def test_chebyshev_integrates_polynomials(intervals: int):
    t, matrix = chebyshev(intervals)
    assert (t[0], t[-1]) == (0, 1)
    for degree in range(intervals + 1):
        assert_close(matrix @ t**degree, t ** (degree + 1) / (degree + 1), rtol=1e-11, atol=1e-12)


def test_vertical_line_in_the_half_plane():
    """∫ (y_A/y) dy = y_A ln(y_B/y_A), and the distance has sqrt(y_A y_B) in place of y_A."""
    path = Line(vector(1, 0.5), vector(1, 2))
    profile = measure(Conformal(HalfPlane()), path)
    assert float(profile.length) == pytest.approx(0.5 * math.log(4), rel=1e-12)
    assert float(profile.distance) == pytest.approx(math.log(4), rel=1e-12)
    assert float(profile.log_density[-1]) == pytest.approx(math.log(4), rel=1e-12)
    y = 0.5 + 1.5 * _grid(7)
    assert_close(profile.log_density_at(_grid(7)), (y / 0.5).log(), rtol=1e-9, atol=1e-12)
    halfway = profile.at_arc_length(torch.tensor([0.0, 0.5, 1.0]).double())
    assert_close(0.5 + 1.5 * halfway, vector(0.5, 1.0, 2.0), rtol=1e-5, atol=1e-6)


def test_length_without_a_barrier_is_euclidean():
    arc = GreatArc(vector(2, 0, 0), vector(0, 2, 0))
    profile = measure(Conformal(Gaussian([0.0, 0, 0]), 0.0, Sphere(2.0)), arc)
    assert float(profile.length) == pytest.approx(math.pi, rel=1e-13)
    assert_close(profile.arc_length, math.pi * profile.t, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ["ring", "three components", "sphere, 16384-d, α 0.002"])
def test_log_density_along_a_path(name: str):
    problem = next(r for r in reference.REFERENCES if r.name == name).make()
    path = geodesic(
        problem.density, problem.start, problem.end, alpha=problem.alpha, manifold=problem.manifold
    ).path
    connection = Conformal(problem.density, problem.alpha, problem.manifold)
    profile = measure(connection, path)
    exact = problem.density.log_prob(profile.t, profile.points)
    assert_close(profile.log_density, exact - exact[0], rtol=1e-4, atol=5e-4)


def test_quadrature_converges_spectrally():
    problem = reference.three_components()
    connection, path = Conformal(problem.density), Line(problem.start, problem.end)
    exact = float(measure(connection, path, intervals=128).length)
    for intervals in (8, 16):
        coarse, fine = (
            abs(float(measure(connection, path, intervals=n).length) / exact - 1)
            for n in (intervals, 2 * intervals)
        )
        assert fine < max(0.05 * coarse, 1e-11)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([0.1, 1.0]), st.sampled_from([16, 32]))
def test_error_estimate_is_honest(seed: int, alpha: float, intervals: int):
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    connection = Conformal(GaussianMixture(x[:3], 0.7), alpha)
    path = Line(x[3], x[4])
    exact = measure(connection, path, intervals=128).length
    profile = measure(connection, path, intervals=intervals)
    assert (profile.length - exact).abs() <= profile.length_error + 1e-12 * exact


def test_direction_of_travel():
    problem = reference.ring(0.3)
    connection = Conformal(problem.density)
    there = measure(connection, Line(problem.start, problem.end))
    back = measure(connection, Line(problem.end, problem.start))
    assert_close(there.distance, back.distance, rtol=1e-12, atol=0)
    assert_close(there.log_density[-1], -back.log_density[-1], rtol=1e-9, atol=1e-9)


def test_overflow_is_no_number():
    """log p falls by 1000 and rises again: p^-α does not fit a double."""
    connection = Conformal(GaussianMixture([[-45.0, 0], [45.0, 0]]), 1.0)
    profile = measure(connection, Line(vector(-45, 0), vector(45, 0)))
    assert float(profile.log_density.min()) == pytest.approx(-1012.5, rel=0.05)  # a kink
    assert not torch.isfinite(profile.length)


def test_batches_and_cost():
    x = torch.randn(2, 2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    score = Counting(Gaussian([0.0] * 4))
    profile = measure(Conformal(score), Line(x[0], x[1]), intervals=16)
    assert (score.batches, score.nfe, profile.nfe) == (1, 17 * 6, 17 * 6)
    assert (profile.length.shape, profile.log_density.shape) == ((2, 3), (17, 2, 3))
    one = measure(Conformal(score), Line(x[0, 1, 2], x[1, 1, 2]), intervals=16)
    assert_close(profile.length[1, 2], one.length)
    assert profile.at_arc_length(_grid(5)).shape == (5, 2, 3)
    assert profile.log_density_at(_grid(5)).shape == (5, 2, 3)


@pytest.mark.parametrize("intervals", [0, 2, 7])
def test_bad_intervals(intervals: int):
    with pytest.raises(ValueError, match="even number"):
        measure(Conformal(HalfPlane()), Line(vector(0, 1), vector(1, 1)), intervals=intervals)
