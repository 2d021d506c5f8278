"""Perceptual path length and its variance, of any distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion_geodesics.measures import PerceptualDistance, PerceptualPath
from tests.measures.strips import strip_of


@dataclass(frozen=True)
class MeanGap(PerceptualDistance):
    """|mean(a) - mean(b)|."""

    @property
    def name(self) -> str:
        return "gap of means"

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        return (a.flatten(1).mean(1) - b.flatten(1).mean(1)).abs()


def test_ppl_and_pdv_of_a_known_sequence() -> None:
    levels = torch.tensor([0.0, 0.1, 0.4, 0.5], dtype=torch.float64)
    frames = levels[:, None, None, None].expand(4, 3, 12, 12)
    scores = PerceptualPath(MeanGap())(strip_of(frames, ends=frames[[0, -1]] + 0.25))
    assert scores["PPL"] == pytest.approx(0.5)
    assert scores["PDV"] == pytest.approx(np.var([0.1, 0.3, 0.1]))
    assert scores["end LPIPS"] == pytest.approx(0.25)
