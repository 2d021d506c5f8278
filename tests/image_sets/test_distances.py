"""Distances between images: known without strength, and exact densities with it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.image_sets.diagnostics import diagnose_distances
from diffusion_geodesics.image_sets.distances import DistancesResult, image_distances
from diffusion_geodesics.image_sets.settings import DistanceSettings, MetricName
from diffusion_geodesics.images import ImageError
from diffusion_geodesics.manifold import Flat
from diffusion_geodesics.runtime.run import Event
from diffusion_geodesics.runtime.settings import SettingsError
from tests.gaussian_model import gaussian_data, gaussian_model, picture

MODEL, DATA = gaussian_model(), gaussian_data()
IMAGES = [picture(k) for k in range(3)]
QUICK = DistanceSettings.of(level=0.25, steps=8, intervals=8, max_steps=20, batch=2)


@pytest.fixture(scope="module")
def done() -> DistancesResult:
    return image_distances(MODEL, IMAGES, QUICK)


def test_in_flat_space_without_strength_they_are_euclidean() -> None:
    found = image_distances(MODEL, IMAGES, QUICK, strength=0.0, flat=True)
    assert found.density.manifold == Flat()
    expected = torch.cdist(found.density.latents[None], found.density.latents[None])[0]
    expected.fill_diagonal_(0)
    assert_close(found.density.matrix.values, expected, rtol=1e-9, atol=1e-6)


def test_on_the_sphere_without_strength_they_are_arcs_of_the_mean_norm() -> None:
    found = image_distances(MODEL, IMAGES, QUICK, strength=0.0)
    norm = float(found.density.latents.norm(dim=1).mean())
    assert found.density.manifold.curvature == pytest.approx(norm**-2)
    unit = found.density.latents / found.density.latents.norm(dim=1, keepdim=True)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        angle = math.acos(float(unit[i] @ unit[j]))
        assert float(found.density.matrix.values[i, j]) == pytest.approx(norm * angle, rel=1e-6)


def test_the_matrix_is_symmetric_and_the_densities_are_those_of_the_gaussian(
    done: DistancesResult,
) -> None:
    values = done.density.matrix.values
    assert_close(values, values.T)
    assert values.diagonal().tolist() == [0, 0, 0]
    assert done.density.matrix.alpha * done.density.dim == pytest.approx(1.0)
    schedule = MODEL.denoiser(16, 16).schedule
    a, sigma = schedule.coefficients(schedule.timestep(8, 0.25))
    x = done.density.manifold.project(done.density.latents)
    log_p = -0.5 * ((x - a * DATA.mean).square() / DATA.variance(a, sigma)).sum(1)
    assert done.density.matrix.log_density is not None
    assert_close(done.density.matrix.log_density, log_p - log_p.mean(), rtol=1e-3, atol=0.05)
    assert done.density.matrix.density_disagreement < 0.05


def test_batches_of_pairs_change_nothing(done: DistancesResult) -> None:
    alone = image_distances(MODEL, IMAGES, QUICK, batch=1)
    assert_close(alone.density.matrix.values, done.density.matrix.values, rtol=1e-4, atol=0)
    assert alone.density.matrix.pairs.tolist() == [[0, 1], [0, 2], [1, 2]]


def test_every_pairs_own_reference_is_another_unit(done: DistancesResult) -> None:
    own = image_distances(MODEL, IMAGES, QUICK, reference="ends")
    level = done.density.matrix.log_density
    assert level is not None
    factor = torch.exp(-0.5 * done.density.matrix.alpha * (level[:, None] + level[None, :]))
    assert_close(own.density.matrix.values * factor, done.density.matrix.values, rtol=1e-4, atol=0)
    assert [w.code for w in own.warnings] == ["own_reference"]


def test_costs_and_progress_are_reported() -> None:
    events: list[Event] = []
    found = image_distances(MODEL, IMAGES, QUICK, observer=events.append)
    assert found.costs["invert"].nfe >= 3 * 2
    assert found.costs["solve"].nfe > 0
    solve = [e for e in events if e.stage == "solve"]
    assert {e.total for e in solve if e.figures} == {3}
    assert all(e.figures["residual"] > 0 for e in solve if e.figures)
    assert solve[-1].done == solve[-1].total == 3


@pytest.mark.whole
def test_a_run_that_was_stopped_goes_on_from_its_file(
    done: DistancesResult, tmp_path: Path
) -> None:
    file = tmp_path / "distances.safetensors"

    def stop(event: Event) -> None:
        if event.stage == "solve" and event.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        image_distances(MODEL, IMAGES, QUICK, resume=file, observer=stop)
    again = image_distances(MODEL, IMAGES, QUICK, resume=file)
    assert_close(again.density.matrix.values, done.density.matrix.values, rtol=0, atol=0)
    assert again.costs["solve"].nfe < done.costs["solve"].nfe, "one pair of three was left"
    for change in ({"level": 0.5}, {"strength": 2.0}, {"prompt": "abc"}):
        with pytest.raises(ValueError, match="distances of other points"):
            image_distances(MODEL, IMAGES, QUICK.updated(**change), resume=file)


def test_images_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 2 images"):
        image_distances(MODEL, IMAGES[:1])
    with pytest.raises(ValueError, match=r"images 1 and 3 .* identical"):
        image_distances(MODEL, [IMAGES[0], IMAGES[1], IMAGES[0]])
    (tmp_path / "note.txt").write_text("hello")
    with pytest.raises(ImageError, match="not an image"):
        image_distances(MODEL, [IMAGES[0], tmp_path / "note.txt"])


def test_settings_that_cannot_be_used() -> None:
    for name, value in {"level": 0.0, "strength": -1.0, "batch": 0}.items():
        with pytest.raises(SettingsError, match=f"^{name} is"):
            DistanceSettings.of(**{name: value})
    with pytest.raises(SettingsError, match="random score differs at each call"):
        DistanceSettings.of(score="published-random", negative="x")


@pytest.mark.whole
def test_every_metric_at_once(done: DistancesResult) -> None:
    found = image_distances(MODEL, IMAGES, QUICK, metric="all", edge=8)
    assert list(found.matrices) == [name for name in MetricName if name is not MetricName.ALL]
    assert torch.equal(found.matrix.values, done.matrix.values)
    assert found.costs.total.nfe == done.costs.total.nfe
    clean = MODEL.codec(16, 16).encode(torch.stack(IMAGES)).double()
    latent = found.matrices[MetricName.LATENT].values
    assert_close(latent, (clean[:, None] - clean).norm(dim=2), rtol=1e-6, atol=0)
    pixels = found.matrices[MetricName.EUCLIDEAN].values
    gap = (IMAGES[0] - IMAGES[2]).square().sum(0).mean().sqrt()
    assert float(pixels[0, 2]) == pytest.approx(float(gap), rel=1e-6)
    moving = found.metamorphosis.values
    assert bool((moving <= pixels * (1 + 1e-5)).all()), "reduced by areas, and free to move"
    assert bool((found.metamorphosis.motion[0, 1:] > 0).all())


@pytest.mark.parametrize("metric", ["metamorphosis", "latent", "euclidean"])
def test_two_images_without_the_network(metric: str) -> None:
    events: list[Event] = []
    found = image_distances(MODEL, IMAGES[:2], metric=metric, observer=events.append)
    assert found.costs.total.nfe == 0
    assert {name.value for name in found.matrices} == {metric, "euclidean"}
    assert found.settings.distance.metric.value == next(iter(found.matrices)).value
    assert 0 < float(found.matrix.values[0, 1]) < math.inf
    with pytest.raises(ValueError, match=f"measured: {metric}.*expected density"):
        _ = found.density
    if metric != "metamorphosis":
        assert torch.equal(found.matrix.errors, torch.zeros(2, 2).double())
        with pytest.raises(ValueError, match="expected metamorphosis"):
            _ = found.metamorphosis


def test_stiff_metamorphoses_are_euclidean() -> None:
    found = image_distances(MODEL, IMAGES, metric="metamorphosis", motion_weight=1e8)
    assert_close(
        found.matrix.values, found.matrices[MetricName.EUCLIDEAN].values, rtol=1e-5, atol=0
    )


def test_metamorphoses_go_on_from_their_own_file(tmp_path: Path) -> None:
    file = tmp_path / "kept.safetensors"
    settings = DistanceSettings.of(metric="metamorphosis", edge=8)
    first = image_distances(MODEL, IMAGES, settings, resume=file)
    assert [each.name for each in tmp_path.iterdir()] == ["kept.metamorphosis.safetensors"]
    events: list[Event] = []
    again = image_distances(MODEL, IMAGES, settings, resume=file, observer=events.append)
    assert torch.equal(first.matrix.values, again.matrix.values)
    assert [(e.done, e.total) for e in events if e.stage == "metamorphosis"] == [(0, 3), (3, 3)]
    with pytest.raises(ValueError, match="distances of other points"):
        image_distances(MODEL, IMAGES, settings.updated(motion_weight=0.5), resume=file)


def names(count: int) -> list[str]:
    return [f"{k}.png" for k in range(count)]


def test_failed_pairs_and_large_errors_are_named(done: DistancesResult) -> None:
    assert diagnose_distances(done.density.matrix, names(3)) == ()
    stuck = image_distances(MODEL, IMAGES, QUICK, strength=300.0, max_steps=1, tol=1e-9)
    (first, *_) = stuck.warnings
    assert first.code == "not_converged"
    assert f"{len(stuck.density.matrix.failed)} of 3 pairs (image 1 and image 2" in first.message
    wide: Tensor = torch.full_like(done.density.matrix.relative, 0.2)
    vague = replace(done.density.matrix, relative_error=wide)
    found = {d.code: d for d in diagnose_distances(vague, names(3))}
    assert 0.2 <= float(str(found["large_error"].data["relative_error"])) < 0.25
