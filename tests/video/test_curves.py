"""Curves as polygons: arc length, equal steps of it, random ones of a given length."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from diffusion_geodesics.path import GreatArc
from diffusion_geodesics.video.curves import arc_length, at_arc_length, random_paths
from tests.video.scenes import SPHERE, ends


@given(pace=st.floats(0.3, 3), share=st.floats(0, 1))
def test_points_at_shares_of_the_length_do_not_depend_on_the_pace(
    pace: float, share: float
) -> None:
    t = torch.linspace(0, 1, 40, dtype=torch.float64) ** pace
    line = torch.stack([3 * t, 4 * t], -1)[:, None]
    assert float(arc_length(line)[-1]) == pytest.approx(5.0)
    found = at_arc_length(line, torch.tensor([[0.0], [share], [1.0]], dtype=torch.float64))
    expected = torch.tensor([[0.0, 0.0], [3 * share, 4 * share], [3.0, 4.0]], dtype=torch.float64)
    assert_close(found[:, 0], expected, rtol=1e-9, atol=1e-9)


@given(seed=st.integers(0, 1000))
def test_equal_shares_of_any_polygon_are_equal_along_it(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(12, 3, 5, generator=generator, dtype=torch.float64)
    shares = torch.rand(7, 3, generator=generator, dtype=torch.float64)
    found = at_arc_length(points, shares)
    arc = arc_length(points)
    for batch in range(3):
        for k in range(7):
            wanted = shares[k, batch] * arc[-1, batch]
            right = int((arc[:, batch] < wanted).sum())
            here = found[k, batch]
            walked = arc[right - 1, batch] + (here - points[right - 1, batch]).norm()
            assert float(walked) == pytest.approx(float(wanted), rel=1e-9)
            side = points[right, batch] - points[right - 1, batch]
            assert float((here - points[right - 1, batch]).norm()) <= float(side.norm()) + 1e-9


def test_random_paths_have_the_length_and_the_ends() -> None:
    start, end = (x.expand(3, -1) for x in ends(40))
    length = 3.0 * arc_length(torch.stack([start, end]))[-1]
    paths = random_paths(start, end, length, 17, SPHERE, 0)
    assert_close(arc_length(paths)[-1], length, rtol=1e-6, atol=0)
    assert_close(paths[[0, -1]], torch.stack([start, end]))
    assert_close(paths.norm(dim=-1), torch.full((17, 3), 3.0).double())
    assert_close(random_paths(start, end, length, 17, SPHERE, 0), paths)
    assert not torch.allclose(random_paths(start, end, length, 17, SPHERE, 1), paths)


def test_a_path_no_longer_than_the_arc_is_the_arc() -> None:
    start, end = (x[None] for x in ends(40))
    short = 0.5 * (end - start).norm(dim=-1)
    t = torch.linspace(0, 1, 17, dtype=torch.float64)
    found = random_paths(start, end, short, 17, SPHERE, 0)
    assert_close(found, GreatArc(start, end)(t), rtol=0, atol=1e-9)
