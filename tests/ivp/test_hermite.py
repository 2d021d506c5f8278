"""Hermite interpolation of rays."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.ivp import (
    Hermite,
)
from tests.exact import vector


def test_hermite_is_exact_for_its_degree():
    t = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)

    def poly(t: Tensor, degree: int, order: int) -> Tensor:
        return math.perm(degree, order) * t[:, None] ** (degree - order) * vector(1, -2)

    u = torch.linspace(0, 1, 9, dtype=torch.float64)
    cubic = Hermite(t, poly(t, 3, 0), poly(t, 3, 1))
    quintic = Hermite(t, poly(t, 5, 0), poly(t, 5, 1), poly(t, 5, 2))
    for order in (0, 1, 2):
        assert_close(cubic(u, order), poly(u, 3, order))
        assert_close(quintic(u, order), poly(u, 5, order))
