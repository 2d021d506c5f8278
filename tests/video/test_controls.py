"""Windows of a clip, and the controls that it is held against."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from diffusion_geodesics.path import GreatArc
from diffusion_geodesics.video.controls import shuffled, slowed, window_index, windowed
from tests.video.scenes import SPHERE, ends


@given(count=st.integers(5, 60), size=st.integers(2, 20), stride=st.integers(1, 3))
def test_windows_cover_everything_and_overlap_as_little_as_they_can(
    count: int, size: int, stride: int
) -> None:
    index = window_index(count, size, stride)
    span = (size - 1) * stride
    if span > count - 1:
        assert index.shape == (size, 0)
        return
    assert int(index.min()) == 0
    assert int(index.max()) == count - 1
    assert bool((index.diff(dim=0) == stride).all())
    assert index.shape[1] == -(-(count - 1) // span)
    starts = index[0].diff()
    assert bool((starts <= span).all()), "neighbours touch"
    if len(starts):
        assert int(starts.max() - starts.min()) <= 1, "and overlap by about as much"


TIMES = torch.arange(13, dtype=torch.float64)


def points(count: int = 13) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return SPHERE.project(torch.randn(count, 6, generator=generator, dtype=torch.float64))


def test_a_window_holds_its_points_and_their_scores() -> None:
    x = points()
    found = windowed(x, 2 * x, TIMES, 7)
    assert found.index.T.tolist() == [list(range(7)), list(range(6, 13))]
    assert torch.equal(found.points, x[found.index])
    assert torch.equal(found.scores, 2 * found.points)
    one = found.select(torch.tensor([1]))
    assert torch.equal(one.points[:, 0], x[6:])


def test_shuffling_keeps_the_ends_and_the_points_with_their_scores() -> None:
    own = windowed(points(), 3 * points(), TIMES, 7)
    mixed = shuffled(own, 0)
    assert_close(mixed.points[[0, -1]], own.points[[0, -1]])
    assert torch.equal(mixed.index.sort(0).values, own.index)
    assert torch.equal(mixed.points, points()[mixed.index])
    assert torch.equal(mixed.scores, 3 * mixed.points)
    assert not torch.equal(mixed.points, own.points)
    assert torch.equal(shuffled(own, 0).index, mixed.index)
    assert not torch.equal(shuffled(own, 1).index, mixed.index)


def test_half_as_fast_is_the_first_half_with_points_between() -> None:
    own = windowed(points(), points(), TIMES, 7)
    slow = slowed(own.points, SPHERE)
    assert slow.shape == own.points.shape
    assert_close(slow[::2], own.points[:4], rtol=0, atol=1e-9)
    arc = GreatArc(*ends())(torch.linspace(0, 1, 17, dtype=torch.float64))
    exact = GreatArc(*ends())(torch.linspace(0, 0.5, 17, dtype=torch.float64))
    assert_close(slowed(arc[:, None], SPHERE)[:, 0], exact, rtol=0, atol=1e-5)
