"""Which frames are shown when."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion_geodesics.reporting.playback import (
    Lanczos,
    LanczosToHeight,
    Loop,
    Once,
    Order,
    Playback,
    ThereAndBack,
)


def test_the_ends_are_held_and_the_way_back_follows() -> None:
    assert Playback(hold=2).shown(4) == [0, 0, 1, 2, 3, 3, 2, 1]
    assert Playback(hold=2, order=Once()).shown(4) == [0, 0, 1, 2, 3, 3]
    assert Playback(hold=1).shown(2) == [0, 1]
    assert Playback(hold=3).shown(1) == [0, 0, 0]


def test_a_film_rests_on_its_keyframes() -> None:
    loop = Playback(hold=3, order=Loop())
    assert loop.shown(4) == [0, 0, 0, 1, 2, 3]
    assert loop.shown(6, rests=(0, 3)) == [0, 0, 0, 1, 2, 3, 3, 3, 4, 5]
    back = Playback(hold=2, order=ThereAndBack())
    assert back.shown(5, rests=(0, 2, 4)) == [0, 0, 1, 2, 2, 3, 4, 4, 3, 2, 2, 1]
    assert back.shown(3, rests=()) == [0, 1, 2, 1]


@given(st.sampled_from([Once(), ThereAndBack(), Loop()]), st.integers(1, 60), st.integers(1, 6))
def test_no_frame_is_doubled_at_the_turns_or_the_seam(order: Order, n: int, hold: int) -> None:
    once = order.indices(n)
    assert set(once) == set(range(n))
    pairs = list(zip(once, once[1:] + (once[:1] if order.repeats else []), strict=False))
    if n > 1:
        assert all(a != b for a, b in pairs)
    shown = Playback(hold=hold, order=order).shown(n)
    assert len(shown) == len(once) + (hold - 1) * sum(i in order.ends(n) for i in once)


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (24, Fraction(24)),
        (23.976, Fraction(2997, 125)),
        (Fraction(24000, 1001), Fraction(24000, 1001)),
    ],
)
def test_broken_rates_are_fractions(fps: float | Fraction, rate: Fraction) -> None:
    assert Playback(fps=fps).rate == rate


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fps": 0}, "fps must be 1 to 120, got 0"),
        ({"fps": 121}, "fps must be 1 to 120, got 121"),
        ({"fps": float("nan")}, "fps must be"),
        ({"hold": 0}, "hold must be at least 1"),
        ({"background": (0.0, 0.0, 2.0)}, "background must lie in"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Playback(**settings)


def test_other_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="without frames"):
        Playback().shown(0)
    with pytest.raises(ValueError, match=r"rests at \[-1, 5\] in a film of 5 frames, 0 to 4"):
        Playback().shown(5, rests=(5, 0, -1))
    with pytest.raises(ValueError, match="factor must be 1 to 16"):
        Lanczos(0)
    with pytest.raises(ValueError, match="height must be at least 1"):
        LanczosToHeight(0)
