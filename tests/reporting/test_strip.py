"""Frames are where the strip says, and rows are thinned evenly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffusion_geodesics.reporting.blocks import Film, FilmRow, time_captions
from diffusion_geodesics.reporting.strip import StripLayout, film_strip, shown_rows, thin

SMALL = StripLayout(frame_height=16, gap=4, margin=8, radius=0, text=8)


def flat(
    colours: list[float], height: int = 16, width: int = 16, alpha: float = 1.0
) -> torch.Tensor:
    values = torch.tensor(colours)[:, None, None, None]
    frames = values.expand(-1, 3, height, width)
    if alpha == 1.0:
        return frames
    return torch.cat([frames, torch.full((len(colours), 1, height, width), alpha)], 1)


def blocks(image: np.ndarray, value: float) -> int:
    """Pixels of about a gray value."""
    return int((np.abs(image.astype(int) - round(255 * value)).max(2) <= 1).sum())


def test_every_frame_of_one_film_is_there_once() -> None:
    colours = [i / 20 for i in range(11)]
    film = Film([FilmRow("a", flat(colours))], columns=4)
    image = np.asarray(film_strip(film, SMALL))
    assert all(blocks(image, c) == 256 for c in colours)
    # 11 frames in three rows of nearly equal length: 4, 4, 3.
    assert image.shape == (3 * 20 - 4 + 16, 4 * 20 - 4 + 16, 3)


def test_captions_make_room_and_rows_are_labelled() -> None:
    frames = flat([0.1, 0.3, 0.5])
    bare = film_strip(Film([FilmRow("a", frames)]), SMALL)
    told = film_strip(Film([FilmRow("a", frames, time_captions(torch.linspace(0, 1, 3)))]), SMALL)
    two = film_strip(Film([FilmRow("a", frames), FilmRow("longer name", frames)]), SMALL)
    assert told.height > bare.height
    assert told.width == bare.width < two.width
    assert blocks(np.asarray(two), 0.3) >= 512


def test_films_of_different_length_are_shown_at_the_same_places() -> None:
    a = FilmRow("a", flat([i / 16 for i in range(17)]), time_captions(torch.linspace(0, 1, 17)))
    b = FilmRow("b", flat([i / 8 for i in range(9)]), time_captions(torch.linspace(0, 1, 9)))
    rows = shown_rows(Film([a, b], columns=5))
    assert [list(row.indices) for row in rows] == [[0, 4, 8, 12, 16], [0, 2, 4, 6, 8]]
    assert [list(row.captions) for row in rows] == [
        [],
        ["t = 0.00", "t = 0.25", "t = 0.50", "t = 0.75", "t = 1.00"],
    ]


def test_captions_that_differ_stay_at_their_rows() -> None:
    a = FilmRow("a", flat([0.1, 0.2]), ["x", "y"])
    b = FilmRow("b", flat([0.1, 0.2]), ["x", "z"])
    assert [list(row.captions) for row in shown_rows(Film([a, b]))] == [["x", "y"], ["x", "z"]]


def test_transparency_shows_the_paper() -> None:
    image = np.asarray(film_strip(Film([FilmRow("a", flat([0.0], alpha=0.5))]), SMALL))
    assert blocks(image, 0.5) == 256


def test_frames_of_other_shapes_fit() -> None:
    wide, high = FilmRow("a", flat([0.1] * 3, 16, 32)), FilmRow("b", flat([0.4] * 3, 32, 16))
    image = np.asarray(film_strip(Film([wide, high]), SMALL))
    assert blocks(image, 0.1) == 3 * 16 * 32
    assert blocks(image, 0.4) == 3 * 16 * 8


@given(st.integers(1, 200), st.integers(2, 20))
def test_thinning_keeps_the_ends_and_is_even(n: int, most: int) -> None:
    kept = thin(n, most)
    assert kept[0] == 0
    assert kept[-1] == n - 1
    assert len(kept) <= most
    assert len(kept) >= min(n, most // 2)
    steps = [b - a for a, b in itertools.pairwise(kept)]
    assert not steps or 0 < max(steps) <= min(steps) + 1 + max(steps) // 2


def test_what_is_no_film_is_refused() -> None:
    with pytest.raises(ValueError, match="got no row"):
        Film([])
    with pytest.raises(ValueError, match="columns must be at least 2"):
        Film([FilmRow("a", flat([0.1]))], columns=1)
    with pytest.raises(ValueError, match="a: got 1 captions for 2 frames"):
        FilmRow("a", flat([0.1, 0.2]), ["x"])
    with pytest.raises(ValueError, match="too small to draw"):
        StripLayout(frame_height=2)
    with pytest.raises(ValueError, match="must not be negative"):
        StripLayout(gap=-1)
