"""The one loop that drives every boundary value solver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.bvp.euler_lagrange import error_bar
from diffusion_geodesics.bvp.march import March, advance, begin
from diffusion_geodesics.bvp.shortest import SAME_LENGTH, is_longer
from diffusion_geodesics.bvp.solution import (
    UNRESOLVED,
    GeodesicError,
    Result,
    Solution,
    Start,
    Step,
    is_resolved,
)
from diffusion_geodesics.bvp.solver import BVPSolver, State
from diffusion_geodesics.length import Profile, measure
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.path import Path, Spline


def solve_bvp(
    connection: Connection,
    solver: BVPSolver[State],
    path: Path | Sequence[Path],
    *,
    tol: float = 1e-3,
    max_steps: int = 60,
    callback: Callable[[Step], None] | None = None,
    throw: bool = True,
) -> Solution:
    """Solve the boundary value problem between the ends of a path.

    Args:
        connection: the geometry.
        solver: how to move the nodes.
        path: the initial path, for one pair of points (shape (time, dim)) or a batch of pairs
            (time, *batch, dim). With several initial paths between the same points all are
            solved in one batch and the shortest solution of each pair is kept.
        tol: relative residual to reach.
        max_steps: steps on the finest level.
        callback: called after every iteration, with progress; raise in it to cancel.
        throw: raise :class:`GeodesicError` where a pair ends without a geodesic.

    Raises:
        ValueError: tol not positive, or the paths differ in shape or in their ends.
        GeodesicError: no geodesic was found, and ``throw`` is true.

    Cost: 2 score evaluations a path for the ends, then intervals - 1 a step and path still
    active, one call a step for all of them, and 65 a pair for the verification pass. Levels that a
    solver takes only where the length is not resolved are paid for by those pairs alone, with
    another verification of 129; a pair that ends longer than its initial path, by the first step's
    account, pays 65 to make sure. What a manifold such as a typical shell spends on its own is
    added.
    """
    if not tol > 0 or max_steps < 1:
        raise ValueError(f"tol is {tol} and max_steps {max_steps}; expected tol > 0, max_steps ≥ 1")
    starts = [path] if isinstance(path, Path) else list(path)
    if not starts:
        raise ValueError("got no initial path; expected one path or several")
    levels = list(solver.levels(tol, max_steps))
    required = [level for level in levels if not level.if_unresolved]
    times = torch.linspace(0, 1, levels[0].intervals + 1, dtype=torch.float64)
    initial = torch.stack([_same_ends(p(times), starts[0](times)) for p in starts], 1)
    batch = initial.shape[2:-1]
    nodes = initial.flatten(1, -2)
    pairs = nodes.shape[1] // len(starts)
    index = torch.arange(nodes.shape[1], device=nodes.device) % pairs
    spent = connection.manifold.spent
    march = begin(connection.select(index), nodes)
    begun = march.nodes
    everyone = torch.ones_like(index, dtype=torch.bool)
    for level in required:
        march = advance(march, solver, level, everyone, tol, callback)
    told = _told(march, len(starts), batch)
    chosen = _shortest(march, len(starts), pairs)
    check = _check(connection, march, chosen, batch)
    for level in (level for level in levels if level.if_unresolved):
        unresolved = (~is_resolved(check.error, check.profile.length)).flatten()
        usable = torch.tensor([march.results[int(i)].ok for i in chosen], device=nodes.device)
        again = (unresolved & usable).nonzero()[:, 0]
        if not len(again):
            break
        going = torch.zeros_like(everyone)
        going[chosen[again]] = True
        march = advance(march, solver, level, going, tol, callback)
        check = _check_again(connection, march, chosen, again, check)
    verdicts = _verdicts(march, chosen, check)
    if solver.seeks_geodesics:
        verdicts, check = _without_longer(connection, march, begun, verdicts, check)
    own_evals, own_calls = (b - a for a, b in zip(spent, connection.manifold.spent, strict=True))
    solution = Solution(
        path=Spline(_of_pairs(march, chosen, batch), connection.manifold),
        results=verdicts,
        residual=march.residual[chosen].reshape(batch),
        distance_error=check.error,
        profile=check.profile,
        starts=told,
        steps=march.steps,
        iterations=len(march.steps),
        calls=march.calls + check.calls + own_calls,
        score_evals=march.score_evals + check.score_evals + own_evals,
        given_up=march.given_up,
        precision=connection.score.precision,
    )
    if throw and not solution.result.ok:
        raise GeodesicError(solution)
    return solution


def _same_ends(nodes: Tensor, first: Tensor) -> Tensor:
    if nodes.shape != first.shape:
        raise ValueError(
            f"initial paths have shapes {tuple(nodes.shape[1:])} and {tuple(first.shape[1:])}; "
            "expected paths between the same points"
        )
    scale = first[[0, -1]].abs().max().clamp_min(1e-30)
    gap = (nodes[[0, -1]] - first[[0, -1]]).abs().max()
    if bool(gap > 1e-5 * scale):
        raise ValueError(
            f"initial paths end up to {float(gap):.2g} apart; expected the same end points"
        )
    return torch.cat([first[:1], nodes[1:-1], first[-1:]])


def _of_pairs(march: March, chosen: Tensor, batch: Sequence[int]) -> Tensor:
    return march.nodes[:, chosen].reshape(len(march.nodes), *batch, march.nodes.shape[-1])


@dataclass(frozen=True)
class _Check:
    """The verification pass: density and length at fresh points, the error bar, and its cost."""

    profile: Profile
    error: Float[Tensor, "*batch"]
    calls: int
    score_evals: int


def _check(
    connection: Connection,
    march: March,
    chosen: Tensor,
    batch: Sequence[int],
    intervals: int = 64,
) -> _Check:
    path = Spline(_of_pairs(march, chosen, batch), connection.manifold)
    profile = measure(connection, path, intervals=intervals)
    error = error_bar(profile, march.length[chosen].reshape(batch))
    return _Check(profile, error, 1, profile.score_evals)


def _check_again(
    connection: Connection,
    march: March,
    chosen: Tensor,
    again: Int[Tensor, " some"],
    check: _Check,
) -> _Check:
    """Verify some pairs anew, at twice as many points: a barrier that the nodes did not resolve
    these points did not resolve either. Every second one is a point of the first pass, so what was
    found can be put in the place of what was known."""
    part = _check(connection.select(again), march, chosen[again], (len(again),), 128)
    old, new = check.profile, part.profile

    def merged(whole: Tensor, some: Tensor) -> Tensor:
        if some.ndim == 1:
            return whole.flatten().index_copy(0, again, some).reshape(whole.shape)
        some = some[::2]
        flat = whole.reshape(len(some), -1, *some.shape[2:])
        return flat.index_copy(1, again, some).reshape(whole.shape)

    profile = replace(
        old,
        **{
            f.name: merged(getattr(old, f.name), getattr(new, f.name))
            for f in fields(old)
            if f.name not in ("t", "score_evals")
        },
        score_evals=old.score_evals + new.score_evals,
    )
    error = merged(check.error, part.error)
    return _Check(profile, error, check.calls + 1, profile.score_evals)


def _verdicts(march: March, chosen: Tensor, check: _Check) -> tuple[Result, ...]:
    """How each pair ended, with what the verification says."""
    length, error = check.profile.length.flatten(), check.error.flatten()
    large = error > UNRESOLVED * length

    def verdict(result: Result, finite: bool, unresolved: bool) -> Result:
        if not finite:
            return Result.non_finite
        return Result.unresolved if unresolved and result.ok else result

    return tuple(
        verdict(march.results[int(i)], finite, unresolved)
        for i, finite, unresolved in zip(
            chosen, torch.isfinite(length).tolist(), large.tolist(), strict=True
        )
    )


def _without_longer(
    connection: Connection,
    march: March,
    begun: Float[Tensor, "nodes paths dim"],
    verdicts: tuple[Result, ...],
    check: _Check,
) -> tuple[tuple[Result, ...], _Check]:
    """What pairs that are longer than an initial path are called. Those that seem to be, by the
    first step's nodes, are measured."""
    pairs = len(verdicts)
    length, error = check.profile.length.flatten(), check.error.flatten()
    known, start = march.steps[0].length.reshape(-1, pairs).min(0)
    good = torch.tensor([r.ok for r in verdicts], device=length.device)
    doubtful = (good & (length > known * (1 + SAME_LENGTH))).nonzero()[:, 0]
    if not len(doubtful):
        return verdicts, check
    initial = begun[:, start[doubtful] * pairs + doubtful]
    part = connection.select(doubtful)
    longer, calls, spent = is_longer(part, initial, length[doubtful], error[doubtful])
    found = set(doubtful[longer].tolist())
    return (
        tuple(Result.not_shortest if i in found else r for i, r in enumerate(verdicts)),
        replace(check, calls=check.calls + calls, score_evals=check.score_evals + spent),
    )


def _told(march: March, starts: int, batch: Sequence[int]) -> tuple[Start, ...]:
    """What became of every start."""
    pairs = len(march.results) // starts
    return tuple(
        Start(
            march.length[i * pairs : (i + 1) * pairs].reshape(batch),
            march.residual[i * pairs : (i + 1) * pairs].reshape(batch),
            march.results[i * pairs : (i + 1) * pairs],
        )
        for i in range(starts)
    )


def _shortest(march: March, starts: int, pairs: int) -> Tensor:
    """Of the starts of each pair: the shortest that is a geodesic, or else the best residual.
    Of those that are equally short, and so the same geodesic, the best residual as well."""
    good = torch.tensor([r.ok for r in march.results], device=march.nodes.device)
    length = torch.where(good, march.length, torch.inf).reshape(starts, pairs)
    residual = march.residual.reshape(starts, pairs)
    candidate = length <= length.amin(0) * (1 + SAME_LENGTH)
    pick = torch.where(candidate, residual, torch.inf).argmin(0)
    return pick * pairs + torch.arange(pairs, device=pick.device)
