"""What is measured along paths: exact for Gaussian data."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.comparison.at_level import AtLevel
from diffusion_geodesics.comparison.method import Context
from diffusion_geodesics.comparison.path_quantities import PATH_QUANTITIES, path_scores
from diffusion_geodesics.interpolation.paths import Geodesic, Lerp
from diffusion_geodesics.latents.settings import Metric, Solve
from diffusion_geodesics.length import measure
from tests.comparison.scenes import QUICK, context
from tests.gaussian_model import gaussian_data

DATA = gaussian_data()
T = torch.linspace(0, 1, 5, dtype=torch.float64)


@pytest.fixture(scope="module")
def here() -> Context:
    return context(QUICK)


def found(here: Context, method: AtLevel) -> dict[str, float]:
    return path_scores(*here.geometry(), method.path(here, "pair").latent_path, T)


def test_without_a_path_nothing_is_measured(here: Context) -> None:
    scores = path_scores(*here.geometry(), None, T)
    assert set(scores) == {q.name for q in PATH_QUANTITIES}
    assert all(math.isnan(v) for v in scores.values())


@pytest.mark.parametrize("method", [AtLevel(), AtLevel(Lerp())], ids=lambda m: m.name)
def test_density_energy_and_norm_are_those_of_the_closed_form(
    here: Context, method: AtLevel
) -> None:
    path = method.path(here, "pair").latent_path
    assert path is not None
    fine = torch.linspace(0, 1, 2001, dtype=torch.float64)
    x, level = path.latent(fine)[:, 0], here.noised.level
    variance = DATA.variance(level.a, level.sigma)
    log_p = -0.5 * ((x - level.a * DATA.mean).square() / variance).sum(-1)
    log_p = log_p - 0.5 * (log_p[0] + log_p[-1])
    scores = found(here, method)
    assert scores["log p min"] == pytest.approx(float(log_p.min()), abs=1e-3)
    assert scores["log p middle"] == pytest.approx(float(log_p[1000]), abs=1e-4)
    assert scores["log p mean"] == pytest.approx(float(log_p[[500, 1000, 1500]].mean()), abs=1e-4)
    energy = DATA.score(x, level.a, level.sigma).norm(dim=-1)
    least = float(energy.min() / energy[[0, -1]].min())
    assert scores["noise energy"] == pytest.approx(least, rel=1e-4)
    norms = x.norm(dim=-1)
    assert scores["norm"] == pytest.approx(float(norms.min() / norms[[0, -1]].mean()), rel=1e-3)


def test_the_geodesic_is_shortest_and_has_the_least_residual(here: Context) -> None:
    metric, fine = here.settings.metric, Solve(tol=1e-5, max_steps=60, intervals=(16, 32))
    geodesic = found(here, AtLevel(Geodesic(metric, fine)))
    slerp = found(here, AtLevel())
    assert geodesic["length"] < slerp["length"]
    assert geodesic["residual"] < 1e-2
    assert slerp["residual"] > 0.1


def test_without_strength_slerp_is_a_geodesic_as_long_as_its_arc() -> None:
    here = context(QUICK.updated(strength=0.0))
    geometry, coordinates = here.geometry()
    scores = found(here, AtLevel())
    ends = coordinates.coordinates(
        torch.tensor([0.0, 1.0], dtype=torch.float64), here.ends[:, None]
    )[:, 0]
    radius = math.sqrt(here.ends.shape[1])
    angle = math.acos(float((ends[0] * ends[1]).sum()) / radius**2)
    assert scores["length"] == pytest.approx(radius * angle, rel=1e-9)
    path = AtLevel().path(here, "pair").latent_path
    assert path is not None
    same = measure(geometry.connection(coordinates), path.path, intervals=32)
    assert_close(same.length, torch.tensor([radius * angle], dtype=torch.float64))


def test_strength_is_that_of_the_comparison(here: Context) -> None:
    strong = context(QUICK.updated(strength=8.0))
    assert strong.geometry()[0].alpha == 8.0 / len(DATA.mean)
    assert here.settings.metric == Metric()
    assert found(strong, AtLevel())["length"] != found(here, AtLevel())["length"]
