"""Frames at equal steps: of the parameter, of the metric, of the denoised latents."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.latents.coordinates import shell
from diffusion_geodesics.latents.geometry import path_geometry
from diffusion_geodesics.latents.profile import LatentPath, LatentProfile, measure_paths
from diffusion_geodesics.latents.settings import Metric, Spacing
from diffusion_geodesics.latents.spacing import frame_times, perceptual_length
from diffusion_geodesics.path import GreatArc, Spline
from tests.gaussian_model import gaussian_data
from tests.latents.scenes import noised

DATA = gaussian_data()
FINE = torch.linspace(0, 1, 1001, dtype=torch.float64)


def profile(strength: float = 8.0) -> LatentProfile:
    """A path at an uneven pace, in a metric that is not flat."""
    here = noised(("", ""), count=2)
    ends = here.latents[:, None]
    coordinates = shell(ends[0], ends[1])
    corners = coordinates.coordinates(FINE[[0, -1]], ends)
    arc = GreatArc(corners[0], corners[1])
    hurried = Spline(arc(torch.linspace(0, 1, 33, dtype=torch.float64) ** 1.5))
    paths = LatentPath("hurried", hurried, coordinates)
    geometry = path_geometry(here, Metric(strength=strength), 0, [(0, 1)])
    return measure_paths(geometry, coordinates, paths)[0]


def denoised_length(found: LatentProfile) -> Tensor:
    """Length of the exactly denoised path from its start to each fine parameter."""
    level = noised(("", ""), count=2).level
    clean = DATA.clean(found.path.latent(FINE), level.a, level.sigma)
    return torch.cat([FINE.new_zeros(1), clean.diff(dim=0).norm(dim=-1).cumsum(0)])


PROFILE = profile()
DENOISED = denoised_length(PROFILE)


def steps(walked: Tensor, times: Tensor) -> Tensor:
    """Differences between frames of a length that is known on the fine grid."""
    place = (times * 1000).clamp(0, 1000)
    low = place.floor().long().clamp(max=999)
    there = torch.lerp(walked[low], walked[low + 1], place - low)
    return there.diff()


@pytest.mark.parametrize("spacing", list(Spacing))
@given(count=st.integers(2, 40))
def test_times_rise_from_zero_to_one(spacing: Spacing, count: int) -> None:
    times = frame_times(spacing, count, PROFILE)
    assert len(times) == count
    assert (float(times[0]), float(times[-1])) == (0.0, 1.0)
    assert bool((times.diff() > 0).all())


@given(count=st.integers(2, 40))
def test_equal_parameters_are_equidistant(count: int) -> None:
    even = torch.linspace(0, 1, count, dtype=torch.float64)
    assert torch.equal(frame_times(Spacing.PARAMETER, count, PROFILE), even)


@given(count=st.integers(3, 40))
def test_equal_steps_of_the_metric_are_equal_in_its_arc_length(count: int) -> None:
    """Arc length by an independent rule: exp(-α Δlog p) |γ'|, summed finely."""
    times = frame_times(Spacing.METRIC, count, PROFILE)
    speed = PROFILE.path.path(FINE, 1).norm(dim=-1)
    weight = torch.exp(-8.0 / len(DATA.mean) * PROFILE.metric.log_density_at(FINE))
    walked = torch.cat([FINE.new_zeros(1), torch.cumulative_trapezoid(speed * weight, FINE)])
    found = steps(walked, times)
    assert_close(found, found.mean().expand(count - 1), rtol=2e-3, atol=0)


@given(count=st.integers(3, 40))
def test_perceptual_steps_are_equal_in_the_exact_denoised_latents(count: int) -> None:
    times = frame_times(Spacing.PERCEPTUAL, count, PROFILE)
    found = steps(DENOISED, times)
    assert_close(found, found.mean().expand(count - 1), rtol=2e-2, atol=0)


def test_the_perceptual_length_is_that_of_the_exact_denoised_latents() -> None:
    assert_close(perceptual_length(PROFILE, FINE), DENOISED, rtol=1e-5, atol=1e-4)


def test_a_path_that_denoises_to_one_image_is_spaced_evenly() -> None:
    still = replace(PROFILE, clean=torch.ones_like(PROFILE.clean))
    even = torch.linspace(0, 1, 5, dtype=torch.float64)
    assert torch.equal(frame_times(Spacing.PERCEPTUAL, 5, still), even)
