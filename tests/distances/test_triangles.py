"""The triangle inequality of a distance matrix: found, mended, and marked where it is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.bvp import PreconditionedFlow, Result, Solution
from diffusion_geodesics.density import GaussianMixture, HalfPlane
from diffusion_geodesics.distances import checkpoint, distance_matrix
from diffusion_geodesics.distances.checkpoint import PairTable
from diffusion_geodesics.distances.triangles import detours, shortened
from diffusion_geodesics.geodesics import solve_pairs
from diffusion_geodesics.metric import Conformal
from tests.exact import Counting, vector

MODES = GaussianMixture([[2.0, 0.0], [-2.0, 0.0], [0.0, 2.0], [0.0, -2.0]], 0.4)
FLOW = PreconditionedFlow(refine=(64,))


def four_modes() -> Tensor:
    """Three points of each mode; straight lines between opposite modes lead through the hole."""
    generator = torch.Generator().manual_seed(0)
    noise = 0.4 * torch.randn(12, 2, generator=generator, dtype=torch.float64)
    return MODES.means[torch.arange(12) % 4] + noise


def unchecked(points: Tensor) -> tuple[PairTable, Tensor]:
    """All pairs from the straight line only, as they were before there was a check."""
    pairs = torch.combinations(torch.arange(len(points)))
    ends = points[pairs]
    solution = solve_pairs(Conformal(MODES), ends[:, 0], ends[:, 1], solver=FLOW)
    return PairTable.empty().extended(solution), pairs


def worst_triangle(values: Tensor, errors: Tensor) -> float:
    """Largest excess of a distance over a detour, beyond the error bars, relative to it."""
    low, high = values - errors, values + errors
    way = (high[:, :, None] + high[None]).amin(1)
    off = ~torch.eye(len(values), dtype=torch.bool)
    return float((low / way.clamp_min(1e-30))[off].max()) - 1


@pytest.fixture(scope="module")
def solved() -> tuple[Counting, object]:
    score = Counting(MODES)
    return score, distance_matrix(score, four_modes())


def test_the_straight_lines_alone_violate_it():
    table, pairs = unchecked(four_modes())
    found = detours(table, pairs, 12, 1.0)
    assert 3 <= len(found.rows) <= 12
    before = table.distance[found.rows]
    assert bool((found.length < before).all())
    assert float((before / found.length).max()) > 50


def test_the_matrix_obeys_it(solved):
    score, matrix = solved
    assert matrix.failed == ()
    assert worst_triangle(matrix.values, matrix.errors) <= 1e-4
    assert (matrix.nfe, matrix.batches) == (score.nfe, score.batches)


def test_the_mended_pairs_are_those_of_several_starts(solved):
    _, matrix = solved
    table, pairs = unchecked(four_modes())
    wrong = pairs[detours(table, pairs, 12, 1.0).rows]
    ends = four_modes()[wrong]
    best = solve_pairs(Conformal(MODES), ends[:, 0], ends[:, 1], solver=FLOW, starts=7)
    found = matrix.relative[wrong[:, 0], wrong[:, 1]]
    error = best.distance_error + matrix.relative_error[wrong[:, 0], wrong[:, 1]] * found
    assert bool((found <= best.distance + 3 * error).all())


def test_it_costs_nothing_where_all_is_well():
    points = torch.stack([vector(0, 0.5), vector(1, 1), vector(-0.5, 2), vector(0.3, 0.8)])
    matrix = distance_matrix(HalfPlane(), points, solver=FLOW)
    pairs = matrix.pairs
    alone = solve_pairs(
        Conformal(HalfPlane()), points[pairs[:, 0]], points[pairs[:, 1]], solver=FLOW
    )
    assert (matrix.nfe, matrix.batches) == (alone.nfe, alone.batches)


def _no_better(start: Tensor, end: Tensor, paths: object) -> Solution:
    """A solver that always finds the way through the hole."""
    return solve_pairs(Conformal(MODES), start, end, solver=FLOW)


def test_what_stays_is_marked_and_gets_the_bound():
    points = torch.stack([vector(2, 0), vector(0, 2), vector(-2, 0)])
    table, pairs = unchecked(points)
    direct = float(table.distance[1])
    marked = shortened(table, pairs, points, 1.0, _no_better, 64)
    assert [r.name for r in (list(Result)[c] for c in marked.code)] == [
        "converged",
        "not_shortest",
        "converged",
    ]
    bound = float(table.distance[0] + table.distance[2])  # the modes are equally dense
    assert float(marked.distance[1]) == pytest.approx(bound, rel=1e-3)
    assert direct > 10 * bound


def test_a_pair_that_failed_is_rescued_by_a_detour():
    points = torch.stack([vector(2, 0), vector(0, 2), vector(-2, 0)])
    table, pairs = unchecked(points)
    code = table.code.clone()
    code[1] = list(Result).index(Result.non_finite)
    distance = table.distance.clone()
    distance[1] = torch.nan
    broken = replace(table, code=code, distance=distance)

    def solve(start: Tensor, end: Tensor, paths: list | None) -> Solution:
        starts = 1 if paths is None else paths
        return solve_pairs(Conformal(MODES), start, end, solver=FLOW, starts=starts)

    mended = shortened(broken, pairs, points, 1.0, solve, 64)
    assert list(Result)[int(mended.code[1])] is Result.converged
    assert float(mended.distance[1]) < float(table.distance[1]) / 10


def test_a_run_killed_while_pairs_are_mended_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    points = torch.stack([vector(2, 0), vector(0, 2.1), vector(-2, 0.1), vector(0, -1.9)])
    whole = distance_matrix(MODES, points)
    file = tmp_path / "pairs.safetensors"
    with monkeypatch.context() as patch:

        def stop(*_: object) -> PairTable:
            raise KeyboardInterrupt

        patch.setattr("diffusion_geodesics.distances.matrix.shortened", stop)
        with pytest.raises(KeyboardInterrupt):
            distance_matrix(MODES, points, resume=file)
    again = distance_matrix(MODES, points, resume=file)
    assert_close(again.values, whole.values, rtol=0, atol=0)
    assert (again.results, again.nfe) == (whole.results, whole.nfe)
    score = Counting(MODES)
    file.unlink()
    distance_matrix(score, points, resume=file)
    spent = score.nfe
    assert_close(distance_matrix(score, points, resume=file).values, whole.values, rtol=0, atol=0)
    assert score.nfe == spent  # a file that was checked is not checked again
    assert list(Result) == checkpoint.RESULTS
