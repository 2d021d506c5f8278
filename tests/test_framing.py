"""Bringing images of any shape to one size."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffusion_geodesics.framing import LARGEST_WORKING_EDGE, CentreCrop, Pad, choose_size, fit


def test_the_centre_is_cropped_and_said() -> None:
    image = torch.zeros(3, 100, 200)
    image[:, :, 50:150] = 1.0
    framed = fit(image, 64, 64)
    torch.testing.assert_close(framed.image, torch.ones(3, 64, 64))
    assert framed.note == "cut 50% of the width at the edges, resized from 200x100 to 64x64"


def test_padding_keeps_everything_and_says_so() -> None:
    framed = fit(torch.zeros(3, 100, 200), 64, 64, Pad(0.5))
    bars = torch.cat([framed.image[:, :16], framed.image[:, 48:]], dim=1)
    torch.testing.assert_close(bars, torch.full((3, 32, 64), 0.5))
    assert float(framed.image[:, 16:48].abs().max()) == 0.0
    assert framed.note == "padded at top and bottom, resized from 200x100 to 64x64"


def test_an_image_of_the_right_size_is_kept() -> None:
    image = torch.rand(3, 32, 48)
    for how in (CentreCrop(), Pad()):
        framed = fit(image, 32, 48, how)
        assert torch.equal(framed.image, image)
        assert framed.note == "kept as it is"


@given(
    st.integers(16, 200),
    st.integers(16, 200),
    st.integers(1, 12),
    st.integers(1, 12),
    st.booleans(),
)
def test_every_fit_gives_the_size_and_stays_in_range(
    old_height: int, old_width: int, rows: int, columns: int, crop: bool
) -> None:
    image = torch.rand(3, old_height, old_width)
    framed = fit(image, 8 * rows, 8 * columns, CentreCrop() if crop else Pad())
    assert framed.image.shape == (3, 8 * rows, 8 * columns)
    assert float(framed.image.min()) >= 0.0
    assert float(framed.image.max()) <= 1.0


def test_an_opacity_is_framed_as_its_picture() -> None:
    picture, opacity = torch.rand(3, 100, 200), torch.rand(1, 100, 200)
    for how in (CentreCrop(), Pad(0.0)):
        both = fit(torch.cat([picture, opacity]), 64, 48, how).image
        torch.testing.assert_close(fit(opacity, 64, 48, how).image, both[3:])
        torch.testing.assert_close(fit(picture, 64, 48, how).image, both[:3])


def test_fits_refuse_what_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="positive edges"):
        fit(torch.rand(3, 20, 20), 0, 8)
    with pytest.raises(ValueError, match="gray"):
        Pad(2.0)


def test_sizes_keep_the_aspect_ratio_and_the_native_area() -> None:
    def size(*sizes: tuple[int, int], **options: Any) -> tuple[int, int]:
        return choose_size(sizes, native=512, multiple=64, **options)

    assert size((100, 100), (640, 640)) == (512, 512)
    assert size((480, 640)) == (448, 576)
    assert size((640, 480)) == (576, 448)
    assert size((100, 200), (200, 100)) == (512, 512)
    assert size((100, 5000)) == (384, 704)
    assert size((480, 640), requested=256) == (192, 320)
    assert size((480, 640), requested=(64, 128)) == (64, 128)
    with pytest.raises(ValueError, match="the nearest is 128x64"):
        size((480, 640), requested=(100, 70))
    with pytest.raises(ValueError, match="at least 64"):
        size((480, 640), requested=32)
    with pytest.raises(ValueError, match="at least one"):
        size()


@pytest.mark.parametrize(
    "requested",
    [20_000, 9_999_999_999, 10**400, 4097, (20_000, 64), (64, 9_999_999_999), (4160, 4160)],
)
def test_absurd_sizes_are_refused_with_the_limit(requested: int | tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at most 4096 pixels along an edge"):
        choose_size([(512, 512)], native=512, multiple=64, requested=requested)


@pytest.mark.parametrize("requested", [0, -64, (0, 64), (-64, -64)])
def test_sizes_of_nothing_are_refused(requested: int | tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="got size"):
        choose_size([(512, 512)], native=512, multiple=64, requested=requested)


def test_the_limit_holds_for_the_edge_that_comes_out() -> None:
    def size(height: int, width: int, requested: int) -> tuple[int, int]:
        return choose_size([(height, width)], native=512, multiple=64, requested=requested)

    assert size(100, 100, LARGEST_WORKING_EDGE) == (4096, 4096)
    with pytest.raises(ValueError, match="got size 4096, which is 2880x5824"):
        size(100, 200, LARGEST_WORKING_EDGE)


@given(
    st.lists(st.tuples(st.integers(16, 4096), st.integers(16, 4096)), min_size=1, max_size=5),
    st.sampled_from([8, 16, 64]),
    st.integers(64, 2896),
)
def test_sizes_are_multiples_within_the_limit(
    sizes: list[tuple[int, int]], multiple: int, requested: int
) -> None:
    height, width = choose_size(sizes, native=512, multiple=multiple, requested=requested)
    assert height % multiple == width % multiple == 0
    assert max(height, width) <= LARGEST_WORKING_EDGE
    assert height * width == pytest.approx(requested**2, rel=2.5 * multiple / min(height, width))
