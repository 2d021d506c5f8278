"""Jacobian products: which method works, attention, pieces."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.likelihood import (
    CentralDifferences,
    ForwardMode,
    ReverseMode,
)
from diffusion_geodesics.likelihood.jacobian import working_derivative


def points() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 4, generator=generator, dtype=torch.float64)


def test_the_derivative_that_works_is_found():
    x = points()
    assert working_derivative(torch.sin, x) == ReverseMode()
    assert working_derivative(lambda z: z.detach().sin(), x) == CentralDifferences()

    @torch.no_grad()
    def numpy_inside(z: Tensor) -> Tensor:
        return torch.from_numpy(z.numpy() ** 2)

    assert working_derivative(numpy_inside, x) == CentralDifferences()

    class OnlyForward(torch.autograd.Function):
        @staticmethod
        def forward(z):  # type: ignore[override]
            return z.sin()

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_forward(*inputs)

        @staticmethod
        def jvp(ctx, v):  # type: ignore[override]
            (z,) = ctx.saved_tensors
            return v * z.cos()

    assert working_derivative(OnlyForward.apply, x) == ForwardMode()


def test_attention_without_a_forward_derivative():
    def attend(z: Tensor) -> Tensor:
        tokens = z.reshape(-1, 1, 2, 2)
        out = torch.nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)
        return out.reshape(z.shape)

    x, v = points(), points().flip(0)
    value, product = ForwardMode()(attend, x, v)
    assert_close(value, attend(x))
    assert_close(product, CentralDifferences(1e-5)(attend, x, v)[1], rtol=1e-6, atol=1e-8)


def test_reverse_mode_in_pieces_is_reverse_mode():
    x, v = points(), points().flip(0)
    assert_close(ReverseMode(rows=2)(torch.sin, x, v), ReverseMode()(torch.sin, x, v))
    assert_close(ReverseMode()(torch.sin, x, v), (x.sin(), v * x.cos()))
    with pytest.raises(ValueError, match="rows is 0"):
        ReverseMode(rows=0)
