"""A shot against geodesics: one that is a geodesic beats its controls."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.clips import ClipError
from diffusion_geodesics.geodesics import geodesic
from diffusion_geodesics.latents.geometry import Geometry
from diffusion_geodesics.path import GreatArc
from diffusion_geodesics.runtime.run import Run
from diffusion_geodesics.video.controls import Variant
from diffusion_geodesics.video.settings import VideoSettings
from diffusion_geodesics.video.shot import Measured, measure_shot
from diffusion_geodesics.video.statistics import Statistics
from tests.video.scenes import SPHERE, density, ends, geometry


def even(count: int) -> Tensor:
    return torch.linspace(0, 1, count, dtype=torch.float64)


def measured(here: Geometry, points: Tensor, settings: VideoSettings) -> Measured:
    return measure_shot(Run(), here, SPHERE, points, settings, "a shot")


@pytest.fixture(scope="module")
def clip() -> tuple[Geometry, Tensor, Measured]:
    """17 points of a geodesic, as a clip."""
    start, end = ends(40)
    here = geometry(0.05, 40)
    solution = geodesic(here.score, start, end, alpha=0.05, manifold=SPHERE, tol=1e-5)
    points = solution.path(even(17))
    return here, points, measured(here, points, VideoSettings.of(half=1, tol=1e-4))


Clip = tuple[Geometry, Tensor, Measured]


def test_a_geodesic_as_a_clip_beats_its_controls(clip: Clip) -> None:
    _, _, found = clip
    own = found.statistics[Variant.CLIP]
    assert float(own.length) == pytest.approx(1.0, abs=2e-3)
    assert float(own.deviation) < 1e-3
    assert float(own.residual) < 0.05
    for variant in (Variant.SHUFFLED, Variant.SLERP, Variant.LERP):
        assert float(found.statistics[variant].deviation) > float(own.deviation)
        assert float(found.statistics[variant].residual) > float(own.residual)
    assert float(found.statistics[Variant.SLERP].length) >= 1 - 1e-4
    assert found.solved == (2, 2), "the only window, which is the whole, and half as fast"
    assert found.residual < 1e-3


def test_backwards_it_is_the_same_curve(clip: Clip) -> None:
    _, _, found = clip
    for name in ("residual", "length", "deviation", "speed"):
        there, back = (getattr(found.statistics[v], name) for v in (Variant.CLIP, Variant.REVERSED))
        assert_close(there, back, rtol=1e-4, atol=1e-4)


def test_a_random_path_is_as_long_as_the_clip(clip: Clip) -> None:
    _, _, found = clip
    own, random = (found.statistics[v] for v in (Variant.CLIP, Variant.RANDOM))
    assert_close(random.speed, own.speed, rtol=1e-5, atol=0)
    assert float(random.deviation) > float(own.deviation)


def test_too_short_a_shot_is_not_run_twice_as_fast(clip: Clip) -> None:
    here, points, found = clip
    assert Variant.FAST not in found.statistics
    quick = VideoSettings.of(half=1, window=5, tol=1e-3)
    windows = measured(here, points, quick)
    assert list(windows.statistics) == list(Variant)
    assert windows.starts.tolist() == [[0, 4, 8, 12], [4, 8, 12, 16]]
    for name in Statistics.names():
        assert getattr(windows.statistics[Variant.CLIP], name).shape == (4,)
    without = measured(here, points, quick.updated(controls=False))
    assert list(without.statistics) == [Variant.CLIP]
    for name in Statistics.names():
        assert_close(
            getattr(without.statistics[Variant.CLIP], name),
            getattr(windows.statistics[Variant.CLIP], name),
            rtol=1e-3, atol=1e-3, equal_nan=True,
        )  # fmt: skip


def test_densities_along_clip_and_paths_agree_with_the_density(clip: Clip) -> None:
    here, points, found = clip
    exact = density(40).log_prob(torch.zeros(17), points)
    assert_close(found.log_density, exact - exact[0], rtol=1e-9, atol=1e-9)
    assert_close(found.noise_energy, here.noise_energy(here.scores(points)))
    assert [p.name for p in found.paths] == ["geodesic", "slerp", "lerp"]
    for path in found.paths:
        assert float(path.log_density[-1]) == pytest.approx(float(exact[-1] - exact[0]), abs=1e-4)
        assert_close(path.points[[0, -1]], points[[0, -1]], rtol=1e-6, atol=1e-6)
    lengths = {p.name: p.length for p in found.paths}
    assert lengths["geodesic"] <= lengths["slerp"] + 1e-4


def test_without_strength_slerp_is_the_geodesic() -> None:
    points = GreatArc(*ends())(even(33))
    found = measured(geometry(0.0), points, VideoSettings.of(half=1, tol=1e-5, window=33))
    slerp = found.statistics[Variant.SLERP]
    assert float(slerp.length) == pytest.approx(1, abs=1e-6)
    assert float(slerp.deviation) < 1e-4
    own, reversed_ = (found.statistics[v] for v in (Variant.CLIP, Variant.REVERSED))
    assert_close(own.length, slerp.length, rtol=1e-6, atol=0)
    assert_close(reversed_.length, slerp.length, rtol=1e-6, atol=0)


def test_a_clip_that_ends_where_it_began_has_windows_all_the_same() -> None:
    turn = torch.linspace(0, 2 * math.pi, 25, dtype=torch.float64)[:, None]
    points = torch.cat([3 * turn.cos(), 3 * turn.sin(), torch.zeros(25, 4).double()], 1)
    found = measured(geometry(), points, VideoSettings.of(window=7))
    assert found.paths == ()
    assert bool(torch.isfinite(found.statistics[Variant.CLIP].deviation).all())
    with pytest.raises(ClipError, match="ends where it began"):
        measured(geometry(), points, VideoSettings.of(window=25))
