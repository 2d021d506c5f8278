"""The batched L-BFGS: quadratics, a curved valley, independence, walls."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.bvp.lbfgs import Search, advance, begin

Function = Callable[[Tensor], Tensor]


def _evaluate(function: Function, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    value = function(x)
    (gradient,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), gradient


def _search(function: Function, x: Tensor, steps: int) -> Search:
    search = begin(x, *_evaluate(function, x))
    for _ in range(steps):
        search = advance(search, *_evaluate(function, search.trial))
    return search


def _rosenbrock(x: Tensor) -> Tensor:
    return (1 - x[:, 0]) ** 2 + 100 * (x[:, 1] - x[:, 0] ** 2) ** 2


def _starts() -> Tensor:
    return torch.tensor([[-1.2, 1.0], [2.0, 2.0], [0.0, -1.0]], dtype=torch.float64)


def test_curved_valley():
    search = _search(_rosenbrock, _starts(), 80)
    assert_close(search.x, torch.ones_like(search.x), rtol=0, atol=1e-6)


def test_quadratic_ends_in_a_few_steps():
    """As many steps as distinct eigenvalues, and a few for the line searches."""
    scale = torch.tensor([1.0, 3.0, 10.0, 10.0, 30.0], dtype=torch.float64)
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    search = _search(lambda x: 0.5 * (scale * x.square()).sum(-1), x, 25)
    assert_close(search.x, torch.zeros_like(x), rtol=0, atol=1e-6)


def test_values_never_rise():
    search = begin(_starts(), *_evaluate(_rosenbrock, _starts()))
    for _ in range(60):
        value = search.f
        search = advance(search, *_evaluate(_rosenbrock, search.trial))
        assert (search.f <= value * (1 + 1e-12)).all()


def test_problems_do_not_know_of_each_other():
    together = _search(_rosenbrock, _starts(), 30)
    for i in range(3):
        one = _search(_rosenbrock, _starts()[i : i + 1], 30)
        assert_close(together.x[i], one.x[0], rtol=1e-6, atol=1e-9)


def test_a_wall_is_not_crossed():
    """NaN where x_1 > 1.5, beyond the minimum: trials there are shortened."""

    def walled(x: Tensor) -> Tensor:
        value = 50 * (x[:, 0] - 1).square() + (x[:, 1] - 1).square()
        return torch.where(x[:, 0] > 1.5, torch.nan, value)

    search = _search(walled, _starts()[:1], 40)
    assert_close(search.x, torch.ones_like(search.x), rtol=0, atol=1e-6)


def test_no_way_down_is_a_stall():
    def lying(x: Tensor) -> Tensor:
        return (
            -(x.detach().square().sum(-1)) * 0
            + 1e-3 * (x - x.detach()).sum(-1)
            + (x.detach() != 0).any(-1)
        )

    search = _search(lying, torch.zeros(1, 2, dtype=torch.float64), 60)
    assert bool(search.stalled.all())
    assert_close(search.x, torch.zeros_like(search.x))
