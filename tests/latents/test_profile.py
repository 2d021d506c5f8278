"""What happens along paths of latents: exact for Gaussian data, pairs in a batch as one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.latents.coordinates import Ambient, Coordinates, MovingFrame, shell
from diffusion_geodesics.latents.geometry import Geometry, path_geometry
from diffusion_geodesics.latents.profile import LatentPath, LatentProfile, measure_paths
from diffusion_geodesics.latents.settings import Metric, ScoreKind
from diffusion_geodesics.length import measure
from diffusion_geodesics.manifold import Sphere
from diffusion_geodesics.path import GreatArc, HalfwayNorm, Line, Path, Spline
from diffusion_geodesics.runtime.cost import Counts
from diffusion_geodesics.runtime.run import Run
from tests.gaussian_model import gaussian_data
from tests.latents.scenes import noised

DATA = gaussian_data()
PAIRS = [(0, 1), (1, 2), (2, 0)]
BOTH = torch.tensor([0.0, 1.0], dtype=torch.float64)
PLAIN = ("", "", "")
"""Without prompts the density does not change along a path, so that it has a closed form."""


def slerp(ends: Tensor, coordinates: Coordinates) -> LatentPath:
    corners = coordinates.coordinates(BOTH, ends)
    return LatentPath("slerp", GreatArc(corners[0], corners[1]), coordinates)


def lerp(ends: Tensor) -> LatentPath:
    return LatentPath("lerp", Line(ends[0], ends[1]), Ambient())


def scene(run: Run | None = None, **metric: object) -> tuple[Geometry, Tensor, Coordinates]:
    """The metric between pairs of the images, both latents of each, and their shells."""
    here = noised(PLAIN, run=run)
    geometry = path_geometry(here, Metric.model_validate(metric), 0, PAIRS)
    ends = here.latents[torch.tensor(PAIRS).T]
    return geometry, ends, shell(ends[0], ends[1])


def log_p(x: Tensor, geometry: Geometry) -> Tensor:
    """log p of the noised Gaussian, up to a constant."""
    a, sigma = geometry.level.a, geometry.level.sigma
    return -0.5 * ((x - a * DATA.mean).square() / DATA.variance(a, sigma)).sum(-1)


@pytest.mark.parametrize("path", ["slerp", "lerp"])
def test_density_norm_noise_and_clean_latents_are_exact(path: str) -> None:
    geometry, ends, coordinates = scene()
    paths = slerp(ends, coordinates) if path == "slerp" else lerp(ends)
    found = measure_paths(geometry, coordinates, paths)
    a, sigma = geometry.level.a, geometry.level.sigma
    assert [p.name for p in found] == [path] * 3
    for pair, profile in enumerate(found):
        x = paths.latent(profile.t)[:, pair]
        assert_close(profile.path.latent(profile.t), x)
        exact = log_p(x, geometry)
        assert_close(profile.log_density, exact - exact[0], rtol=1e-7, atol=1e-7)
        assert_close(profile.norm, x.norm(dim=-1))
        energy = sigma * DATA.score(x, a, sigma).square().mean(-1).sqrt()
        assert_close(profile.noise_energy, energy, rtol=1e-9, atol=1e-9)
        assert_close(profile.clean, DATA.clean(x, a, sigma), rtol=1e-9, atol=1e-9)
        assert profile.comparable == (path == "slerp")
        u = torch.rand(5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        at = log_p(paths.latent(u)[:, pair], geometry) - exact[0]
        assert_close(profile.log_density_at(u), at, rtol=1e-6, atol=1e-6)
        denser = exact[[0, -1]].max()
        assert profile.gain == pytest.approx(float(exact.max() - denser), abs=1e-6)
        least = float(energy.min() / energy[[0, -1]].min())
        assert profile.least_energy == pytest.approx(least, rel=1e-9)


def test_lengths_are_those_of_the_closed_form() -> None:
    """∫ exp(-α ∫ s·dy) |dy| of the coordinates y, by a fine trapezoidal rule, with the exact
    score of the noised Gaussian."""
    geometry, ends, coordinates = scene(strength=1.0)
    paths = slerp(ends, coordinates)
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    y, rate = paths.path(t), paths.path(t, 1)
    factor = coordinates.scale(t[:, None])[..., None]
    score = factor * DATA.score(factor * y, geometry.level.a, geometry.level.sigma)
    climbed = torch.cumulative_trapezoid((score * rate).sum(-1), t, dim=0)
    weight = torch.exp(-geometry.alpha * torch.cat([torch.zeros(1, 3), climbed]))
    exact = torch.trapezoid(weight * rate.norm(dim=-1), t, dim=0)
    for pair, profile in enumerate(measure_paths(geometry, coordinates, paths)):
        assert profile.length == pytest.approx(float(exact[pair]), rel=1e-6)


@pytest.mark.parametrize("score", [ScoreKind.LEVEL, ScoreKind.RATIO])
def test_a_batch_of_pairs_is_measured_as_one_by_one(score: ScoreKind) -> None:
    here = noised()
    ends = here.latents[torch.tensor(PAIRS).T]
    metric = Metric(score=score, strength=2.0)
    together = shell(ends[0], ends[1])
    geometry = path_geometry(here, metric, 0, PAIRS)
    for paths in (slerp(ends, together), lerp(ends)):
        every = measure_paths(geometry, together, paths)
        for k, pair in enumerate(PAIRS):
            own = ends[:, k : k + 1]
            alone = shell(own[0], own[1])
            path = slerp(own, alone) if paths.name == "slerp" else lerp(own)
            (one,) = measure_paths(path_geometry(here, metric, 0, [pair]), alone, path)
            for name in ("t", "log_density", "norm", "noise_energy", "clean"):
                assert_close(getattr(every[k], name), getattr(one, name), rtol=1e-8, atol=1e-8)
            assert every[k].length == pytest.approx(one.length, rel=1e-9)
            assert_close(every[k].metric.distance, one.metric.distance)


def test_a_line_is_measured_in_its_own_flat_space_where_it_is_shorter_than_the_arc() -> None:
    geometry, ends, coordinates = scene()
    arcs = measure_paths(geometry.with_alpha(0.0), coordinates, slerp(ends, coordinates))
    lines = measure_paths(geometry.with_alpha(0.0), coordinates, lerp(ends))
    for pair in range(3):
        chord = float((ends[1] - ends[0])[pair].norm())
        assert lines[pair].length == pytest.approx(chord, rel=1e-9)
        assert lines[pair].length < arcs[pair].length
    (flat, *_) = measure_paths(geometry, Ambient(), lerp(ends))
    assert flat.comparable


def test_fewer_points_cost_less_and_give_the_same_curves() -> None:
    run = Run()
    geometry, ends, coordinates = scene(run)
    before = run.meter.read()
    (few, *_) = measure_paths(geometry, coordinates, slerp(ends, coordinates), intervals=16)
    assert (run.meter.read() - before).nfe == 17 * 3
    (many, *_) = measure_paths(geometry, coordinates, slerp(ends, coordinates))
    assert_close(few.log_density_at(many.t), many.log_density, rtol=1e-5, atol=1e-5)


def test_what_is_known_is_not_measured_again() -> None:
    run = Run()
    geometry, ends, coordinates = scene(run)
    paths = slerp(ends, coordinates)
    before = run.meter.read()
    fresh = measure_paths(geometry, coordinates, paths)
    spent = run.meter.read() - before
    assert (spent.nfe, spent.batches) == (33 * 3, 1)
    known = measure(geometry.connection(coordinates), paths.path, intervals=32)
    before = run.meter.read()
    again = measure_paths(geometry, coordinates, paths, known)
    assert run.meter.read() == before
    for mine, theirs in zip(again, fresh, strict=True):
        assert_close(mine.log_density, theirs.log_density)
        assert mine.length == theirs.length


def test_a_ratio_costs_two_evaluations_more_at_each_point() -> None:
    run = Run()
    geometry, ends, coordinates = scene(run, score="ratio")
    before = run.meter.read()
    measure_paths(geometry, coordinates, slerp(ends, coordinates))
    spent = run.meter.read() - before
    assert spent == Counts(nfe=33 * 3 * (2 + 1), batches=2)


def test_along_a_warped_path_density_is_that_of_its_latents() -> None:
    geometry, ends, still = scene()
    t = torch.linspace(0, 1, 33, dtype=torch.float64)[:, None, None]
    aside = torch.randn(3, ends.shape[2], generator=torch.Generator().manual_seed(4)).double()
    offset = 0.3 * (torch.pi * t).sin() * aside
    offset[[0, -1]] = 0
    frame = MovingFrame(still, Spline(offset))
    paths = replace(slerp(ends, frame), name="warped")
    found: tuple[LatentProfile, ...] = measure_paths(geometry, still, paths)
    for pair, profile in enumerate(found):
        x = paths.latent(profile.t)[:, pair]
        exact = log_p(x, geometry)
        assert_close(profile.log_density, exact - exact[0], rtol=1e-4, atol=1e-3)
        assert_close(profile.norm, x.norm(dim=-1))
        assert not profile.comparable


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@pytest.mark.parametrize(
    "path",
    [
        Line(*normal(2, 3, 6)),
        GreatArc(*normal(2, 3, 6)),
        Spline(Sphere(2.0).project(normal(7, 3, 6)), Sphere(2.0)),
    ],
    ids=lambda p: type(p).__name__,
)
def test_the_path_of_a_pair_is_a_column_of_the_paths(path: Path) -> None:
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    ends = path(BOTH)
    paths = LatentPath("p", path, shell(2 * ends[0], 3 * ends[1]))
    for pair in range(3):
        one = paths.pair(pair)
        assert one.name == "p"
        assert_close(one.latent(t), paths.latent(t)[:, pair])
        for order in (0, 1):
            assert_close(one.path(t, order), path(t, order)[:, pair])


def test_paths_of_other_kinds_have_no_pairs() -> None:
    with pytest.raises(TypeError, match="HalfwayNorm"):
        LatentPath("p", HalfwayNorm(*normal(2, 3, 6)), Ambient()).pair(0)
