"""Rays of latents: exact on densities that can be written down."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.extrapolation.launch import Launch, coordinates_of, edge_velocity
from diffusion_geodesics.extrapolation.ray import ascend, follow, typical_band
from diffusion_geodesics.extrapolation.result import arrival
from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings
from diffusion_geodesics.geodesics import geodesic
from diffusion_geodesics.ivp import RayResult
from diffusion_geodesics.latents.coordinates import Ambient, Coordinates, shell
from diffusion_geodesics.latents.geometry import Geometry
from tests.exact import MovingGaussian
from tests.extrapolation.geometries import DIM, gaussian, geometry_of, mixture, two_points
from tests.problems.published_ray import ported

BOTH = torch.tensor([0.0, 1.0], dtype=torch.float64)
OPEN = ExtrapolationSettings.of(frames=5, ray_steps=8, stop=False)


def sideways(x: Tensor, towards: Tensor, length: float = 1.0) -> Launch:
    """From a latent along the part of another one that is tangent to its shell."""
    coordinates = coordinates_of(x, flat=False)
    y = coordinates.coordinates(torch.zeros(1), x[None])[0]
    return Launch(x, length * coordinates.manifold.to_tangent(y, towards), coordinates, "v")


def flat(x: Tensor, velocity: Tensor) -> Launch:
    return Launch(x, velocity, Ambient(), "v")


@pytest.mark.parametrize(
    ("geometry", "flat_space"),
    [(mixture(0.05), False), (mixture(0.05), True), (gaussian(0.02), True)],
)
def test_a_ray_with_the_geodesics_velocity_arrives_within_what_growth_allows(
    geometry: Geometry, flat_space: bool
) -> None:
    a, b = two_points()
    coordinates: Coordinates = Ambient() if flat_space else shell(a, b)
    ends = coordinates.coordinates(BOTH, torch.stack([a, b]))
    solution = geodesic(
        coordinates.score(geometry.score),
        *ends,
        alpha=geometry.alpha,
        manifold=coordinates.manifold,
        tol=1e-6,
        throw=False,
    )
    velocity, wrong = edge_velocity(solution.path, coordinates.manifold, 32)
    launch = Launch(
        a, velocity, coordinates, "b", target=b, velocity_error=wrong, solution=solution
    )
    ray = follow(geometry, launch, OPEN.updated(ray_steps=16), t_max=1.0)
    landing = arrival(ray, launch, geometry.level.sigma)
    assert landing is not None
    assert landing.miss <= landing.allowed
    assert landing.allowed < 0.1 * landing.chord
    assert landing.miss < 5e-3 * landing.chord
    assert landing.miss == pytest.approx(float((ray.latents[-1] - b).norm()))
    assert landing.chord == pytest.approx(float((b - a).norm()))
    other, _ = edge_velocity(solution.path, coordinates.manifold, 32, at_end=True)
    back = Launch(b, -other, Ambient() if flat_space else shell(b, a), "a")
    returned = follow(geometry, back, OPEN, t_max=1.0).latents[-1]
    assert float((returned - a).norm()) < 5e-3 * landing.chord


def test_without_strength_a_ray_is_a_great_circle_and_norms_are_kept() -> None:
    a, b = two_points()
    launch = sideways(a, b)
    y = launch.coordinates.coordinates(torch.zeros(1), a[None])[0]
    ray = follow(gaussian(0.0), launch, OPEN, t_max=0.7)
    angle = ray.t * launch.velocity.norm() / y.norm()
    unit = launch.velocity / launch.velocity.norm()
    circle = a.norm() * (torch.cos(angle)[:, None] * y / y.norm() + angle.sin()[:, None] * unit)
    assert_close(ray.latents, circle, rtol=0, atol=1e-10)
    assert_close(ray.norm, a.norm().expand(len(ray.t)))
    growth = torch.sin(angle[1:]) / angle[1:]
    assert_close(ray.growth[1:], growth, rtol=0, atol=1e-4)
    assert math.isnan(float(ray.growth[0]))
    assert ray.t[ray.frames].tolist() == pytest.approx([0, 0.175, 0.35, 0.525, 0.7])
    assert_close(ray.arc, ray.t * launch.velocity.norm())


def test_norms_are_those_of_the_images_up_to_the_second_and_stay_then() -> None:
    a, b = two_points()
    coordinates = shell(a, b)
    ends = coordinates.coordinates(BOTH, torch.stack([a, b]))
    arc = torch.linalg.vector_norm(ends[0]) * torch.acos(
        (ends[0] * ends[1]).sum() / ends[0].square().sum()
    )
    across = coordinates.manifold.to_tangent(ends[0], ends[1])
    ray = follow(
        gaussian(0.0), Launch(a, arc * across / across.norm(), coordinates, "b"), OPEN, t_max=2.0
    )
    expected = a.norm() + ray.t.clamp(max=1) * (b.norm() - a.norm())
    assert_close(ray.norm, expected)
    here = int((ray.t - 1).abs().argmin())
    assert_close(ray.latents[here], b)


def test_log_density_energy_and_error_bar_are_exact_on_a_gaussian() -> None:
    geometry = gaussian(0.05, 0.8)
    a, b = two_points()
    ray = follow(geometry, flat(a, 0.5 * b), OPEN)
    exact = -0.5 * (ray.norm.square() - ray.norm[0] ** 2) / 0.8**2
    assert_close(ray.log_density, exact)  # quadratic: the rule is exact
    assert ray.density_error < 1e-9
    assert_close(ray.noise_energy, ray.norm / (0.8 * DIM**0.5))
    assert ray.completed
    assert ray.alpha == 0.05
    assert (ray.halvings, ray.corrected) == (0, 0)


def test_a_ray_that_leaves_the_typical_set_stops_or_goes_on() -> None:
    geometry = gaussian(0.05)
    a, _ = two_points()
    launch = flat(a, 1.0 * a)
    strict = OPEN.updated(stop=True, flat=True)
    stopped = follow(geometry, launch, strict, t_max=1.0)
    assert stopped.result is RayResult.left_norms
    assert float(stopped.t[-1]) == pytest.approx(0.1, abs=1e-6)
    assert float(stopped.norm[-1] / a.norm()) == pytest.approx(1.1, abs=1e-6)
    assert len(stopped.frames) == 2
    assert typical_band(0.9, 0.25) == pytest.approx((0.675, 1.25))
    kept = strict.updated(keep_norm=True, band=0.2)
    energetic = follow(geometry, launch, kept, t_max=1.0)
    assert energetic.result is RayResult.left_typical_set
    assert energetic.t[-1] < 1
    assert follow(geometry, launch, OPEN.updated(flat=True), t_max=1.0).completed


def test_the_published_ray_is_that_of_the_port() -> None:
    """On latents whose norm is not √d, with a density that changes along the ray."""
    x, v = (torch.randn(DIM, generator=torch.Generator().manual_seed(s)).double() for s in (8, 9))
    start = 1.4 * x
    density = MovingGaussian(0.5 * v, 2.0 * x.flip(0))
    coordinates = coordinates_of(start, flat=False)
    scale = float(coordinates.scale(BOTH[:1]))
    tangent = coordinates.manifold.to_tangent(start, v)
    launch = Launch(start, tangent * (v.norm() / tangent.norm() / scale), coordinates, "v")
    settings = OPEN.updated(integrator="published", ray_steps=12, frames=4)
    ray = follow(geometry_of(density, 0.3), launch, settings, t_max=1.0)

    def score(t: float, y: np.ndarray) -> np.ndarray:
        return density(torch.tensor(t, dtype=torch.float64), torch.from_numpy(y)).numpy()

    points, _ = ported(score, start.numpy(), v.numpy(), 12, alpha=0.3)
    assert_close(ray.latents[ray.frames], torch.from_numpy(np.stack(points[::4])))
    plain = follow(geometry_of(density, 0.3), launch, settings.updated(integrator="splitting"))
    assert float((plain.latents[-1] - ray.latents[-1]).norm()) > 1e-4


def test_a_density_that_changes_along_the_ray_does_so_over_the_whole_of_it() -> None:
    a, b = two_points()
    geometry, launch = geometry_of(MovingGaussian(b, 3 * a.flip(0)), 0.2), sideways(a, b)
    whole = follow(geometry, launch, OPEN, t_max=0.6)
    pieces = follow(geometry, launch, OPEN.updated(reestimate=1), t_max=0.6)
    assert_close(pieces.latents, whole.latents)
    longer = follow(geometry, launch, OPEN, t_max=1.2)
    assert float((longer.latents[8] - whole.latents[-1]).norm()) > 1e-3


def test_the_norm_is_restored_after_each_frame_in_flat_space() -> None:
    a, b = two_points()
    settings = OPEN.updated(flat=True, keep_norm=True)
    kept = follow(mixture(0.1), flat(a, 0.3 * b), settings, t_max=1.0)
    assert_close(kept.norm[kept.frames], a.norm().expand(5))
    assert kept.corrected > 0


def test_ascent_follows_its_formula_and_raises_the_density() -> None:
    """On a Gaussian each step takes the share c of the distance from its mean away."""
    geometry, (a, b) = gaussian(0.1, 0.8), two_points()
    x = torch.stack([a, b])
    assert_close(ascend(geometry, Ambient(), x, 3, 0.1), 0.9**3 * x)
    launch = sideways(a, b, 0.5)
    plain = follow(mixture(0.1), launch, OPEN)
    climbed = follow(mixture(0.1), launch, OPEN.updated(ascent_steps=3, ascent_size=0.1))
    assert climbed.log_density[-1] > plain.log_density[-1]
    assert_close(climbed.norm, a.norm().expand(len(climbed.t)))


def test_the_direction_is_estimated_anew_as_often_as_asked() -> None:
    a, b = two_points()
    launch, asked = sideways(a, b, 0.5), []

    def renew(x: Tensor) -> Tensor:
        asked.append(len(x))
        return b - x

    plain = follow(mixture(0.1), launch, OPEN)
    aimed = follow(mixture(0.1), launch, OPEN.updated(reestimate=1), renew=renew)
    assert asked == [2, 2, 2], "the ray and its companion, after three of five frames"
    direction = torch.nn.functional.cosine_similarity
    assert direction(aimed.latents[-1], b, dim=0) > direction(plain.latents[-1], b, dim=0)
    speed = aimed.arc.diff() / aimed.t.diff()
    assert_close(speed, speed[:1].expand(len(speed)))


@pytest.mark.whole
def test_a_ray_that_leaves_the_typical_set_is_begun_anew_with_half_the_strength() -> None:
    a, b = two_points()
    launch = sideways(a, b, 0.8)
    tight = OPEN.updated(stop=True, band=0.2, ray_steps=4)
    once = follow(mixture(1.0), launch, tight)
    assert once.result is RayResult.left_typical_set
    halved = follow(mixture(1.0), launch, tight.updated(halvings=4))
    assert halved.completed
    assert halved.halvings == 2
    assert halved.alpha == 0.25
    alone = follow(mixture(0.25), launch, tight)
    assert_close(halved.latents, alone.latents)


@pytest.mark.whole
def test_pieces_between_frames_are_one_ray() -> None:
    """Stopping at every frame for a remedy that does nothing changes nothing."""
    a, b = two_points()
    launch, geometry = sideways(a, b, 0.5), mixture(0.05)

    def renew(x: Tensor) -> Tensor:
        raise AssertionError("five frames are fewer than a hundred")

    fine = OPEN.updated(ray_steps=16)
    whole = follow(geometry, launch, fine)
    pieces = follow(geometry, launch, fine.updated(reestimate=100), renew=renew)
    assert_close(pieces.latents, whole.latents, rtol=0, atol=1e-6)
    assert_close(pieces.log_density, whole.log_density, rtol=0, atol=1e-5)
