"""Where directions begin and how fast they go: known for Gaussian data."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.extrapolation.directions import (
    ClipVelocity,
    Direction,
    GivenVector,
    Past,
    RandomTangent,
    Towards,
    TowardsPrompt,
    fitted_velocity,
)
from diffusion_geodesics.extrapolation.launch import Setup
from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings
from diffusion_geodesics.latents.coordinates import Ambient, shell
from diffusion_geodesics.latents.geometry import level_geometry
from diffusion_geodesics.manifold import Flat, Sphere
from diffusion_geodesics.runtime.run import Run
from tests.extrapolation.geometries import DIM
from tests.gaussian_model import SHIFT, gaussian_data, gaussian_model, picture
from tests.latents.scenes import noised

DATA, MODEL = gaussian_data(), gaussian_model()
ZERO = torch.zeros(1, dtype=torch.float64)


def setup(count: int = 2, strength: float = 0.0, flat: bool = False) -> Setup:
    """Images of the Gaussian model at a level, without a prompt."""
    run = Run()
    here = noised(("",) * count, count=count, run=run)
    settings = ExtrapolationSettings.of(strength=strength, flat=flat, intervals=8, tol=1e-5)
    alpha = settings.metric.alpha_for(here.latents.shape[1])
    geometry = level_geometry(here.parts, here.encoded.conditions[0], here.level, alpha)
    return Setup(run, here, geometry, settings, MODEL.encode_prompt)


def test_towards_an_image_without_strength_is_its_great_circle() -> None:
    here = setup()
    a, b = here.latents
    straight = Towards(picture(1), straight=True).launch(here)
    solved = Towards(picture(1)).launch(here)
    for launch in (straight, solved):
        assert launch.x is not None
        assert_close(launch.x, a)
        assert launch.target is not None
        assert_close(launch.target, b)
        assert launch.t_max == 1.0
        assert launch.coordinates == shell(a, b)
    assert straight.solution is None
    assert solved.solution is not None
    assert_close(solved.velocity, straight.velocity, rtol=0, atol=1e-3)
    assert solved.velocity_error < 1e-3
    y = shell(a, b).coordinates(ZERO, a[None])[0]
    z = shell(a, b).coordinates(ZERO + 1, b[None])[0]
    radius = math.sqrt(len(a))
    angle = math.acos(float((y * z).sum()) / radius**2)
    assert float(straight.velocity.norm()) == pytest.approx(radius * angle, rel=1e-9)
    assert float((straight.velocity * y).sum()) == pytest.approx(0, abs=1e-9)


def test_in_flat_space_towards_an_image_is_the_line_to_it() -> None:
    here = setup(flat=True)
    launch = Towards(picture(1), straight=True).launch(here)
    assert_close(launch.velocity, here.latents[1] - here.latents[0])
    assert launch.coordinates == Ambient()
    x = torch.stack([here.latents[0], 2 * here.latents[0]])
    assert_close(Towards(picture(1)).renewed(here, x), here.latents[1] - x)


def test_with_strength_the_velocity_is_that_of_the_geodesic() -> None:
    """The density bends it: neither the chord's, nor of its length."""
    here = setup(strength=2.0)
    bent = Towards(picture(1)).launch(here)
    straight = Towards(picture(1), straight=True).launch(here)
    assert bent.solution is not None
    assert bent.solution.converged
    gap = (bent.velocity - straight.velocity).norm() / straight.velocity.norm()
    assert 0.01 < float(gap) < 1
    assert bent.velocity_error < 0.1 * float(gap)


def test_past_the_second_image_the_great_circle_goes_on() -> None:
    here = setup()
    a, b = here.latents
    launch = Past(picture(1)).launch(here)
    assert_close(launch.x, b)
    assert launch.t_max == 0.5
    assert launch.target is None
    y = launch.coordinates.coordinates(ZERO, b[None])[0]
    first = shell(a, b).coordinates(ZERO, a[None])[0]
    back = launch.coordinates.manifold.to_tangent(y, first - y)
    cosine = (launch.velocity * -back).sum() / (launch.velocity.norm() * back.norm())
    assert float(cosine) == pytest.approx(1, abs=1e-5)
    radius = math.sqrt(len(a))
    angle = math.acos(float((y * first).sum()) / radius**2)
    assert float(launch.velocity.norm()) == pytest.approx(radius * angle, rel=1e-4)


def test_towards_a_prompt_is_the_score_of_its_ratio_to_what_is_shown_now() -> None:
    """Of Gaussians that differ in their means the ratio has the constant score a Δ / v."""
    here = setup()
    level = here.noised.level
    constant = level.a * SHIFT * (4 - 1) / DATA.variance(level.a, level.sigma)
    direction = TowardsPrompt("abcd", away="x")
    x = here.latents
    assert_close(direction.renewed(here, x), constant.expand(2, -1), rtol=1e-8, atol=1e-8)
    launch = direction.launch(here)
    y = launch.coordinates.coordinates(ZERO, x[:1])[0]
    tangent = launch.coordinates.manifold.to_tangent(y, constant)
    assert_close(launch.velocity, tangent * (y.norm() / tangent.norm()), rtol=1e-7, atol=1e-7)
    assert launch.t_max == 0.5
    assert here.run.costs["direction"].nfe == 2
    with pytest.raises(ValueError, match="prompt to go towards is empty"):
        TowardsPrompt(" ").launch(here)
    with pytest.raises(ValueError, match="zero"):
        TowardsPrompt("abc", away="abc").launch(here)


@pytest.mark.parametrize("flat", [False, True])
def test_random_directions_are_seeded_tangents_of_the_starts_norm(flat: bool) -> None:
    here = setup(1, flat=flat)
    launch = RandomTangent(1).launch(here)
    y = launch.coordinates.coordinates(ZERO, launch.x[None])[0]
    assert float(launch.velocity.norm()) == pytest.approx(float(y.norm()))
    if not flat:
        assert float((launch.velocity * y).sum()) == pytest.approx(0, abs=1e-8)
    assert torch.equal(RandomTangent(1).launch(here).velocity, launch.velocity)
    assert not torch.allclose(RandomTangent(2).launch(here).velocity, launch.velocity)
    drawn = RandomTangent(1, as_drawn=True).launch(here)
    noise = torch.randn(
        len(launch.x), generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    scale = float(drawn.coordinates.scale(ZERO))
    assert float(drawn.velocity.norm()) * scale == pytest.approx(float(noise.norm()))
    assert_close(drawn.velocity / drawn.velocity.norm(), launch.velocity / launch.velocity.norm())


def test_a_given_vector_goes_as_far_in_latents_as_it_is_long() -> None:
    here = setup(1)
    x = here.latents[0]
    vector = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0)).double()
    launch = GivenVector(vector, "v").launch(here)
    moved = launch.coordinates.velocity(
        ZERO, launch.coordinates.coordinates(ZERO, x[None]), launch.velocity[None]
    )[0]
    across = vector.flatten() - (vector.flatten() @ x) / (x @ x) * x
    assert_close(moved, across)
    level = setup(1, flat=True)
    assert_close(GivenVector(vector).launch(level).velocity, vector.flatten())
    with pytest.raises(ValueError, match=r"w has 7 numbers \(shape \(7,\)\).* has 768"):
        GivenVector(torch.ones(7), "w").launch(here)
    with pytest.raises(ValueError, match="zero"):
        GivenVector(x, "along the norm").launch(here)


def test_a_clip_that_moves_evenly_in_latents_is_continued_evenly() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(DIM, generator=generator, dtype=torch.float64)
    step = torch.randn(DIM, generator=generator, dtype=torch.float64)
    line = torch.stack([points + k * step for k in range(5)])
    assert_close(fitted_velocity(line, Flat(), False), step)
    bent = torch.stack([points + k * k * step for k in range(5)])
    assert_close(fitted_velocity(bent, Flat(), True), 8 * step)
    sphere = Sphere(2.0)
    start = sphere.project(points)
    tangent = 0.2 * sphere.to_tangent(start, step)
    circle = torch.stack([sphere.exp(start, k * tangent) for k in range(5)])
    found = fitted_velocity(circle, sphere, False)
    assert_close(sphere.exp(circle[-1], found), sphere.exp(start, 5 * tangent))


@pytest.mark.parametrize("flat", [False, True])
def test_the_velocity_of_a_clip_begins_at_its_last_frame(flat: bool) -> None:
    here = setup(3, flat=flat)
    launch = ClipVelocity(3).launch(here)
    assert_close(launch.x, here.latents[2])
    assert launch.t_max == 4.0
    points = here.latents
    if not flat:
        points = points / points.norm(dim=1, keepdim=True) * len(launch.x) ** 0.5
    space = Flat() if flat else Sphere(len(launch.x) ** 0.5)
    assert_close(launch.velocity, fitted_velocity(points, space, False))
    for wrong in (4, 1):
        with pytest.raises(ValueError, match="odd number of at least 3"):
            ClipVelocity(wrong)


DIRECTIONS: tuple[tuple[Direction, str, bool, float], ...] = (
    (Towards(picture(1)), "towards the second image, with the geodesic's", True, 1.0),
    (Towards(picture(1), straight=True), "towards the second image, along the chord", True, 1.0),
    (Past(picture(1)), "past the second image", False, 1.0),
    (TowardsPrompt("a cat", "a dog"), "towards “a cat”, away from “a dog”", True, 1.0),
    (RandomTangent(3), "in a random direction (seed 3)", False, 1.0),
    (GivenVector(torch.ones(3), "v.npy"), "along v.npy", False, 1.0),
    (ClipVelocity(5, bend=True), "last 5 frames of the clip move (parabola", False, 0.0),
)


@pytest.mark.parametrize(("direction", "words", "renewable", "strength"), DIRECTIONS)
def test_directions_describe_themselves(
    direction: Direction, words: str, renewable: bool, strength: float
) -> None:
    assert words in direction.description()
    assert direction.renewable == renewable
    assert direction.strength == strength
    if not renewable:
        with pytest.raises(ValueError, match="is a direction that is known once"):
            direction.renewed(setup(1), torch.zeros(1, 3))


def test_directions_from_files_go_into_a_settings_file(tmp_path: Path) -> None:
    file = tmp_path / "b.png"
    assert Towards(file, straight=True).settings() == {"towards": str(file), "chord": True}
    assert Past(str(file)).settings() == {"past": str(file)}
    assert Towards(picture(1)).settings() == {}, "a tensor has no name"
    assert TowardsPrompt("a", "b").settings() == {"to_prompt": "a", "away": "b"}
    assert RandomTangent(2).settings() == {"random": 2, "as_drawn": False}
    assert ClipVelocity(7).settings() == {"last": 7, "bend": False}


def random_points(count: int) -> Tensor:
    return torch.randn(count, 768, generator=torch.Generator().manual_seed(1)).double()


def test_a_batch_of_latents_is_renewed_as_one_by_one() -> None:
    here, x = setup(), random_points(3)
    for direction in (Towards(picture(1)), TowardsPrompt("abc")):
        together = direction.renewed(here, x)
        alone = torch.cat([direction.renewed(here, x[k : k + 1]) for k in range(3)])
        assert_close(together, alone)
