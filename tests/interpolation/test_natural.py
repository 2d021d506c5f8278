"""Morphs along correspondences between the images: the default."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.interpolation.estimate import estimate
from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.interpolation.paths import Natural, path_method
from diffusion_geodesics.interpolation.result import InterpolationResult, Segment
from diffusion_geodesics.interpolation.settings import InterpolationSettings, PathName
from diffusion_geodesics.latents.coordinates import Ambient, MovingFrame, Shell
from diffusion_geodesics.latents.settings import ScoreKind, Spacing
from diffusion_geodesics.models import DiffusionModel, FunctionModel, from_denoiser
from diffusion_geodesics.path import chord
from diffusion_geodesics.reporting.jobs.interpolation_figures import shown
from diffusion_geodesics.runtime.run import Event

QUICK = InterpolationSettings.of(steps=6, level=0.5, frames=3, max_steps=8, strength=1.0)
Images = tuple[Tensor, Tensor, Tensor]


@pytest.fixture(scope="module")
def done(model: DiffusionModel, images: Images) -> InterpolationResult:
    return interpolate(model, images[:2], QUICK)


@pytest.fixture(scope="module")
def still(model: DiffusionModel, images: Images) -> InterpolationResult:
    return interpolate(model, images[:2], QUICK, path=PathName.GEODESIC)


def segment(result: InterpolationResult) -> Segment:
    (only,) = result.segments
    return only


def featureless(features: bool = False) -> FunctionModel:
    """A model of standard normal images; its features, if it has them, are its input."""

    def mean(x: Tensor, sigma: float) -> Tensor:
        return x / (1 + sigma**2)

    return from_denoiser(mean, (3, 8, 12), features=(lambda x, sigma: (x,)) if features else None)


def test_it_is_the_default_but_not_the_papers() -> None:
    assert isinstance(path_method(InterpolationSettings()), Natural)
    assert InterpolationSettings.preset("published").path is PathName.GEODESIC


# What its frames show


def test_frames_are_mixtures_but_where_they_are_improbable(
    model: DiffusionModel, images: Images, done: InterpolationResult
) -> None:
    mixture = segment(done).mixture
    assert mixture is not None
    assert bool((mixture.weight[[0, -1]] == 0).all())
    sampled = interpolate(model, images[:2], QUICK, excess=0.0, spacing=Spacing.PARAMETER)
    assert segment(sampled).mixture is None
    assert sampled.costs["match"].nfe == 24
    tolerant = interpolate(model, images[:2], QUICK, excess=1e8, spacing=Spacing.PARAMETER)
    between = segment(tolerant).mixture
    assert between is not None
    t = torch.tensor([0.5], dtype=torch.float64)
    shown = model.codec(*done.pictures.size).decode(between.clean(t))
    assert_close(tolerant.frames[1:2], shown.to(tolerant.frames), rtol=0, atol=1e-3)
    assert_close(segment(done).profile.path.latent(t), segment(sampled).profile.path.latent(t))


def test_with_guidance_frames_are_samples(model: DiffusionModel, images: Images) -> None:
    guided = interpolate(model, images[:2], QUICK, prompt="ab", guidance=2.0, film_only=True)
    assert segment(guided).mixture is None
    assert guided.costs["match"].nfe == 24


def test_the_report_says_what_was_done(
    model: DiffusionModel, images: Images, done: InterpolationResult
) -> None:
    def words(result: InterpolationResult) -> str:
        return shown(result).words

    warped = "Warped along correspondences of the images"
    improbable = "and sampled where the warped images are improbable"
    assert words(done) == f"{warped}, bent by the density, {improbable}"
    bare = interpolate(model, images[:2], QUICK, strength=0.0, excess=0.0, film_only=True)
    assert words(bare) == f"{warped}, and sampled by the network everywhere"
    plain = interpolate(featureless(), images[:2], QUICK, size=(8, 12), film_only=True)
    assert words(plain).startswith("The geodesic")


# What changes against the geodesic of the shell


def test_the_film_begins_and_ends_with_the_images_through_the_autoencoder(
    done: InterpolationResult, still: InterpolationResult
) -> None:
    assert done.keyframe_psnr == pytest.approx(done.codec_psnr, abs=1e-3)
    assert done.keyframe_psnr != pytest.approx(still.keyframe_psnr, abs=1e-3)
    assert float((done.frames[1] - still.frames[1]).abs().max()) > 1e-3
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    own, other = (segment(r).profile.path.latent(t) for r in (done, still))
    assert_close(own, other)


def test_the_frame_moves_over_the_shell(
    done: InterpolationResult, still: InterpolationResult
) -> None:
    frame = segment(done).profile.path.coordinates
    assert isinstance(frame, MovingFrame)
    assert isinstance(frame.still, Shell)
    assert frame.still == segment(still).profile.path.coordinates
    matches = segment(done).matches
    assert matches is not None
    assert 0 < matches.moved < 1
    assert segment(still).matches is None
    height, width = done.pictures.size
    rows, columns = matches.displacement.shape[:2]
    assert height * columns == width * rows, "a grid over the whole image"


def test_the_distance_is_that_of_the_geodesic_which_is_solved_for_beside(
    done: InterpolationResult, still: InterpolationResult
) -> None:
    own = segment(done).geodesic
    assert own is not None
    assert segment(still).beside is None, "nothing is solved twice"
    assert still.costs["geodesic"].nfe == 0
    assert done.costs["geodesic"].nfe == own.nfe <= 200
    assert done.distance_error is not None
    assert done.distance == pytest.approx(still.distance, rel=1e-3)
    assert set(done.lengths) == set(still.lengths) == {"slerp", "geodesic"}
    assert [p.name for p in segment(done).profiles] == ["natural", "slerp", "lerp", "geodesic"]
    assert [strip.name for strip in done.compared] == ["slerp", "geodesic"]
    assert [strip.name for strip in still.compared] == ["slerp"]
    for name in ("slerp", "lerp"):
        own, other = (
            next(p for p in segment(r).profiles if p.name == name).log_density
            for r in (done, still)
        )
        assert_close(own, other)


@pytest.mark.whole
def test_without_strength_it_is_the_warped_path(model: DiffusionModel, images: Images) -> None:
    """Nothing is solved, and the path is the chord of the moving frame."""
    free = interpolate(model, images[:2], QUICK, strength=0.0)
    path = segment(free).profile.path
    assert segment(free).solution is None
    assert free.costs["solve"].nfe == 0
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    corners = path.path(t[[0, -1]])
    arc = chord(corners[0], corners[1], path.coordinates.manifold)
    assert_close(path.path(t), arc(t), rtol=0, atol=1e-6)
    slightly = interpolate(
        model,
        images[:2],
        QUICK,
        strength=1e-6,
        spacing=Spacing.PARAMETER,
        allow_atypical=True,
    )
    assert_close(segment(slightly).profile.path.latent(t), path.latent(t), rtol=0, atol=1e-4)


@pytest.mark.whole
@pytest.mark.parametrize(
    "changes",
    [{"flat": True}, {"score": ScoreKind.SDS, "window_nodes": 2, "prompt": "ab"}],
    ids=["flat", "sds"],
)
def test_other_geometries_are_warped_as_well(
    model: DiffusionModel, images: Images, changes: dict[str, Any]
) -> None:
    settings = InterpolationSettings.of(
        steps=6, level=0.5, frames=3, strength=1.0, film_only=True, **changes
    )
    morph = interpolate(model, images[:2], settings, max_steps=2, allow_atypical=True)
    frame = segment(morph).profile.path.coordinates
    assert isinstance(frame, MovingFrame)
    assert isinstance(frame.still, Ambient) == settings.metric.flat
    plain = interpolate(model, images[:2], settings, path=PathName.SLERP)
    assert float((morph.frames[1] - plain.frames[1]).abs().max()) > 1e-3


@pytest.mark.whole
def test_it_is_deterministic_and_reports_each_stage(
    model: DiffusionModel, images: Images, done: InterpolationResult
) -> None:
    seen: list[Event] = []
    again = interpolate(model, images[:2], QUICK, observer=seen.append)
    assert torch.equal(again.frames, done.frames)
    stages = list(dict.fromkeys(e.stage for e in seen))
    beside = ["geodesic", "metamorphosis", "measure"]
    assert stages == ["encode", "invert", "match", "solve", *beside, "decode", "compare"]


# Cost


def test_evaluations_are_counted_and_predicted(
    model: DiffusionModel, done: InterpolationResult, still: InterpolationResult
) -> None:
    assert (done.costs["match"].nfe, done.costs["match"].batches) == (34, 5)
    assert done.costs["match"].seconds > 0
    names = [[name for name, _ in r.costs.stages] for r in (done, still)]
    assert names[1] == [name for name in names[0] if name not in ("match", "geodesic")]
    assert done.costs["measure"].nfe == still.costs["measure"].nfe == 2 * 17
    frames = len(done.frames)
    assert done.costs["decode"].nfe * frames == still.costs["decode"].nfe * (frames - 2)
    for run in (done, still):
        predicted = estimate(model, run.settings.updated(size=run.pictures.size)).costs
        assert predicted.total.nfe >= run.costs.total.nfe
        for stage in ("match", "measure", "decode", "compare"):
            assert predicted[stage].nfe == run.costs[stage].nfe


def test_a_film_alone_is_the_same_film(
    model: DiffusionModel, images: Images, done: InterpolationResult
) -> None:
    alone = interpolate(model, images[:2], QUICK, film_only=True)
    assert_close(alone.frames, done.frames, rtol=0, atol=1e-6)
    assert_close(alone.times, done.times)
    film = ("encode", "invert", "match", "solve", "decode")
    nothing = {"measure": 0, "write": 0}
    assert {name: cost.nfe for name, cost in alone.costs.stages} | nothing == {
        name: done.costs[name].nfe for name in film
    } | nothing
    assert (alone.distance, alone.compared, alone.lengths) == (None, (), {})
    assert segment(alone).metamorphosis is None


# Without features


@pytest.mark.whole
def test_a_model_without_features_says_so_and_bends_about_the_great_circle() -> None:
    noise = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(3))
    settings = QUICK.updated(size=(8, 12), allow_atypical=True)
    asked = interpolate(featureless(), list(noise), settings)
    plain = interpolate(featureless(), list(noise), settings, path=PathName.GEODESIC)
    assert torch.equal(asked.frames, plain.frames)
    assert asked.distance == plain.distance is not None
    assert segment(asked).matches is None
    assert [d.code for d in asked.warnings if d.code == "no_features"] == ["no_features"]
    assert "no_features" not in [d.code for d in plain.warnings]
    assert asked.costs["match"].nfe == 0
    assert asked.costs.total.nfe == plain.costs.total.nfe
    predicted = estimate(featureless(), settings).costs
    assert "match" not in dict(predicted.stages)
    assert asked.costs["solve"].nfe <= predicted["solve"].nfe
    assert predicted == estimate(featureless(), settings.updated(path=PathName.GEODESIC)).costs
    other = interpolate(featureless(True), list(noise), settings)
    assert segment(other).matches is not None
    assert "no_features" not in [d.code for d in other.warnings]
