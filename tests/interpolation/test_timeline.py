"""Frames along chains: every keyframe once, equal steps on each segment."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffusion_geodesics.density import Gaussian
from diffusion_geodesics.interpolation.timeline import timeline
from diffusion_geodesics.latents.coordinates import Ambient
from diffusion_geodesics.latents.profile import LatentPath, LatentProfile
from diffusion_geodesics.latents.settings import Spacing
from diffusion_geodesics.length import measure
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.path import Line


def straight(length: float) -> LatentProfile:
    """A straight path of a given length, in every respect."""
    ends = torch.zeros(2, 2, dtype=torch.float64)
    ends[1, 0] = length
    path = Line(ends[0], ends[1])
    found = measure(Conformal(Gaussian(ends[0], 1.0), 0.0), path, intervals=16)
    x = path(found.t)
    nothing = torch.zeros(len(found.t), dtype=torch.float64)
    return LatentProfile(
        path=LatentPath("line", path, Ambient()),
        t=found.t,
        log_density=nothing,
        norm=nothing,
        noise_energy=nothing + 1,
        clean=x,
        metric=found,
        projected=False,
    )


@given(
    lengths=st.lists(st.floats(0.05, 10), min_size=1, max_size=6),
    more=st.integers(0, 60),
    spacing=st.sampled_from(list(Spacing)),
)
def test_every_keyframe_once_and_all_frames_used(
    lengths: list[float], more: int, spacing: Spacing
) -> None:
    count = len(lengths) + 1 + more
    found = timeline(spacing, count, [straight(length) for length in lengths])
    assert len(found.position) == count
    assert bool((found.position.diff() > 0).all())
    assert found.position[list(found.keyframes)].tolist() == list(range(len(lengths) + 1))


@pytest.mark.parametrize("spacing", [Spacing.PERCEPTUAL, Spacing.METRIC])
def test_steps_are_equal_where_lengths_allow(spacing: Spacing) -> None:
    lengths = [1.0, 3.0, 2.0]
    found = timeline(spacing, 13, [straight(length) for length in lengths])
    assert found.keyframes == (0, 2, 8, 12)
    each = torch.tensor(lengths).double()[found.segment[:-1]]
    steps = found.position.diff() * each
    torch.testing.assert_close(steps, torch.full_like(steps, 0.5), atol=1e-6, rtol=0)


def test_fewer_frames_than_keyframes() -> None:
    with pytest.raises(ValueError, match="2 frames for 3 images"):
        timeline(Spacing.PARAMETER, 2, [straight(1.0), straight(1.0)])
