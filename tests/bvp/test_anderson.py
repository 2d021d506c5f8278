"""Anderson acceleration."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from diffusion_geodesics.bvp.anderson import History


def test_anderson_solves_a_linear_problem():
    """A fixed-point map with n different eigenvalues ends after n accelerated steps."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.diag(torch.tensor([0.2, 0.5, 0.9, -0.7])).double()
    goal = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    x = torch.zeros_like(goal)
    history = History.empty(x, memory=6)
    beta = torch.ones(3, dtype=torch.float64)
    for _ in range(6):
        history = history.push(x, (goal - x) @ (torch.eye(4).double() - matrix))
        x = x + history.step(beta, ridge=1e-14)
    assert_close(x, goal, rtol=1e-6, atol=1e-6)


def test_anderson_without_history_is_the_plain_step():
    g = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    beta = torch.tensor([1.0, 0.5, 0.25], dtype=torch.float64)
    for memory in (0, 5):
        history = History.empty(g, memory).push(torch.zeros_like(g), g)
        assert_close(history.step(beta, 1e-10), beta[:, None] * g)
