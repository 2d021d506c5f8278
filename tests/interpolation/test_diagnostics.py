"""Warnings: each appears exactly where its condition holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from diffusion_geodesics.bvp import Result
from diffusion_geodesics.interpolation.diagnostics import (
    AtypicalError,
    demand_typical,
    diagnose,
    is_atypical,
)
from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.interpolation.result import InterpolationResult, Segment
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.models import DiffusionModel

QUICK = InterpolationSettings.of(
    steps=6, level=0.5, frames=3, path="geodesic", strength=1.0, film_only=True
)


@pytest.fixture(scope="module")
def done(model: DiffusionModel, images: tuple[Tensor, Tensor, Tensor]) -> InterpolationResult:
    return interpolate(model, images[:2], QUICK)


def codes(result: InterpolationResult) -> list[str]:
    return [d.code for d in diagnose(result)]


def with_segment(result: InterpolationResult, segment: Segment) -> InterpolationResult:
    return replace(result, segments=(segment,))


def test_a_result_carries_its_warnings(done: InterpolationResult) -> None:
    found = [d.code for d in done.warnings]
    # The pictures are smoother than this data, which has full rank.
    assert found == ["foreign", "noise", *codes(done)]
    assert "not_converged" not in codes(done)
    assert "large_error" not in codes(done)


def test_a_length_with_a_large_error_bar(done: InterpolationResult) -> None:
    (segment,) = done.segments
    assert segment.solution is not None
    for share, warned in ((0.3, True), (0.01, False)):
        unsure = replace(segment.solution, distance_error=share * segment.solution.length)
        found = codes(with_segment(done, replace(segment, solution=unsure)))
        assert ("large_error" in found) == warned


def test_a_solver_that_did_not_converge(done: InterpolationResult) -> None:
    (segment,) = done.segments
    assert segment.solution is not None
    stopped = replace(segment.solution, results=(Result.max_steps,))
    failed = with_segment(done, replace(segment, solution=stopped))
    (found,) = [d for d in diagnose(failed) if d.code == "not_converged"]
    assert Result.max_steps.message in str(found)
    assert found.data["residual"] == float(stopped.residual)


def test_a_path_that_leaves_the_typical_set(
    model: DiffusionModel, images: tuple[Tensor, Tensor, Tensor], done: InterpolationResult
) -> None:
    (segment,) = done.segments
    assert not is_atypical(segment)
    energy = segment.profile.noise_energy.clone()
    energy[len(energy) // 2] = 0.4 * energy[0]
    low = replace(segment, profile=replace(segment.profile, noise_energy=energy))
    low = replace(low, references=(segment.profile,))
    assert is_atypical(low)
    assert "atypical" in codes(with_segment(done, low))
    assert "atypical" not in codes(done)
    demand_typical(done.segments, QUICK)
    with pytest.raises(AtypicalError, match="allow_atypical"):
        demand_typical([low], QUICK)
    line = InterpolationSettings.of(steps=6, level=0.9, frames=3, path="lerp", film_only=True)
    morph = interpolate(model, images[:2], line)
    assert is_atypical(morph.segments[0]) == ("atypical" in codes(morph))


def test_the_codec(done: InterpolationResult) -> None:
    good = replace(done, codec_psnr=(40.0, 40.0), keyframe_psnr=(39.0, 39.0))
    assert "inversion_loss" not in codes(good)
    assert "inversion_loss" in codes(replace(good, keyframe_psnr=(39.0, 36.0)))


def test_the_density_gained(done: InterpolationResult) -> None:
    (segment,) = done.segments
    raised = segment.profile.log_density.clone()
    raised[len(raised) // 2] = raised[[0, -1]].max() + 0.11 * done.dim
    dense = replace(segment, profile=replace(segment.profile, log_density=raised))
    assert "density_gain" in codes(with_segment(done, dense))
    flat = replace(segment, profile=replace(segment.profile, log_density=torch.zeros_like(raised)))
    assert "density_gain" not in codes(with_segment(done, flat))


def test_what_the_lengths_mean(
    model: DiffusionModel, images: tuple[Tensor, Tensor, Tensor]
) -> None:
    unsolved = InterpolationSettings.of(steps=6, level=0.5, frames=3, film_only=True, path="slerp")
    plain = interpolate(model, images[:2], unsolved)
    assert not {"moving_density", "other_score"} & set(codes(plain))
    two = interpolate(model, images[:2], unsolved, prompt=("ab", "cd"))
    assert "moving_density" in codes(two)
    ratio = interpolate(model, images[:2], unsolved, prompt="ab", score="ratio")
    assert "other_score" in codes(ratio)
