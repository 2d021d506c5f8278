"""The main job on a tiny random model: what must hold whatever the weights.

Here paths are geodesics of the shell; ``test_natural`` has those along correspondences, and
``test_chain`` those through several images.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.bvp import Result
from diffusion_geodesics.image_sets.distances import image_distances
from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.interpolation.result import InterpolationResult
from diffusion_geodesics.interpolation.settings import InterpolationSettings, PathName
from diffusion_geodesics.latents.settings import ScoreKind, Spacing
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.runtime.run import Event

QUICK = InterpolationSettings.of(
    steps=8, level=0.5, frames=5, tol=1e-3, path="geodesic", strength=1.0
)
Images = tuple[Tensor, Tensor, Tensor]


@pytest.fixture(scope="module")
def done(model: DiffusionModel, images: Images) -> InterpolationResult:
    return interpolate(model, images[:2], QUICK)


def test_a_morph_has_every_figure(done: InterpolationResult) -> None:
    (segment,) = done.segments
    assert done.frames.shape == (5, 3, *done.pictures.size)
    assert 0 <= float(done.frames.min()) <= float(done.frames.max()) <= 1
    assert (float(done.times[0]), float(done.times[-1])) == (0, 1)
    assert bool((done.times.diff() > 0).all())
    assert segment.solution is not None
    assert segment.solution.result is Result.converged
    assert float(segment.solution.residual) < 1e-3
    assert done.log_density[0] == 0
    assert [p.name for p in segment.profiles] == ["geodesic", "slerp", "lerp"]
    assert done.lengths["geodesic"] <= done.lengths["slerp"] * (1 + 1e-6)
    assert set(done.lengths) == {"geodesic", "slerp"}, "lerp leaves the shell"
    moved = segment.metamorphosis
    assert moved is not None
    assert moved.distance**2 == pytest.approx(moved.motion + moved.appearance)
    a, b = done.pictures.images
    assert 0 < moved.distance <= float((a - b).square().sum(0).mean().sqrt()) * (1 + 1e-6)
    assert done.distance is not None
    assert math.isfinite(done.distance)
    ends = [float(p.log_density[-1]) for p in segment.profiles]
    assert segment.density_disagreement == max(ends) - min(ends)


@pytest.mark.whole
def test_the_ends_are_the_images_as_the_model_reproduces_them(
    model: DiffusionModel, images: Images
) -> None:
    two = interpolate(model, images[:2], QUICK, frames=2)
    for own, best in zip(two.keyframe_psnr, two.codec_psnr, strict=True):
        assert own > best - 0.5
    kept = interpolate(model, images[:2], QUICK, frames=2, keep_pixels=True)
    assert torch.equal(kept.frames, kept.pictures.images)
    assert kept.keyframe_psnr == two.keyframe_psnr, "of the film before the pixels were put in"


@pytest.mark.whole
def test_evaluations_are_counted(
    model: DiffusionModel, images: Images, done: InterpolationResult
) -> None:
    costs, solution = done.costs, done.segments[0].solution
    assert solution is not None
    assert 2 * 4 <= costs["invert"].nfe <= 2 * 4 * (1 + QUICK.inversion.refinements)
    assert costs["decode"].nfe == 5 * 4
    assert costs["compare"].nfe == 3 * 4  # the ends are those of the film
    assert costs["solve"].nfe == solution.nfe
    assert costs["measure"].nfe == 17 + 17  # slerp and lerp
    assert costs["encode"].nfe == 1 + 2 * 2
    ratio = interpolate(model, images[:2], QUICK, prompt="ab", score=ScoreKind.RATIO)
    contrasted = ratio.segments[0].solution
    assert contrasted is not None
    assert ratio.costs["solve"].nfe == 2 * contrasted.nfe
    bump = interpolate(model, images[:2], QUICK, prompt="ab", guidance=2.0, film_only=True)
    assert bump.compared == ()
    assert bump.costs["compare"].nfe == 0
    assert bump.costs["decode"].nfe == (5 + 3) * 4  # no unconditional half at the ends


def test_it_is_deterministic(
    model: DiffusionModel, images: Images, done: InterpolationResult
) -> None:
    again = interpolate(model, images[:2], QUICK)
    assert torch.equal(again.frames, done.frames)
    assert again.lengths == done.lengths


@pytest.mark.whole
def test_exchanging_the_images_reverses_the_path(model: DiffusionModel, images: Images) -> None:
    even = QUICK.updated(spacing=Spacing.PARAMETER, tol=1e-5)
    forth = interpolate(model, images[:2], even)
    back = interpolate(model, images[1::-1], even)
    assert_close(back.frames.flip(0), forth.frames, rtol=0, atol=2e-3)
    assert back.distance == pytest.approx(forth.distance, rel=1e-3)


@pytest.mark.whole
@pytest.mark.parametrize("path", list(PathName))
@pytest.mark.parametrize("flat", [False, True])
def test_every_path_keeps_its_ends(
    model: DiffusionModel, images: Images, path: PathName, flat: bool
) -> None:
    common = InterpolationSettings.of(steps=8, level=0.5, frames=3, flat=flat, strength=1.0)
    solving = {"max_steps": 4, "allow_atypical": True} if path.solved else {}
    morph = interpolate(model, images[:2], common, path=path, **solving)
    (segment,) = morph.segments
    assert morph.strip.name == path.value
    assert path.value not in [strip.name for strip in morph.compared]
    assert "geodesic" in [path.value, *(strip.name for strip in morph.compared)]
    assert (segment.solution is not None) == path.solved
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    still = interpolate(model, images[:2], common, path=PathName.SLERP).segments[0]
    assert_close(segment.profile.path.latent(t), still.profile.path.latent(t))
    for strip in morph.compared:
        assert torch.equal(strip.frames[[0, -1]], morph.frames[[0, -1]])


@pytest.mark.whole
def test_without_strength_the_geodesic_is_slerp(model: DiffusionModel, images: Images) -> None:
    even = QUICK.updated(strength=0.0, spacing=Spacing.PARAMETER)
    plain = interpolate(model, images[:2], even)
    slerp = interpolate(
        model,
        images[:2],
        InterpolationSettings.of(
            steps=8, level=0.5, frames=5, path="slerp", strength=0.0, spacing="parameter"
        ),
    )
    assert_close(plain.frames, slerp.frames, rtol=0, atol=1e-4)
    assert plain.lengths["geodesic"] == pytest.approx(slerp.lengths["slerp"], rel=1e-6)


def test_flat_geodesics_without_strength_are_straight(
    model: DiffusionModel, images: Images
) -> None:
    settings = QUICK.updated(strength=0.0, flat=True, spacing=Spacing.PARAMETER)
    plain = interpolate(model, images[:2], settings, allow_atypical=True)
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    path = plain.segments[0].profile.path.latent(t)
    assert_close(path, torch.lerp(path[:1], path[-1:], t[:, None]), rtol=0, atol=1e-6)


def test_progress_and_cancelling(model: DiffusionModel, images: Images) -> None:
    seen: list[Event] = []
    interpolate(model, images[:2], QUICK, observer=seen.append)
    stages = list(dict.fromkeys(e.stage for e in seen))
    assert stages == ["encode", "invert", "solve", "metamorphosis", "measure", "decode", "compare"]
    solving = [e for e in seen if e.stage == "solve" and e.figures]
    assert solving
    assert all(set(e.figures) == {"residual", "length"} for e in solving)

    def cancel(event: Event) -> None:
        if event.stage == "solve":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interpolate(model, images[:2], QUICK, observer=cancel)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"frames": 1}, "frames"),
        ({"guidance": 3.0}, "give a prompt"),
        ({"score": "ratio"}, "give a prompt"),
        ({"score": "published"}, "give a prompt"),
        ({"score": "published-random", "negative": "x"}, "published solver"),
        ({"level": 0.0}, "level"),
        ({"framez": 3}, "framez.*frames"),
        ({"window": 0.2}, "window"),
        ({"alpha": 1.0, "strength": 1.0}, "alpha"),
        ({"path": "slerp", "max_steps": 3}, "max_steps"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_settings_that_cannot_have_their_effect_are_refused(
    model: DiffusionModel, images: Images, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        interpolate(model, images[:2], **changes)


def test_bad_pictures(model: DiffusionModel, images: Images) -> None:
    with pytest.raises(ValueError, match="identical"):
        interpolate(model, [images[0], images[0]])
    with pytest.raises(ValueError, match="at least 2 images"):
        interpolate(model, images[:1])
    with pytest.raises(ValueError, match=r"tensor of shape \(2, 32, 32\)"):
        interpolate(model, [torch.zeros(2, 32, 32), images[1]])


def test_the_metamorphosis_distance_is_that_of_the_distance_command(
    model: DiffusionModel, done: InterpolationResult
) -> None:
    found = done.segments[0].metamorphosis
    assert found is not None
    matrix = image_distances(model, list(done.pictures.images), metric="metamorphosis").matrix
    assert found.distance == pytest.approx(float(matrix.values[0, 1]))
    assert found.error == pytest.approx(float(matrix.errors[0, 1]))
