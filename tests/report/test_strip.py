"""Film strips, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from diffusion_geodesics.report import Film, StripLayout, compare_strip, film_strip
from diffusion_geodesics.report.strip import thin

BARE = StripLayout(frame_height=32, gap=4, margin=8, radius=0, text=10, columns=5)


def flat_film(n: int, name: str = "path", seed: int = 0, height: int = 32, width: int = 24) -> Film:
    """Frames of one random 8-bit colour each."""
    generator = torch.Generator().manual_seed(seed)
    colours = torch.randint(0, 256, (n, 3, 1, 1), generator=generator) / 255
    return Film(name, colours.expand(n, 3, height, width), torch.linspace(0, 1, n))


def colour(film: Film, i: int) -> np.ndarray:
    return (film.frames[i, :, 0, 0] * 255).round().to(torch.uint8).numpy()


def frame_at(strip: Image.Image, x: int, y: int, width: int, height: int) -> np.ndarray:
    return np.asarray(strip)[y : y + height, x : x + width]


def test_every_frame_stands_in_its_place_with_its_colour() -> None:
    film = flat_film(5)
    strip = film_strip(film, layout=BARE)
    assert strip.width == 2 * 8 + 5 * 24 + 4 * 4
    for i in range(5):
        cell = frame_at(strip, 8 + i * 28, 8, 24, 32)
        assert (cell == colour(film, i)).all()
        if i:
            gap = frame_at(strip, 8 + i * 28 - 4, 8, 4, 32)
            assert (gap == 255).all()


def test_many_frames_wrap_into_rows_of_nearly_equal_length() -> None:
    film = flat_film(8)
    strip = film_strip(film, layout=BARE)
    depth = BARE.text + 10
    assert strip.width == 2 * 8 + 4 * 24 + 3 * 4  # 4 + 4, not 5 + 3
    for i in range(8):
        row, column = divmod(i, 4)
        cell = frame_at(strip, 8 + column * 28, 8 + row * (32 + depth + 4), 24, 32)
        assert (cell == colour(film, i)).all()


def test_small_frames_are_enlarged_and_keep_colour_and_aspect() -> None:
    film = flat_film(3, height=8, width=6)
    strip = film_strip(film, layout=BARE)
    for i in range(3):
        assert (frame_at(strip, 8 + i * 28, 8, 24, 32) == colour(film, i)).all()


def test_corners_are_rounded_and_the_middle_is_whole() -> None:
    film = flat_film(2)
    layout = StripLayout(frame_height=32, gap=4, margin=8, radius=6, text=10)
    cell = frame_at(film_strip(film, layout=layout), 8, 8, 24, 32)
    assert (cell[0, 0] == 255).all()
    assert (cell[:, 12] == colour(film, 0)).all()


def test_captions_are_written_under_the_frames() -> None:
    film = flat_film(3)
    strip = np.asarray(film_strip(film, ["first", "", "last"], BARE))
    under = strip[8 + 32 :]
    assert (under[:, 8:32] < 200).any()
    assert (under[:, 36:60] == 255).all()
    assert (under[:, 64:88] < 200).any()


def test_captions_must_match_the_frames() -> None:
    with pytest.raises(ValueError, match="got 1 captions for 3 frames"):
        film_strip(flat_film(3), ["first"])


def test_films_are_compared_row_by_row_with_their_names_on_the_left() -> None:
    films = [flat_film(9, name, seed) for seed, name in enumerate(("geodesic", "slerp", "lerp"))]
    strip = compare_strip(films, BARE)
    left = strip.width - BARE.margin - (5 * 28 - 4)
    for row, film in enumerate(films):
        top = 8 + row * 36
        assert (frame_at(strip, 8, top, left - 8, 32) < 128).any(), "no label"
        for column, i in enumerate((0, 2, 4, 6, 8)):
            assert (frame_at(strip, left + column * 28, top, 24, 32) == colour(film, i)).all()


def test_films_of_different_lengths_are_compared_at_the_same_relative_places() -> None:
    short, long = flat_film(3, "short"), flat_film(9, "long", seed=1)
    strip = compare_strip([short, long], BARE)
    left = strip.width - BARE.margin - (3 * 28 - 4)
    for row, (film, shown) in enumerate(((short, (0, 1, 2)), (long, (0, 4, 8)))):
        for column, i in enumerate(shown):
            cell = frame_at(strip, left + column * 28, 8 + row * 36, 24, 32)
            assert (cell == colour(film, i)).all()


def test_there_must_be_a_film_to_compare() -> None:
    with pytest.raises(ValueError, match="no films"):
        compare_strip([])


def test_a_layout_too_small_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="too small"):
        StripLayout(frame_height=1)


@given(n=st.integers(2, 200), most=st.integers(2, 20))
def test_thinning_keeps_ends_order_and_evenness(n: int, most: int) -> None:
    shown = thin(n, most)
    steps = np.diff(shown)
    assert shown[0] == 0
    assert shown[-1] == n - 1
    assert min(n, most) / 2 < len(shown) <= min(n, most)
    assert (steps > 0).all()
    assert steps.max() - steps.min() <= 1


def test_seventeen_frames_thin_to_every_second() -> None:
    assert thin(17, 9) == list(range(0, 17, 2))
