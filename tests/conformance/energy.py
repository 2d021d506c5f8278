"""What every energy must do: segments that are those of an inner product, and can be followed."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.metric import Energy


@dataclass(frozen=True)
class EnergyCase:
    """An energy and curves, shape (nodes, paths, dim)."""

    name: str
    energy: Energy
    nodes: Tensor

    @property
    def t(self) -> Tensor:
        return torch.linspace(0, 1, len(self.nodes), dtype=torch.float64).to(self.nodes)


class EnergySuite:
    """Subclasses provide the fixture ``case``."""

    def test_segments_are_squares(self, case: EnergyCase):
        squares = case.energy.segments(case.t, case.nodes)
        assert squares.shape == (len(case.nodes) - 1, case.nodes.shape[1])
        assert (squares > 0).all()

    def test_a_segment_of_no_length_costs_nothing(self, case: EnergyCase):
        still = case.nodes[:1].expand(3, *case.nodes.shape[1:])
        squares = case.energy.segments(torch.full_like(case.t[:3], 0.5), still)
        assert_close(squares, torch.zeros_like(squares), rtol=0, atol=1e-15)

    def test_segments_do_not_depend_on_the_direction_of_travel(self, case: EnergyCase):
        there = case.energy.segments(case.t, case.nodes)
        back = case.energy.segments(case.t.flip(0), case.nodes.flip(0))
        assert_close(back.flip(0), there)

    def test_short_segments_are_quadratic(self, case: EnergyCase):
        """ℓ² of half a step is a quarter, to first order and, by symmetry, to second."""
        middle = case.nodes[0]
        step = 0.3 * case.energy.manifold.to_tangent(middle, case.nodes[1] - case.nodes[0])
        t = torch.full_like(case.t[:2], 0.5)

        def square(part: float) -> Tensor:
            ends = torch.stack([middle - part * step, middle + part * step])
            return case.energy.segments(t, case.energy.manifold.project(ends))[0] / part**2

        big, half, quarter = square(0.2), square(0.1), square(0.05)
        small = 1e-9 * quarter
        assert ((half - quarter).abs() < 0.3 * (big - half).abs() + small).all()
        assert_close(quarter, big, rtol=0.1, atol=0)

    def test_gradient_is_that_of_the_value(self, case: EnergyCase):
        nodes = case.nodes.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(case.energy.segments(case.t, nodes).sum(), nodes)
        noise = torch.randn(nodes.shape, generator=torch.Generator().manual_seed(0)).to(nodes)
        move = 1e-5 * noise
        ahead, behind = (
            case.energy.segments(case.t, case.nodes + sign * move).sum() for sign in (1, -1)
        )
        assert_close((gradient * move).sum(), (ahead - behind) / 2, rtol=1e-5, atol=1e-12)

    def test_a_batch_is_a_loop(self, case: EnergyCase):
        together = case.energy.segments(case.t, case.nodes)
        for i in range(case.nodes.shape[1]):
            one = case.energy.segments(case.t, case.nodes[:, i : i + 1])
            assert_close(one[:, 0], together[:, i])

    def test_single_precision(self, case: EnergyCase):
        single = case.energy.segments(case.t.float(), case.nodes.float())
        assert single.dtype == torch.float32
        exact = case.energy.segments(case.t, case.nodes)
        assert_close(single.double(), exact, rtol=2e-2, atol=1e-5)

    def test_gradients_cost_more(self, case: EnergyCase):
        plain = case.energy.evaluations(9, gradient=False)
        assert 0 < plain < case.energy.evaluations(9, gradient=True) <= 3 * plain
