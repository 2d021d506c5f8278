"""The metric of a density on latents: exact for Gaussian data, one for each pair."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.latents.coordinates import Ambient, shell
from diffusion_geodesics.latents.geometry import (
    Geometry,
    level_geometry,
    path_geometry,
    shared_geometry,
)
from diffusion_geodesics.latents.settings import Metric, ScoreKind
from diffusion_geodesics.manifold import Flat, Manifold, Sphere
from diffusion_geodesics.metric import Hinged
from tests.gaussian_model import SHIFT, gaussian_data
from tests.latents.scenes import noised

DATA = gaussian_data()
DIM = len(DATA.mean)
PAIRS = [(0, 1), (1, 2), (2, 0)]
LETTERS = (0, 4, 2)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_the_score_of_one_condition_is_exact_at_any_batch() -> None:
    here = noised()
    geometry = level_geometry(here.parts, here.encoded.conditions[1], here.level, 0.1)
    x = normal(2, 3, DIM)
    exact = DATA.score(x, here.level.a, here.level.sigma, SHIFT * 4)
    assert_close(geometry.scores(x), exact, rtol=1e-9, atol=1e-9)
    assert geometry.score is geometry.level_score is geometry.search_score


def test_the_noise_energy_is_the_relative_noise_of_a_latent() -> None:
    """σ|s|/√d: 1 on average for latents that carry the noise of the level."""
    here = noised()
    geometry = shared_geometry(here, Metric(), 0)
    score = normal(5, DIM)
    exact = here.level.sigma * score.square().mean(-1).sqrt()
    assert_close(geometry.noise_energy(score), exact)
    noise = geometry.noise_energy(-normal(400, DIM) / here.level.sigma)
    assert float(noise.mean()) == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize("manifold", [Flat(), Sphere(3.0)], ids=["flat", "sphere"])
def test_the_acceleration_of_a_geodesic_is_the_euler_lagrange_equation(
    manifold: Manifold,
) -> None:
    """P⊥ γ'' = -α|γ'|² P⊥ s, in the tangent space."""
    geometry = shared_geometry(noised(), Metric(), 0).with_alpha(0.3)
    x = manifold.project(normal(4, DIM))
    score = normal(4, DIM).flip(0)
    v = manifold.to_tangent(x, normal(4, DIM).roll(1, 1))
    unit = v / v.norm(dim=-1, keepdim=True)

    def across(a: Tensor) -> Tensor:
        a = manifold.to_tangent(x, a)
        return a - (a * unit).sum(-1, keepdim=True) * unit

    found = geometry.geodesic_acceleration(x, v, score, manifold)
    expected = -0.3 * v.square().sum(-1, keepdim=True) * across(score)
    assert_close(across(found), expected, rtol=1e-9, atol=1e-9)
    assert_close(found, manifold.to_tangent(x, found), rtol=1e-9, atol=1e-9)


def test_conditions_go_along_each_path_from_its_first_image_to_its_last() -> None:
    here = noised()
    geometry = path_geometry(here, Metric(strength=3.0), 0, PAIRS)
    assert geometry.alpha == 3.0 / DIM
    t = torch.linspace(0, 1, 5, dtype=torch.float64)[:, None]
    x = normal(5, 3, DIM)
    score = geometry.score(t, x)
    for k, (i, j) in enumerate(PAIRS):
        shift = SHIFT * ((1 - t) * LETTERS[i] + t * LETTERS[j])
        exact = DATA.score(x[:, k], here.level.a, here.level.sigma, shift)
        assert_close(score[:, k], exact, rtol=1e-9, atol=1e-9)
        alone = path_geometry(here, Metric(), 0, [(i, j)])
        assert_close(alone.score(t, x[:, k : k + 1]), score[:, k : k + 1], rtol=1e-9, atol=1e-9)


def test_what_all_images_share_is_the_first_ones_prompt() -> None:
    here = noised(("abcd", "", "x"))
    x = normal(3, DIM)
    exact = DATA.score(x, here.level.a, here.level.sigma, SHIFT * 4)
    assert_close(shared_geometry(here, Metric(), 0).scores(x), exact, rtol=1e-9, atol=1e-9)


def test_a_ratio_is_the_metric_and_densities_stay_those_of_the_level() -> None:
    here = noised()
    geometry = path_geometry(here, Metric(score=ScoreKind.RATIO), 0, [(1, 1)])
    t, x = torch.zeros(1, 1, dtype=torch.float64), normal(1, 1, DIM)
    a, sigma = here.level.a, here.level.sigma
    level = DATA.score(x, a, sigma, SHIFT * 4)
    assert_close(geometry.score(t, x), level - DATA.score(x, a, sigma, SHIFT * 3))
    assert_close(geometry.scores(x), level)
    assert_close(geometry.flow(Ambient()).acceleration(t, x, x), torch.zeros_like(x))


def test_a_random_estimate_is_followed_and_a_fixed_one_measured() -> None:
    here = noised()
    metric = Metric(score=ScoreKind.PUBLISHED_RANDOM, window=0.1, window_nodes=2)
    geometry = path_geometry(here, metric, 0, [(0, 1)])
    t, x = torch.zeros(1, 1, dtype=torch.float64), normal(1, 1, DIM)
    assert torch.equal(geometry.score(t, x), geometry.score(t, x))
    assert not torch.equal(geometry.search_score(t, x), geometry.search_score(t, x))
    for kind in ScoreKind:
        found = path_geometry(here, Metric(score=kind), 0, [(0, 1)])
        assert (found.search_score is found.score) == (kind is not ScoreKind.PUBLISHED_RANDOM)


def test_connections_have_the_strength_and_the_manifold_asked_for() -> None:
    here = noised()
    geometry: Geometry = path_geometry(here, Metric(strength=2.0), 0, [(0, 1)])
    coordinates = shell(here.latents[[0]], here.latents[[1]])
    assert geometry.connection(coordinates).manifold == coordinates.manifold
    y = coordinates.manifold.project(normal(1, 1, DIM))
    v, t = coordinates.manifold.to_tangent(y, normal(1, 1, DIM).flip(-1)), torch.zeros(1, 1)
    bent = geometry.connection(coordinates).acceleration(t, y, v)
    assert_close(geometry.search(coordinates).acceleration(t, y, v), bent)
    free = geometry.flow(coordinates).acceleration(t, y, v)
    twice = geometry.with_alpha(4.0 / DIM).connection(coordinates).acceleration(t, y, v)
    assert_close(twice - free, 2 * (bent - free), rtol=1e-9, atol=1e-9)
    hinged = geometry.search(coordinates, Hinged(1e-3, 1.0))
    assert hinged.weight == Hinged(1e-3, 1.0)
