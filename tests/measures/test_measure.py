"""What a strip is, and which values of a quantity win."""

from __future__ import annotations

import pytest
import torch

from diffusion_geodesics.measures import Better, Strip
from tests.measures.strips import cross_fade, strip_of


def test_the_wished_for_value_wins_and_ties_count_half() -> None:
    assert Better.HIGHER.wins(2.0, 1.0) == Better.LOWER.wins(1.0, 2.0) == 1.0
    assert Better.HIGHER.wins(1.0, 2.0) == Better.LOWER.wins(2.0, 1.0) == 0.0
    assert Better.HIGHER.wins(1.0, 1.0) == Better.LOWER.wins(1.0, 1.0) == 0.5
    with pytest.raises(ValueError, match="does not rank"):
        Better.NEITHER.wins(1.0, 2.0)


def test_a_strip_must_fit_together() -> None:
    frames = cross_fade()
    with pytest.raises(ValueError, match="at least 3"):
        strip_of(frames[:2])
    with pytest.raises(ValueError, match="one size"):
        strip_of(frames, ends=frames[:2, :, :8])
    with pytest.raises(ValueError, match="features of 4"):
        Strip(frames, frames[:2], torch.zeros(4, 2))
