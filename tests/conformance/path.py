"""What every path must do."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.paths import Path
from tests.conformance.manifold import differences


@dataclass(frozen=True)
class PathCase:
    """A path between ``start`` and ``end``, shape (*batch, dim).

    Args:
        highest: highest order of derivative it has.
        one: the same path for one element of the batch, given its index.
        smooth_at: parameters where it is smooth.
    """

    name: str
    path: Path
    start: Tensor
    end: Tensor
    highest: int
    smooth_at: tuple[float, ...] = (0.13, 0.35, 0.63, 0.88)


_TIMES = torch.tensor([0.0, 0.2, 0.5, 1.0], dtype=torch.float64)


class PathSuite:
    """Subclasses provide the fixture ``case``."""

    def test_ends_are_exact(self, case: PathCase):
        both = case.path(torch.tensor([0.0, 1.0], dtype=torch.float64))
        assert_close(both[0], case.start, rtol=1e-14, atol=1e-14)
        assert_close(both[1], case.end, rtol=1e-14, atol=1e-14)

    def test_time_is_the_first_axis(self, case: PathCase):
        for order in range(case.highest + 1):
            value = case.path(_TIMES, order)
            assert value.shape == (4, *case.start.shape)
            assert (value.dtype, value.device) == (case.start.dtype, case.start.device)

    def test_times_of_any_precision_and_number(self, case: PathCase):
        assert_close(case.path(_TIMES.float()), case.path(_TIMES), rtol=1e-6, atol=1e-6)
        for order in range(case.highest + 1):
            together = case.path(_TIMES, order)
            for i in range(len(_TIMES)):
                alone = case.path(_TIMES[i : i + 1], order)[0]
                assert_close(alone, together[i], rtol=1e-12, atol=1e-12)
        assert case.path(_TIMES[:0]).shape == (0, *case.start.shape)

    def test_derivatives(self, case: PathCase):
        def at(t: float) -> Tensor:
            return case.path(torch.tensor([t], dtype=torch.float64))[0]

        for t in case.smooth_at:
            _, first, second = differences(at, t, h=2e-3)
            time = torch.tensor([t], dtype=torch.float64)
            if case.highest >= 1:
                assert_close(case.path(time, 1)[0], first, rtol=1e-6, atol=1e-6)
            if case.highest >= 2:
                assert_close(case.path(time, 2)[0], second, rtol=1e-6, atol=1e-5)

    @pytest.mark.parametrize("t", [[-0.1], [1.1], [0.5, float("nan")]])
    def test_bad_times(self, case: PathCase, t: list[float]):
        with pytest.raises(ValueError, match=r"values in \[0, 1\]"):
            case.path(torch.tensor(t, dtype=torch.float64))

    @pytest.mark.parametrize("order", [-1, 3])
    def test_bad_orders(self, case: PathCase, order: int):
        with pytest.raises(ValueError, match=f"order is {order}"):
            case.path(_TIMES, order)
        with pytest.raises(ValueError, match="derivatives of order 0 to"):
            case.path(_TIMES, case.highest + 1)

    def test_arc_length_grows(self, case: PathCase):
        arc = case.path.arc_length(65)
        assert arc.shape == (65, *case.start.shape[:-1])
        assert (arc[0] == 0).all()
        assert (arc[1:] >= arc[:-1]).all()
        straight = (case.end - case.start).norm(dim=-1)
        assert (arc[-1] >= straight * (1 - 1e-12)).all()
