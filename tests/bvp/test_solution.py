"""Solutions: results, errors, monitors, and one pair of a batch."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.bvp import (
    BoundaryProblem,
    GeodesicError,
    PreconditionedFlow,
    PublishedDescent,
    Result,
    Solution,
    solve_bvp,
)
from diffusion_geodesics.density import Gaussian, HalfPlane
from diffusion_geodesics.geodesics import geodesic
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.path import Line, Path, Spline
from tests.conformance.bvp_solver import gaussian
from tests.exact import vector


def test_result_of_a_batch_is_the_worst():
    order = [r.name for r in Result]
    good = ["converged", "length_converged"]
    assert order[:3] == [*good, "unresolved"]
    assert order[-1] == "non_finite"
    assert [r.ok for r in Result] == [r.name in good for r in Result]


def test_error_carries_message_and_solution():
    with pytest.raises(GeodesicError, match=r"residual .* after \d+ iterations") as error:
        gaussian().solve(PreconditionedFlow(), tol=1e-13, max_steps=1, throw=True)
    assert isinstance(error.value.solution, Solution)


def test_monitors_of_a_solution():
    density = Gaussian([0.0, 0.0])
    solution = geodesic(density, [1.5, 0.0], [-0.7, 1.2], alpha=0.3)
    points = solution.path(solution.t)
    assert_close(solution.norm, points.norm(dim=-1))
    assert_close(solution.noise_energy, points.norm(dim=-1) / math.sqrt(2))
    best = -0.5 * points.square().sum(-1).min()
    denser = -0.5 * min(1.5**2, 0.7**2 + 1.2**2)
    assert float(solution.gain) == pytest.approx(float(best) - denser, rel=1e-6)


def test_repr_of_one_pair_and_of_a_batch():
    one = geodesic(HalfPlane(), vector(0, 1), vector(3, 1))
    assert repr(one) == (  # arccosh(1 + 9 / 2) = 2.38953
        f"Solution(converged, distance 2.3895 ± {float(one.distance_error):.1g}, "
        f"residual {float(one.residual):.1g}, {one.nfe} score evaluations)"
    )
    ends = [[[0.0, 1.0], [0.0, 1.0]], [[3.0, 1.0], [4.0, 1.0]]]  # the second: arccosh(9) = 2.88727
    both = geodesic(HalfPlane(), *ends, max_steps=1, tol=1e-12)
    text = repr(both)
    assert text.startswith(f"Solution(pairs (2,), worst: {both.result.name}, distance 2.3"), text
    assert not both.converged
    assert (
        f" to {float(both.distance.max()):.5g} ± {float(both.distance_error.max()):.1g}, " in text
    )
    assert f"residual {float(both.residual.max()):.1g}, {both.nfe} score" in text


def test_no_noise_level_no_energy():
    solution = geodesic(lambda x: -x, [1.5, 0.0], [0.0, 1.5], alpha=0.3)
    assert solution.noise_energy is None
    assert solution.warnings == ()


def test_gain_is_never_negative():
    """A path along which the density falls from one end to the other."""
    solution = geodesic(HalfPlane(), vector(0, 1), vector(0, 2))
    assert float(solution.gain) == pytest.approx(0, abs=1e-12)


def _grid(count: int) -> Tensor:
    return torch.linspace(0, 1, count, dtype=torch.float64)


def test_one_pair_of_a_batch():
    """Batch axes (2, 2), two initial paths each: every pair is the solution of its own problem."""
    start = torch.stack([vector(1.5, 0), vector(1.0, 0.2)]).expand(2, 2, 2)
    end = torch.stack([vector(0.2, 1.2), vector(-0.5, 1.3)])[:, None].expand(2, 2, 2)
    density, bump = Gaussian([0.0, 0.0]), torch.sin(math.pi * _grid(17))

    def paths(a: Tensor, b: Tensor) -> list[Path]:
        line = Line(a, b)
        wave = 0.2 * bump.reshape(-1, *[1] * a.ndim)
        return [line, Spline(line(_grid(17)) + wave)]

    many = geodesic(density, start, end, starts=paths(start, end))
    for index in range(4):
        one, a, b = many.pair(index), start.reshape(4, 2)[index], end.reshape(4, 2)[index]
        alone = geodesic(density, a, b, starts=paths(a, b))
        assert_close(one.path(_grid(9)), alone.path(_grid(9)), rtol=0, atol=1e-7)
        for name in ("length", "distance", "gain", "norm", "log_density", "arc_length"):
            assert_close(getattr(one, name), getattr(alone, name), rtol=1e-7, atol=1e-9)
        assert_close(one.noise_energy, alone.noise_energy)
        assert_close(one.residual, alone.residual, rtol=1e-3, atol=1e-9)
        assert_close(one.distance_error, alone.distance_error, rtol=1e-3, atol=1e-12)
        assert one.result is alone.result
        assert [s.results for s in one.starts] == [s.results for s in alone.starts]
        assert_close(one.starts[1].length, alone.starts[1].length, rtol=1e-7, atol=0)
        assert one.steps[0].residual.shape == alone.steps[0].residual.shape == (2,)
        assert_close(one.steps[0].residual, alone.steps[0].residual)
        assert one.profile.at_arc_length(_grid(5)).shape == (5,)
    assert (many.pair(3).nfe, many.pair(3).batches) == (many.nfe, many.batches)


@pytest.mark.parametrize("index", [-1, 4])
def test_there_is_no_such_pair(index: int):
    many = geodesic(Gaussian([0.0, 0.0]), torch.ones(4, 2), torch.zeros(4, 2), alpha=0.3)
    with pytest.raises(IndexError, match="expected 0 to 3"):
        many.pair(index)


def test_given_up_levels_belong_to_their_pair():
    """The paper's algorithm gives up levels of some pairs; each pair reports its own."""
    start = torch.stack([vector(1.5, 0), vector(1.5, 0)])
    end = torch.stack([vector(-0.6, 1.4), vector(1.4, 0.1)])
    line = BoundaryProblem(Conformal(Gaussian([0.0, 0.0])), Line(start, end))
    both = solve_bvp(line, PublishedDescent())
    assert both.given_up
    for index in range(2):
        own = [(g.intervals, g.steps) for g in both.given_up if g.path == index]
        found = both.pair(index).given_up
        assert [(g.intervals, g.steps) for g in found] == own
        assert {g.path for g in found} <= {0}
