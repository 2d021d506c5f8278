"""The residual of the discrete Euler-Lagrange equation."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from diffusion_geodesics.bvp.euler_lagrange import evaluate, evaluate_ends
from diffusion_geodesics.density import HalfPlane
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.path import Line
from tests.exact import vector


def _semicircle(t: Tensor) -> Tensor:
    """The half-plane geodesic from (-1, 1) to (1, 1), at constant Euclidean speed."""
    angle = 0.75 * math.pi - 0.5 * math.pi * t
    return math.sqrt(2) * torch.stack([angle.cos(), angle.sin()], -1)


def test_residual_of_the_exact_curve_is_the_truncation_error():
    residuals = []
    for n in (16, 32, 64):
        nodes = _semicircle(torch.linspace(0, 1, n + 1, dtype=torch.float64))[:, None]
        connection = Conformal(HalfPlane())
        residuals.append(
            float(evaluate(connection, evaluate_ends(connection, nodes), nodes).residual)
        )
    orders = [math.log2(residuals[0] / residuals[1]), math.log2(residuals[1] / residuals[2])]
    assert orders == pytest.approx([2, 2], abs=0.1), residuals


def test_residual_of_a_wrong_curve_is_of_order_one():
    nodes = Line(vector(-1, 1), vector(1, 1))(torch.linspace(0, 1, 33).double())[:, None]
    connection = Conformal(HalfPlane())
    value = evaluate(connection, evaluate_ends(connection, nodes), nodes)
    assert float(value.residual) == pytest.approx(1, rel=1e-12)
