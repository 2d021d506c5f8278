"""Frames along chains: every keyframe once, equal steps on each segment."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffusion_geodesics.density import Gaussian
from diffusion_geodesics.interpolation.settings import Ease, Film
from diffusion_geodesics.interpolation.timeline import Chain, Timeline, frame_count, timeline
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
        comparable=True,
    )


def placed(film: Film, chain: Chain, lengths: Sequence[float]) -> Timeline:
    return timeline(film, chain, [straight(length) for length in lengths])


@given(
    lengths=st.lists(st.floats(0.05, 10), min_size=1, max_size=6),
    more=st.integers(0, 60),
    spacing=st.sampled_from(list(Spacing)),
    ease=st.sampled_from(list(Ease)),
    closed=st.booleans(),
)
def test_every_keyframe_once_and_all_frames_used(
    lengths: list[float], more: int, spacing: Spacing, ease: Ease, closed: bool
) -> None:
    lengths = lengths if not closed or len(lengths) > 1 else lengths * 2
    keyframes = len(lengths) + (not closed)
    film = Film(frames=keyframes + more, spacing=spacing, ease=ease, loop=closed)
    chain = Chain.through(keyframes, closed=closed)
    found = placed(film, chain, lengths)
    assert len(found.position) == frame_count(film, chain) == keyframes + more
    assert bool((found.position.diff() > 0).all())
    assert found.position[list(found.keyframes)].tolist() == list(range(keyframes))
    assert float(found.position[-1]) < len(lengths) or not closed


@pytest.mark.parametrize("spacing", [Spacing.PERCEPTUAL, Spacing.METRIC])
@pytest.mark.parametrize("closed", [False, True])
def test_steps_are_equal_where_lengths_allow(spacing: Spacing, closed: bool) -> None:
    lengths = [1.0, 3.0, 2.0]
    film = Film(frames=12 + (not closed), spacing=spacing, loop=closed)
    found = placed(film, Chain.through(3 + (not closed), closed=closed), lengths)
    assert found.keyframes == (0, 2, 8, 12)[: 3 + (not closed)]
    position = torch.cat([found.position, torch.tensor([3.0])])[:13]
    each = torch.tensor(lengths).double()[found.segment][:12]
    steps = position.diff() * each
    torch.testing.assert_close(steps, torch.full_like(steps, 0.5), atol=1e-6, rtol=0)


@given(
    lengths=st.lists(st.floats(0.05, 10), min_size=2, max_size=6),
    steps=st.integers(6, 60),
)
def test_no_other_whole_numbers_make_the_largest_step_smaller(
    lengths: list[float], steps: int
) -> None:
    """Of a loop as well: the step over the seam is one of them."""
    film = Film(frames=steps, loop=True)
    found = placed(film, Chain.through(len(lengths), closed=True), lengths)
    counts = torch.bincount(found.segment).tolist()
    largest = max(length / n for length, n in zip(lengths, counts, strict=True))
    needed = [max(1, math.ceil(length / (largest * (1 - 1e-9)))) for length in lengths]
    assert sum(needed) > steps, "a smaller largest step needs more frames"


def test_fewer_frames_than_keyframes() -> None:
    with pytest.raises(ValueError, match="2 frames for 3 images"):
        placed(Film(frames=2), Chain.through(3, closed=False), [1.0, 1.0])


def test_sixteen_steps_from_image_to_image_by_default() -> None:
    assert frame_count(Film(), Chain.through(2, closed=False)) == 17
    assert frame_count(Film(), Chain.through(4, closed=False)) == 49
    assert frame_count(Film(loop=True), Chain.through(4, closed=True)) == 64
    resting = Chain(((0, 1), (2, 3)), (0, 1, 1, 2))
    assert frame_count(Film(), resting) == 34
    assert frame_count(Film(frames_each=5), resting) == 13


def test_as_many_frames_from_each_image_to_the_next() -> None:
    found = placed(Film(frames_each=5), Chain.through(4, closed=False), [1.0, 9.0, 0.1])
    assert found.keyframes == (0, 4, 8, 12)


def test_keyframes_at_fractions_of_the_film() -> None:
    film = Film(frames=11, at=(0, 0.2, 0.7, 1))
    found = placed(film, Chain.through(4, closed=False), [5.0, 1.0, 1.0])
    assert found.keyframes == (0, 2, 7, 10)
    assert found.position[list(found.keyframes)].tolist() == [0, 1, 2, 3]
    round_ = Film(frames=10, at=(0, 0.2, 0.7), loop=True)
    assert placed(round_, Chain.through(3, closed=True), [5.0, 1.0, 1.0]).keyframes == (0, 2, 7)


@pytest.mark.parametrize(
    ("at", "frames", "words"),
    [
        ((0, 1), 9, "expected 3 fractions, from 0 to 1"),
        ((0.1, 0.5, 1), 9, "expected 3 fractions, from 0 to 1"),
        ((0, 0.5, 0.9), 9, "expected 3 fractions, from 0 to 1"),
        ((0, 0.01, 1), 9, "images 1 and 2 on one frame"),
        ((0, 1, 1), 9, "images 2 and 3 on one frame"),
    ],
)
def test_fractions_that_do_not_fit(at: tuple[float, ...], frames: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        placed(Film(frames=frames, at=at), Chain.through(3, closed=False), [1.0, 1.0])


def test_easing_is_slow_at_keyframes() -> None:
    chain = Chain.through(3, closed=False)
    found = placed(Film(frames=33, ease=Ease.SMOOTH), chain, [1.0, 1.0])
    steps = found.position.diff()
    share = torch.linspace(0, 1, 17, dtype=torch.float64)
    torch.testing.assert_close(found.position[:17], 3 * share**2 - 2 * share**3, atol=1e-6, rtol=0)
    assert float(steps[[0, 15, 16, 31]].max()) < 0.2 * float(steps.max())


def test_a_film_rests_on_an_image_that_is_given_twice() -> None:
    chain = Chain(((0, 1), (2, 3)), (0, 1, 1, 2))
    found = placed(Film(frames=8), chain, [1.0, 1.0])
    assert found.keyframes == (0, 3, 4, 7)
    assert found.position[3] == found.position[4] == 1
    long = placed(Film(frames=11, at=(0, 0.2, 0.8, 1)), chain, [1.0, 1.0])
    assert long.keyframes == (0, 2, 8, 10)
    assert long.position[2:9].tolist() == [1] * 7
    at_the_end = placed(Film(frames=6), Chain(((0, 1),), (0, 1, 1)), [1.0])
    assert at_the_end.keyframes == (0, 4, 5)
    assert at_the_end.position[4:].tolist() == [1, 1]


def test_a_loop_that_ends_with_its_first_image() -> None:
    chain = Chain(((0, 1), (1, 2)), (0, 1, 2), closed=True)
    found = placed(Film(frames=8, loop=True), chain, [1.0, 1.0])
    assert found.keyframes == (0, 4, 0)
    assert float(found.position.max()) < 2
    timed = placed(Film(frames=8, loop=True, at=(0, 0.25, 1)), chain, [1.0, 1.0])
    assert timed.keyframes == (0, 2, 0)
