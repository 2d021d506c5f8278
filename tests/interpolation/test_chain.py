"""Chains of several keyframes: one batch, the same paths as pair by pair, each keyframe once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.interpolation.paths import Geodesic, Hlerp, Lerp, Natural, Slerp
from diffusion_geodesics.interpolation.result import InterpolationResult
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.latents.encode import Noised, encode, invert
from diffusion_geodesics.latents.pictures import load_pictures
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.runtime.run import Run

Images = tuple[Tensor, Tensor, Tensor]
QUICK = InterpolationSettings.of(
    steps=6, level=0.5, frames=9, tol=1e-4, max_steps=30, path="geodesic", strength=1.0
)
T = torch.linspace(0, 1, 9, dtype=torch.float64)


@pytest.fixture(scope="module")
def chain(model: DiffusionModel, images: Images) -> InterpolationResult:
    return interpolate(model, images, QUICK)


@pytest.fixture(scope="module")
def noised(model: DiffusionModel, images: Images) -> Noised:
    run = Run()
    pictures = load_pictures(model, images, QUICK.framing, least=2)
    return invert(run, encode(run, model, pictures, QUICK.prompts), QUICK.inversion)


@pytest.mark.whole
@pytest.mark.parametrize(
    "method",
    [
        Slerp(),
        Lerp(),
        Hlerp(),
        Geodesic(QUICK.metric, QUICK.solve),
        Natural(QUICK.metric, QUICK.solve),
    ],
    ids=lambda m: m.name,
)
def test_a_batch_of_pairs_is_each_pair_alone(noised: Noised, method: Slerp) -> None:
    pairs = [(0, 1), (1, 2), (2, 0)]
    together = method.join(Run(), noised, pairs)
    for number, pair in enumerate(pairs):
        alone = method.join(Run(), noised, [pair])
        own = together.paths.pair(number).latent(T)
        assert_close(own, alone.paths.pair(0).latent(T), rtol=0, atol=1e-4)
        assert_close(own[[0, -1]], noised.latents[list(pair)])


@pytest.mark.whole
def test_figures_add_up(model: DiffusionModel, images: Images, chain: InterpolationResult) -> None:
    parts = [interpolate(model, images[i : i + 2], QUICK) for i in (0, 1)]
    assert len(chain.segments) == 2
    for name, length in chain.lengths.items():
        assert length == pytest.approx(sum(p.lengths[name] for p in parts), rel=1e-3)
    distances = [p.distance for p in parts]
    assert None not in distances
    assert chain.distance == pytest.approx(sum(d for d in distances if d is not None), rel=1e-3)
    assert chain.distance_error == sum(s.distance_error or 0.0 for s in chain.segments)


def test_every_keyframe_is_shown_once(chain: InterpolationResult) -> None:
    at = chain.strip.timeline.keyframes
    assert (at[0], at[-1], len(at)) == (0, 8, 3)
    assert chain.times[list(at)].tolist() == [0, 1, 2]
    assert bool((chain.times.diff() > 0).all())
    assert min(chain.keyframe_psnr) > min(chain.codec_psnr) - 0.5


def test_log_density_is_one_curve(chain: InterpolationResult) -> None:
    middle = chain.strip.timeline.keyframes[1]
    first, second = (s.profile.log_density for s in chain.segments)
    assert float(chain.log_density[0]) == 0
    assert float(chain.log_density[middle]) == pytest.approx(float(first[-1]), abs=1e-9)
    assert float(chain.log_density[-1]) == pytest.approx(float(first[-1] + second[-1]), abs=1e-9)


def test_prompts_change_from_keyframe_to_keyframe(model: DiffusionModel, images: Images) -> None:
    settings = InterpolationSettings.of(
        steps=6, level=0.5, frames=5, path="slerp", prompt=("ab", "cd", "ab")
    )
    one = interpolate(model, images, settings)
    assert [d.code for d in one.warnings if d.code == "moving_density"] == ["moving_density"]
    with pytest.raises(ValueError, match="prompt"):
        interpolate(model, images, prompt=("ab", "cd"))


def test_too_few_frames(model: DiffusionModel, images: Images) -> None:
    with pytest.raises(ValueError, match="2 frames for 3 images"):
        interpolate(model, images, QUICK, frames=2)
