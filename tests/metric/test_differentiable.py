"""Scores with derivatives: finite differences, Jacobian products, costs, refusals."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.density import (
    GaussianMixture,
)
from diffusion_geodesics.metric import (
    FiniteDifferenceScore,
)
from diffusion_geodesics.metric.differentiable import gradient_evaluations
from tests.exact import Counting
from tests.problems.score_metrics import jacobian_product

_MIXTURE = GaussianMixture([[-2.0, 0, 1], [2, 0, 0], [0, 1.8, -1]], [0.7, 0.9, 0.8])


def _points(dim: int, seed: int = 0) -> Tensor:
    return torch.randn(5, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_central_difference_is_the_score_and_its_jacobian():
    x, v, t = _points(3), _points(3, 1), torch.zeros(5, dtype=torch.float64)
    counting = Counting(_MIXTURE)
    score = FiniteDifferenceScore(counting)
    assert_close(score(t, x), _MIXTURE(t, x))
    assert (counting.batches, counting.nfe) == (1, 5)
    value, product = jacobian_product(score, t, x, v)
    assert (counting.batches, counting.nfe) == (3, 20)
    exact_value, exact = jacobian_product(_MIXTURE, t, x, v)
    assert_close(value, exact_value)
    assert_close(product, exact, rtol=1e-7, atol=1e-8)
    assert (gradient_evaluations(score), gradient_evaluations(_MIXTURE)) == (3, 2)
    assert score.precision == _MIXTURE.precision


def test_central_difference_is_second_order():
    x, v, t = _points(3), _points(3, 1), torch.zeros(5, dtype=torch.float64)
    exact = jacobian_product(_MIXTURE, t, x, v)[1]
    errors = [
        float((jacobian_product(FiniteDifferenceScore(_MIXTURE, h), t, x, v)[1] - exact).norm())
        for h in (0.04, 0.02)
    ]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize("step", [0.0, -1.0, math.nan])
def test_bad_step(step: float):
    with pytest.raises(ValueError, match="step is"):
        FiniteDifferenceScore(_MIXTURE, step)
