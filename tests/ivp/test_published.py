"""The paper's initial value algorithm: step by step as an independent port of it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.density import Density, GaussianMixture, VonMisesFisher
from diffusion_geodesics.ivp import PublishedRungeKutta, solve_ivp
from diffusion_geodesics.manifold import Flat, Sphere
from diffusion_geodesics.metric import Conformal
from tests.exact import Counting, MovingGaussian, vector
from tests.problems.published_ray import off, ported

DIM, RADIUS, ALPHA = 12, 3.0, 0.4


def normal(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(DIM)


def mixture() -> Density:
    means = 0.6 * torch.from_numpy(np.stack([normal(1), normal(2)]))
    return GaussianMixture(means, torch.ones(2).double(), torch.tensor([0.3, 0.7]).double())


def moving() -> Density:
    """What interpolated prompts do: the mean goes from one place to another along the curve."""
    return MovingGaussian(torch.from_numpy(normal(3)), torch.from_numpy(normal(4)))


@pytest.mark.parametrize("density", [mixture(), moving()], ids=["mixture", "moving"])
@pytest.mark.parametrize("sphere", [True, False])
def test_points_and_velocities_are_those_of_the_port_after_every_step(
    density: Density, sphere: bool
) -> None:
    x, v = normal(5), 0.9 * normal(6)
    x *= RADIUS / np.linalg.norm(x)
    start = off(v, x) * np.linalg.norm(v) / np.linalg.norm(off(v, x)) if sphere else v

    def score(t: float, y: np.ndarray) -> np.ndarray:
        return density(vector(t)[0], torch.from_numpy(y)).numpy()

    points, velocities = ported(score, x, v, 25, alpha=ALPHA, sphere=sphere)
    counted = Counting(density)
    ray = solve_ivp(
        Conformal(counted, ALPHA, Sphere(RADIUS) if sphere else Flat()),
        torch.from_numpy(x),
        torch.from_numpy(start),
        integrator=PublishedRungeKutta(25),
        growth=False,
        error=False,
    )
    assert_close(ray.nodes, torch.from_numpy(np.stack(points)), rtol=0, atol=1e-12)
    assert_close(ray.velocities, torch.from_numpy(np.stack(velocities)), rtol=0, atol=1e-12)
    assert counted.nfe == ray.nfe == 4 * 25 + 1
    bent = np.linalg.norm(points[-1] - (x + start))
    assert bent > 0.3, "the density bends the ray"


def test_a_great_circle_is_followed_by_the_tangent_of_each_angle() -> None:
    density = VonMisesFisher([0.0, 0.0, 1.0], 1.0)
    connection = Conformal(density, 0.0, Sphere(1.0))
    ray = solve_ivp(
        connection,
        vector(1, 0, 0),
        vector(0, 1.2, 0),
        integrator=PublishedRungeKutta(10),
        growth=False,
        error=False,
    )
    angle = 10 * math.atan(0.12)
    assert_close(ray.end, vector(math.cos(angle), math.sin(angle), 0), rtol=0, atol=1e-13)


def test_order_on_a_sphere_and_an_honest_error() -> None:
    connection = Conformal(VonMisesFisher([0.0, 0.0, 1.0], 1.0), 1.0, Sphere(1.0))
    start, velocity = vector(0.6, 0, 0.8), vector(0.3, 1.1, 0.2)
    exact = solve_ivp(connection, start, velocity, growth=False).end
    errors = []
    for steps in (10, 20, 40):
        ray = solve_ivp(
            connection, start, velocity, integrator=PublishedRungeKutta(steps), growth=False
        )
        errors.append(float((ray.end - exact).norm()))
        assert 0.8 * errors[-1] < float(ray.error) < 1.2 * errors[-1]
    orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert orders[-1] == pytest.approx(PublishedRungeKutta().order, abs=0.1)
