"""The exponential map and its inverse: exact cases, round trips, honest figures, bad input."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.density import Gaussian, HalfPlane, VonMisesFisher
from diffusion_geodesics.expmap import exp, log
from diffusion_geodesics.ivp import AdaptiveRungeKutta, IsokineticSplitting, RayResult
from diffusion_geodesics.manifold import Sphere
from tests.exact import vector


def test_exp_of_the_half_plane():
    """Straight up by the length L leads to the height e^L; from (-1, 1) towards (1, 1) the
    semicircle is acosh(3) long."""
    up = exp(HalfPlane(), [0.0, 1.0], [0.0, 1.5], growth=False, error=False)
    assert_close(up.end, vector(0, math.exp(1.5)), rtol=1e-7, atol=1e-9)
    toward = vector(1, 1) * (math.acosh(3) / math.sqrt(2))
    over = exp(HalfPlane(), vector(-1, 1), toward, growth=False)
    assert over.result is RayResult.length_reached
    assert_close(over.end, vector(1, 1), rtol=0, atol=1e-8)


def test_lengths_are_relative_to_the_start():
    """At height 2 the metric is four times smaller: lengths double with all coordinates."""
    scaled = exp(HalfPlane(), [0.0, 2.0], [0.0, 3.0], growth=False, error=False)
    assert_close(scaled.end, vector(0, 2 * math.exp(1.5)), rtol=1e-7, atol=1e-9)


def test_round_trip_of_the_half_plane():
    """Three ends in one batch: the length of log is the distance, and exp leads back."""
    end = torch.tensor([[0.5, 0.6], [2, 1], [1.5, 2]], dtype=torch.float64)
    start = vector(0, 1).expand(3, 2)
    inverse = log(HalfPlane(), start, end)
    distance = torch.acosh(1 + (end - start).square().sum(-1) / (2 * end[:, 1]))
    assert_close(inverse.velocity.norm(dim=-1), distance, rtol=1e-7, atol=0)
    assert float(inverse.landing_error.max()) < 1e-7
    ray = exp(HalfPlane(), start, inverse.velocity, growth=False, error=False)
    assert_close(ray.end, end, rtol=0, atol=1e-7)


def test_round_trip_on_the_sphere_in_one_batch():
    density, sphere = VonMisesFisher([0.0, 0.0, 1.0], 0.5), Sphere(1.0)
    x = torch.tensor([[0.6, 0.0, 0.8], [0.0, 1.0, 0.0]], dtype=torch.float64)
    y = torch.tensor([[0.0, 0.6, 0.8], [0.0, 0.6, 0.8]], dtype=torch.float64)
    inverse = log(density, x, y, manifold=sphere)
    assert float((inverse.velocity * x).sum(-1).abs().max()) < 1e-12
    assert_close(inverse.velocity.norm(dim=-1), inverse.solution.length, rtol=1e-5, atol=0)
    assert float(inverse.landing_error.max()) < 1e-8


def test_a_fixed_step_integrator_lands_as_well_as_it_integrates():
    inverse = log(
        Gaussian([0.0, 0.0]),
        vector(1.5, 0),
        [1.5 * math.cos(2), 1.5 * math.sin(2)],
        integrator=IsokineticSplitting(steps=12),
    )
    assert float(inverse.velocity.norm()) == pytest.approx(1.415722705976, rel=1e-4)
    assert float(inverse.landing_error) < 1e-3
    assert 2 < float(inverse.growth) < 10


def test_growth_is_not_hidden():
    """Errors grow more than 1e4 times: no correction is tried, and the miss is reported."""
    end = [8 * math.cos(1), 8 * math.sin(1)]
    loose = AdaptiveRungeKutta(1e-5)
    inverse = log(Gaussian([0.0, 0.0]), vector(8, 0), end, alpha=0.5, integrator=loose)
    assert float(inverse.velocity.norm()) == pytest.approx(0.5173917660592, rel=1e-5)
    assert float(inverse.growth) > 1e4
    assert float(inverse.landing_error) > 1e-3


def test_zero():
    x = vector(1, 2)
    assert_close(exp(Gaussian([0.0, 0.0]), x, vector(0, 0)).end, x)
    inverse = log(Gaussian([0.0, 0.0]), x, x)
    assert_close(inverse.velocity, vector(0, 0))
    assert float(inverse.landing_error) == 0


def test_plain_functions_and_lists():
    ray = exp(lambda x: -x, [1.0, 0.0], [0.0, 0.5], growth=False, error=False)
    same = exp(Gaussian([0.0, 0.0]), vector(1, 0), vector(0, 0.5), growth=False, error=False)
    assert_close(ray.end, same.end)


def test_bad_input():
    with pytest.raises(ValueError, match="expected the same shape"):
        exp(HalfPlane(), [0.0, 1.0], [1.0])
    with pytest.raises(ValueError, match="not finite"):
        exp(HalfPlane(), [0.0, 1.0], [1.0, math.inf])
    with pytest.raises(ValueError, match="corrections"):
        log(HalfPlane(), [0.0, 1.0], [1.0, 1.0], corrections=-1)
