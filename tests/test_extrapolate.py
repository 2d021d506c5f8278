"""Rays that go on from images: exact on exact densities, complete on a tiny pipeline."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import diffusion_geodesics as dg
from benchmarks.ssim import ssim
from diffusion_geodesics.apps.chart import FlatChart, shell
from diffusion_geodesics.apps.extrapolate import (
    Ascent,
    ClipVelocity,
    Direction,
    Extrapolation,
    ExtrapolationSettings,
    GivenVector,
    Launch,
    Past,
    RandomTangent,
    Remedies,
    Terrain,
    Towards,
    TowardsPrompt,
    extrapolate,
    march,
)
from diffusion_geodesics.apps.extrapolate.directions import fitted_velocity
from diffusion_geodesics.apps.extrapolate.extrapolation import arrival
from diffusion_geodesics.apps.extrapolate.terrain import edge_velocity, part_of, shell_of
from diffusion_geodesics.cli.extrapolate import parse_direction
from diffusion_geodesics.clips import ClipError, TensorClip
from diffusion_geodesics.ivp import RayResult
from diffusion_geodesics.models import StableDiffusionModel
from tests.tiny_pipelines import tiny_pipeline

DIM = 24
OPEN = ExtrapolationSettings(frames=5, ray_steps=8, stop=False)
QUICK = ExtrapolationSettings(
    frames=3,
    steps=4,
    level=0.5,
    refinements=0,
    ray_steps=2,
    intervals=(8,),
    stop=False,
    compare=False,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusionModel:
    return StableDiffusionModel.from_pipeline(tiny_pipeline(tmp_path_factory.mktemp("tokenizer")))


@pytest.fixture(scope="module")
def images() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    noise = torch.rand(2, 3, 8, 8, generator=generator)
    smooth = torch.nn.functional.interpolate(noise, size=(32, 32), mode="bicubic").clamp(0, 1)
    return smooth[0], smooth[1]


def gaussian(alpha: float, sigma: float = 1.0) -> Terrain:
    return Terrain(dg.Gaussian(torch.zeros(DIM, dtype=torch.float64), sigma), alpha, sigma)


def mixture(alpha: float) -> Terrain:
    """Two bumps, with a shared width of 1."""
    generator = torch.Generator().manual_seed(3)
    means = torch.randn(2, DIM, generator=generator, dtype=torch.float64)
    weights = torch.tensor([0.5, 0.5], dtype=torch.float64)
    return Terrain(dg.GaussianMixture(means, torch.ones(2).double(), weights), alpha, 1.0)


def two_points(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, DIM, generator=generator, dtype=torch.float64)
    return a, 1.1 * b


@pytest.mark.parametrize(
    ("terrain", "flat"), [(mixture(0.05), False), (mixture(0.05), True), (gaussian(0.02), True)]
)
def test_a_ray_with_the_geodesics_velocity_arrives_within_what_growth_allows(
    terrain: Terrain, flat: bool
) -> None:
    a, b = two_points()
    chart = FlatChart() if flat else shell(a, b)
    ends = chart.coordinates(torch.tensor([0.0, 1.0]), torch.stack([a, b]))
    solution = dg.solve_bvp(
        terrain.connection(chart),
        dg.PreconditionedFlow((16, 32)),
        dg.Line(*ends) if flat else dg.GreatArc(*ends),
        tol=1e-6,
        max_steps=60,
        throw=False,
    )
    velocity, doubt = edge_velocity(solution.path, chart.manifold, 32)
    launch = Launch(a, velocity, chart, "b", target=b, doubt=doubt, solution=solution)
    fine = replace(OPEN, ray_steps=16)
    ray = march(terrain, launch, fine, reach=1.0)
    landing = arrival(ray, launch, terrain)
    assert landing is not None
    assert landing.miss <= landing.allowed
    assert landing.allowed < 0.1 * landing.chord
    assert landing.miss < 5e-3 * landing.chord
    other, _ = edge_velocity(solution.path, chart.manifold, 32, at_end=True)
    back = march(
        terrain, Launch(b, -other, FlatChart() if flat else shell(b, a), "a"), OPEN, reach=1.0
    )
    assert float((back.latents[-1] - a).norm()) < 5e-3 * landing.chord


def test_without_strength_a_ray_is_a_great_circle_and_norms_are_kept() -> None:
    a, b = two_points()
    chart = shell_of(a, flat=False)
    y = chart.coordinates(torch.zeros(1), a[None])[0]
    velocity = chart.manifold.to_tangent(y, b)
    ray = march(gaussian(0.0), Launch(a, velocity, chart, "b"), OPEN, reach=0.7)
    angle = ray.t * velocity.norm() / y.norm()
    unit = velocity / velocity.norm()
    circle = a.norm() * (torch.cos(angle)[:, None] * y / y.norm() + angle.sin()[:, None] * unit)
    torch.testing.assert_close(ray.latents, circle, rtol=0, atol=1e-10)
    torch.testing.assert_close(ray.norm, a.norm().expand(len(ray.t)))
    growth = torch.sin(angle[1:]) / angle[1:]
    torch.testing.assert_close(ray.growth[1:], growth, rtol=0, atol=1e-4)
    assert math.isnan(float(ray.growth[0]))
    assert ray.t[ray.frames].tolist() == pytest.approx([0, 0.175, 0.35, 0.525, 0.7])


def test_norms_are_those_of_the_images_up_to_the_second_and_stay_then() -> None:
    a, b = two_points()
    chart = shell(a, b)
    ends = chart.coordinates(torch.tensor([0.0, 1.0]), torch.stack([a, b]))
    velocity = dg.Sphere(chart.radius).log(ends[0], ends[1])
    ray = march(gaussian(0.0), Launch(a, velocity, chart, "b"), OPEN, reach=2.0)
    expected = a.norm() + ray.t.clamp(max=1) * (b.norm() - a.norm())
    torch.testing.assert_close(ray.norm, expected)
    here = int((ray.t - 1).abs().argmin())
    torch.testing.assert_close(ray.latents[here], b)
    assert part_of(chart, 1.0, 2.0).slope() == 0


def test_log_density_energy_and_error_bar_are_exact_on_a_gaussian() -> None:
    terrain = gaussian(0.05, 0.8)
    a, b = two_points()
    ray = march(terrain, Launch(a, 0.5 * b, FlatChart(), "v"), OPEN)
    exact = -0.5 * (ray.norm.square() - ray.norm[0] ** 2) / 0.8**2
    torch.testing.assert_close(ray.log_density, exact)  # quadratic: the rule is exact
    assert ray.density_error < 1e-9
    torch.testing.assert_close(ray.energy, ray.norm / (0.8 * DIM**0.5))
    assert ray.rows > 100
    assert ray.ended


def test_a_ray_that_leaves_the_typical_set_stops_or_goes_on() -> None:
    terrain = gaussian(0.05)
    a, _ = two_points()
    launch = Launch(a, 1.0 * a, FlatChart(), "v")
    stopped = march(terrain, launch, replace(OPEN, stop=True, flat=True), reach=1.0)
    assert stopped.result is RayResult.left_norms
    assert stopped.left_at == pytest.approx(0.1, abs=1e-6)
    assert float(stopped.norm[-1] / a.norm()) == pytest.approx(1.1, abs=1e-6)
    assert len(stopped.frames) == 2
    low, high = terrain.typical(0.9, 0.25)
    assert (low, high) == pytest.approx((0.675, 1.25))
    kept = replace(OPEN, stop=True, flat=True, remedies=Remedies(keep_norm=True))
    energetic = march(terrain, launch, replace(kept, band=0.2), reach=1.0)
    assert energetic.result is RayResult.left_typical_set
    assert energetic.t[-1] < 1
    assert march(terrain, launch, replace(OPEN, flat=True), reach=1.0).ended


def test_remedies_do_what_they_say() -> None:
    terrain, (a, b) = mixture(0.1), two_points()
    flat = Launch(a, 0.3 * b, FlatChart(), "v")
    kept = march(
        terrain, flat, replace(OPEN, flat=True, remedies=Remedies(keep_norm=True)), reach=1.0
    )
    torch.testing.assert_close(kept.norm[kept.frames], a.norm().expand(5))
    assert kept.corrected > 0
    chart = shell_of(a, flat=False)
    y = chart.coordinates(torch.zeros(1), a[None])[0]
    launch = Launch(a, 0.5 * chart.manifold.to_tangent(y, b), chart, "v")
    plain = march(terrain, launch, OPEN)
    climbed = march(terrain, launch, replace(OPEN, remedies=Remedies(ascent=Ascent(3, 0.1))))
    assert climbed.log_density[-1] > plain.log_density[-1]
    torch.testing.assert_close(climbed.norm, a.norm().expand(len(climbed.t)))
    again = replace(OPEN, remedies=Remedies(reestimate=1))
    asked: list[int] = []

    def renew(x: Tensor) -> tuple[Tensor, int]:
        asked.append(len(x))
        return b - x, 0

    aimed = march(terrain, launch, again, renew=renew)
    assert asked == [2, 2, 2]
    direction = torch.nn.functional.cosine_similarity
    assert direction(aimed.latents[-1], b, dim=0) > direction(plain.latents[-1], b, dim=0)


def test_a_ray_that_leaves_the_typical_set_is_begun_anew_with_half_the_strength() -> None:
    a, b = two_points()
    chart = shell_of(a, flat=False)
    y = chart.coordinates(torch.zeros(1), a[None])[0]
    launch = Launch(a, 0.8 * chart.manifold.to_tangent(y, b), chart, "v")
    tight = replace(OPEN, stop=True, band=0.2, ray_steps=4)
    once = march(mixture(1.0), launch, tight)
    assert once.result is RayResult.left_typical_set
    halved = march(mixture(1.0), launch, replace(tight, remedies=Remedies(halvings=4)))
    assert halved.ended
    assert halved.halvings == 2
    assert halved.alpha == 0.25
    assert halved.rows > once.rows


def run(
    model: StableDiffusionModel,
    start: Tensor | TensorClip,
    direction: Direction,
    settings: ExtrapolationSettings = QUICK,
) -> Extrapolation:
    return extrapolate(model, start, direction, settings)


@pytest.mark.slow
def test_every_direction_gives_a_film(
    model: StableDiffusionModel, images: tuple[Tensor, Tensor]
) -> None:
    a, b = images
    clip = TensorClip(torch.stack([torch.lerp(a, b, 0.02 * k) for k in range(5)]))
    vector = torch.randn(256, generator=torch.Generator().manual_seed(0)).reshape(4, 8, 8)
    cases: list[tuple[Tensor | TensorClip, Direction]] = [
        (a, Towards(b)),
        (a, Towards(b, straight=True)),
        (a, Past(b)),
        (a, TowardsPrompt("abc")),
        (a, RandomTangent(3)),
        (a, GivenVector(vector)),
        (clip, ClipVelocity(3)),
        (clip, ClipVelocity(5, bend=True)),
    ]
    for start, direction in cases:
        done = run(model, start, direction)
        assert done.frames.shape == (3, 3, 32, 32), direction
        assert done.march.ended
        assert done.times[-1] == done.launch.reach
        assert done.ledger.total.rows > 0
        assert done.march.alpha * done.dim == direction.strength
        assert done.direction.told()
    arrived = run(model, a, Towards(b), replace(QUICK, ray_steps=4)).arrival
    assert arrived is not None
    assert arrived.miss <= arrived.allowed < 0.1 * arrived.chord
    near = run(model, a, Towards(b), replace(QUICK, remedies=Remedies(reestimate=1)))
    assert near.arrival is not None


def test_random_directions_follow_their_seed(
    model: StableDiffusionModel, images: tuple[Tensor, Tensor]
) -> None:
    one, same, other = (
        run(model, images[0], RandomTangent(s), replace(QUICK, frames=2)).frames for s in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_clip_that_moves_evenly_in_latents_is_continued_evenly() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(DIM, generator=generator, dtype=torch.float64)
    step = torch.randn(DIM, generator=generator, dtype=torch.float64)
    line = torch.stack([points + k * step for k in range(5)])
    torch.testing.assert_close(fitted_velocity(line, dg.Flat(), False), step)
    bent = torch.stack([points + k * k * step for k in range(5)])
    torch.testing.assert_close(fitted_velocity(bent, dg.Flat(), True), 8 * step)
    sphere = dg.Sphere(2.0)
    start = sphere.project(points)
    tangent = 0.2 * sphere.to_tangent(start, step)
    circle = torch.stack([sphere.exp(start, k * tangent) for k in range(5)])
    found = fitted_velocity(circle, sphere, False)
    torch.testing.assert_close(sphere.exp(circle[-1], found), sphere.exp(start, 5 * tangent))


def test_the_output_folder(
    model: StableDiffusionModel, images: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    remedies = Remedies(ascent=Ascent(1, 0.05))
    done = run(model, images[0], RandomTangent(), replace(QUICK, compare=True, remedies=remedies))
    written = done.save(tmp_path / "out")
    names = {"strip.png", "comparison.png", "morph.mp4", "report.html", "frames/002.png"}
    assert names <= set(written.files)
    result = json.loads((written.folder / "result.json").read_text())
    for key in "log_density norm noise_energy growth times applied cost settings model".split():
        assert key in result, key
    assert len(result["growth"]) == 3
    assert result["applied"]
    page = (written.folder / "report.html").read_text()
    assert "towards higher density" in page
    assert "in a random direction (seed 0)" in page
    assert load_file(written.folder / "path.safetensors")["latents"].shape == (9, done.dim)
    with pytest.raises(FileExistsError):
        done.save(tmp_path / "out")


def test_bad_input_is_refused_in_one_line(
    model: StableDiffusionModel, images: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    a, b = images
    with pytest.raises(ValueError, match="zero"):
        run(model, a, GivenVector(torch.zeros(256)))
    with pytest.raises(ValueError, match="has 7 numbers.*has 256"):
        run(model, a, GivenVector(torch.ones(7)))
    with pytest.raises(ValueError, match="not finite"):
        run(model, a, GivenVector(torch.full((256,), math.nan)))
    with pytest.raises(ValueError, match="identical"):
        run(model, a, Towards(a))
    with pytest.raises(ValueError, match="prompt to go towards is empty"):
        run(model, a, TowardsPrompt(" "))
    with pytest.raises(ValueError, match="zero"):
        run(model, a, TowardsPrompt("abc", away="abc"))
    with pytest.raises(ValueError, match="known once"):
        run(model, a, Past(b), replace(QUICK, remedies=Remedies(reestimate=2)))
    with pytest.raises(ClipError, match="2 frames"):
        run(model, TensorClip(torch.stack([a, a])), ClipVelocity(3))
    with pytest.raises(ValueError, match="start is a clip"):
        run(model, TensorClip(torch.stack([a, b])), RandomTangent())
    with pytest.raises(ValueError, match="odd number"):
        ClipVelocity(4)
    with pytest.raises(ValueError, match="keep_norm is for flat space"):
        replace(QUICK, remedies=Remedies(keep_norm=True))
    for wrong in ({"frames": 1}, {"reach": 0.0}, {"level": 0.0}, {"band": 1.0}, {"ray_steps": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            replace(QUICK, **wrong)
    with pytest.raises(ValueError, match="ascent size"):
        Ascent(1, 0.0)


def test_vectors_are_read_from_files(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.arange(6.0).reshape(2, 3))
    save_file({"v": torch.ones(4)}, tmp_path / "v.safetensors")
    assert GivenVector.read(tmp_path / "v.npy").vector.shape == (2, 3)
    assert GivenVector.read(tmp_path / "v.safetensors").vector.numel() == 4
    save_file({"v": torch.ones(4), "w": torch.ones(4)}, tmp_path / "two.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    (tmp_path / "broken.npy").write_bytes(b"nothing")
    (tmp_path / "v.txt").write_text("1")
    for name, complaint in (
        ("two.safetensors", "2 arrays"),
        ("broken.safetensors", "broken"),
        ("broken.npy", "broken.npy"),
        ("v.txt", "neither"),
        ("missing.npy", "does not exist"),
    ):
        with pytest.raises(ValueError, match=complaint):
            GivenVector.read(tmp_path / name)


def test_the_command_line_takes_exactly_one_direction() -> None:
    image = Path("b.png")
    nothing = (None, None, None, None, None, None, False, False, "")
    with pytest.raises(ValueError, match="no direction; give exactly one"):
        parse_direction(*nothing)
    with pytest.raises(ValueError, match="--towards and --to-prompt"):
        parse_direction(image, None, "a cat", *nothing[3:])
    with pytest.raises(ValueError, match="--chord goes with --towards"):
        parse_direction(None, image, *nothing[2:6], True, False, "")
    assert parse_direction(image, *nothing[1:6], True, False, "") == Towards(image, straight=True)
    assert parse_direction(*nothing[:3], 0, *nothing[4:]) == RandomTangent(0)
    assert parse_direction(*nothing[:5], 7, False, True, "") == ClipVelocity(7, bend=True)


def test_ssim() -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(2, 3, 24, 20, generator=generator)
    torch.testing.assert_close(ssim(a, a), torch.ones(2).double())
    flat, darker = torch.full_like(a, 0.6), torch.full_like(a, 0.3)
    expected = (2 * 0.18 + 1e-4) / (0.36 + 0.09 + 1e-4)
    torch.testing.assert_close(ssim(flat, darker), torch.full((2,), expected).double())
    noisy = (a + 0.2 * torch.randn(a.shape, generator=generator)).clamp(0, 1)
    assert bool((ssim(a, noisy) < 0.9).all())
    with pytest.raises(ValueError, match="one shape"):
        ssim(a, a[:1])
