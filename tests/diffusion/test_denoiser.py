"""Denoisers: counted evaluations, precision, derivatives, and what they refuse."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.diffusion import EpsilonPrediction, NonFiniteError, invert
from diffusion_geodesics.runtime.cost import Counts, Meter
from tests.conformance.denoiser import exact_denoiser, shifts
from tests.diffusion.networks import NOTHING, FunctionNetwork


def points(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_evaluations_are_counted_however_memory_cuts_them() -> None:
    network, meter = FunctionNetwork(lambda x: x, most=3), Meter()
    denoiser = network.denoiser().metered(meter)
    denoiser.epsilon(points(8, 4), 10, NOTHING)
    assert network.seen == [3, 3, 2]
    denoiser.output(points(2, 4), 10, NOTHING)
    assert meter.read() == Counts(nfe=10, batches=2)
    network.denoiser().epsilon(points(5, 4), 10, NOTHING)
    assert meter.read() == Counts(nfe=10, batches=2), "only what holds the meter counts on it"
    denoiser.count(6, backward=4)
    assert meter.read() == Counts(nfe=16, batches=3, backward=4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_half_precision_networks_keep_the_geometry_in_full(dtype: torch.dtype) -> None:
    network = FunctionNetwork(lambda x: x.bfloat16() * 0.5)
    x = points(3, 4).to(dtype)
    value = network.denoiser().epsilon(x, 10, NOTHING)
    assert value.dtype == dtype
    assert torch.equal(value, (x.bfloat16() * 0.5).to(dtype))


def test_results_may_be_changed_in_place() -> None:
    x = points(3, 4)
    value = FunctionNetwork(lambda x: x).denoiser().epsilon(x, 10, NOTHING)
    assert not value.is_inference()
    value += 1.0
    assert torch.equal(value, x + 1.0)


def test_derivatives_pass_where_they_are_asked_for_and_are_exact() -> None:
    """The noise of a Gaussian has the Jacobian s / (a² std² + s²)."""
    denoiser, data, _ = exact_denoiser(EpsilonPrediction())
    a, s = denoiser.schedule.coefficients(300)
    x = points(3, 5).requires_grad_()
    noise = denoiser.epsilon(x, 300, shifts(1.0), differentiable=True)
    (gradient,) = torch.autograd.grad(noise.sum(), x)
    assert_close(gradient, (s / data.variance(a, s)).expand(3, 5), rtol=1e-12, atol=1e-12)
    assert not denoiser.epsilon(x, 300, shifts(1.0)).requires_grad


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_outputs_that_are_not_finite_are_refused_with_a_cause(bad: float) -> None:
    denoiser = FunctionNetwork(lambda x: torch.where(x > 0, bad, x)).denoiser()
    x = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 2.0, 0]])
    with pytest.raises(NonFiniteError, match=r"in 2 of 3 rows.*dtype=torch\.float32"):
        denoiser.epsilon(x, 10, NOTHING)
    with pytest.raises(NonFiniteError, match="given to it were not finite"):
        FunctionNetwork(lambda x: x).denoiser().epsilon(torch.full((1, 4), bad), 10, NOTHING)


def test_wrong_inputs_are_refused() -> None:
    denoiser = FunctionNetwork(lambda x: x).denoiser()
    with pytest.raises(ValueError, match="takes 4"):
        denoiser.epsilon(points(2, 5), 10, NOTHING)
    with pytest.raises(ValueError, match="float32 or float64"):
        denoiser.epsilon(points(2, 4).half(), 10, NOTHING)
    with pytest.raises(ValueError, match="0 to 999"):
        denoiser.epsilon(points(2, 4), 1000, NOTHING)
    with pytest.raises(ValueError, match="expected 1 or 3"):
        denoiser.epsilon(points(3, 4), 10, NOTHING.expand(2))
    with pytest.raises(ValueError, match="refinements"):
        invert(denoiser, points(1, 4), NOTHING, steps=5, level=1.0, refinements=-1)


def test_networks_without_features_give_none_and_are_not_evaluated() -> None:
    network, meter = FunctionNetwork(lambda x: x), Meter()
    assert network.denoiser().metered(meter).features(points(2, 4), 10, NOTHING) == ()
    assert network.seen == []
    assert meter.read() == Counts()
