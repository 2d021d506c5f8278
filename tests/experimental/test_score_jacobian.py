"""The score-Jacobian metric: the conformance suite, closed forms, geodesics."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.bvp import (
    BoundaryProblem,
    EnergyMinimiser,
    solve_bvp,
)
from diffusion_geodesics.density import Gaussian, GaussianMixture, Score
from diffusion_geodesics.experimental import (
    ScoreJacobian,
)
from diffusion_geodesics.metric import (
    FiniteDifferenceScore,
)
from diffusion_geodesics.path import Line, Spline
from tests.conformance.energy import EnergyCase, EnergySuite
from tests.exact import Counting, MovingGaussian, vector

_MIXTURE = GaussianMixture([[-2.0, 0], [2, 0], [0, 1.8]], [0.7, 0.9, 0.8])


_WIDE = GaussianMixture([[-0.5, 0], [0.5, 0.3]], [1.5, 2.0], [0.3, 0.7])


_TIMES = torch.linspace(0, 1, 9, dtype=torch.float64)


def _points(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _cases() -> list[EnergyCase]:
    curve = torch.cumsum(torch.cat([_points(1, 3, 2), 0.2 * _points(5, 3, 2, seed=1)]), 0)
    moving = MovingGaussian(vector(0, 0), vector(1, 1))
    return [
        EnergyCase("autograd", ScoreJacobian(_WIDE), curve),
        EnergyCase("differences", ScoreJacobian(FiniteDifferenceScore(_WIDE)), curve),
        EnergyCase("moving", ScoreJacobian(moving), curve),
    ]


class TestScoreJacobian(EnergySuite):
    @pytest.fixture(params=_cases(), ids=lambda c: c.name)
    def case(self, request: pytest.FixtureRequest) -> EnergyCase:
        return request.param


def test_cost_is_what_the_score_sees():
    counting = Counting(_MIXTURE)
    nodes, t = _points(9, 3, 2), torch.linspace(0, 1, 9, dtype=torch.float64)
    energy = ScoreJacobian(FiniteDifferenceScore(counting))
    energy.segments(t, nodes)
    assert (counting.nfe, counting.batches) == (3 * energy.evaluations(9, gradient=False), 1)
    counting.nfe = counting.batches = 0
    energy.segments(t, nodes.clone().requires_grad_()).sum().backward()
    assert (counting.nfe, counting.batches) == (3 * energy.evaluations(9, gradient=True), 2)


def test_a_score_that_autograd_cannot_differentiate_is_refused():
    class Frozen(Score):
        @torch.no_grad()
        def __call__(self, t: Tensor, x: Tensor) -> Tensor:
            return -x

    nodes, t = _points(4, 1, 3).requires_grad_(), torch.linspace(0, 1, 4).double()
    with pytest.raises(ValueError, match="without gradient"):
        ScoreJacobian(Frozen()).segments(t, nodes)
    assert ScoreJacobian(Frozen()).segments(t, nodes.detach()).shape == (3, 1)


def test_score_jacobian_inner_is_that_of_its_segments():
    x, u = _points(4, 2), 1e-4 * _points(4, 2, seed=1)
    t = torch.zeros(4, dtype=torch.float64)
    energy = ScoreJacobian(_MIXTURE)
    square = energy.segments(torch.zeros(2).double(), torch.stack([x - u / 2, x + u / 2]))[0]
    assert_close(energy.inner(t, x, u, u), square, rtol=1e-6, atol=0)
    both = energy.inner(t, x, u, x)
    assert_close(both, energy.inner(t, x, x, u))
    jacobian = torch.func.vmap(torch.func.jacrev(lambda y: _MIXTURE(t[0], y)))(x)
    product = torch.einsum("nij,nik,nj,nk->n", jacobian, jacobian, u, x)
    assert_close(both, product)


def test_score_jacobian_of_a_gaussian_is_flat():
    """G = I/σ⁴, so ℓ = |Δ|/σ²."""
    nodes = _points(6, 3, 4)
    energy = ScoreJacobian(Gaussian([0.3] * 4, 0.5))
    square = energy.segments(torch.linspace(0, 1, 6).double(), nodes)
    assert_close(square, (nodes[1:] - nodes[:-1]).square().sum(-1) / 0.5**4)


def test_score_jacobian_of_a_gaussian_gives_lines():
    start = Spline(_points(9, 2, 3))
    solution = solve_bvp(
        BoundaryProblem(ScoreJacobian(Gaussian([0.5] * 3, 0.5)), start), EnergyMinimiser(), tol=1e-7
    )
    assert solution.converged
    a, b = start.nodes[0], start.nodes[-1]
    assert_close(solution.path(_TIMES), Line(a, b)(_TIMES), rtol=0, atol=1e-6)
    assert_close(solution.length, (b - a).norm(dim=-1) / 0.25)


def test_score_jacobian_of_a_mixture_is_the_preimage_of_a_line():
    a, b = vector(0.6614, 0.2669), vector(0.8575, 0.1551)
    solution = solve_bvp(
        BoundaryProblem(ScoreJacobian(_MIXTURE), Line(a, b)), EnergyMinimiser(), tol=1e-6
    )
    assert solution.converged
    scores = _MIXTURE(_TIMES, solution.path(_TIMES))
    assert_close(scores, Line(scores[0], scores[-1])(_TIMES), rtol=0, atol=2e-4)
    assert float(solution.length) == pytest.approx(float((scores[-1] - scores[0]).norm()), rel=1e-6)
    bend = solution.path(_TIMES) - Line(a, b)(_TIMES)
    assert float(bend.abs().max()) > 1e-3
