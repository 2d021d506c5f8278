"""Verification of solved curves: lengths at new points, error bars, and the final results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Int
from torch import Tensor

from diffusion_geodesics.bvp.checks import SAME_LENGTH, is_longer
from diffusion_geodesics.bvp.level_loop import LevelState
from diffusion_geodesics.bvp.result import Result, Start
from diffusion_geodesics.bvp.solution import UNRESOLVED, Solution
from diffusion_geodesics.length import LengthProfile, Profile, measure
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.path import Spline
from diffusion_geodesics.shapes import Values


@dataclass(frozen=True)
class Verification:
    """Density and length of the chosen curves at new points, and what that cost."""

    profile: Profile
    error: Values  # error bar of the length
    batches: int
    nfe: int


def error_bar(profile: LengthProfile, node_length: Values) -> Values:
    """Error bar of a length: the larger of the difference between two quadratures and the error
    estimate of the second one."""
    return torch.maximum((profile.length - node_length).abs(), profile.length_error)


def verify(
    connection: Connection,
    state: LevelState,
    chosen: Tensor,
    batch: Sequence[int],
    intervals: int = 64,
) -> Verification:
    """Measure the chosen curves at new points."""
    path = _spline(connection, state, chosen, batch)
    profile = measure(connection, path, intervals=intervals)
    error = error_bar(profile, state.length[chosen].reshape(batch))
    return Verification(profile, error, 1, profile.nfe)


def _spline(
    connection: Connection, state: LevelState, chosen: Tensor, batch: Sequence[int]
) -> Spline:
    nodes = state.nodes[:, chosen].reshape(len(state.nodes), *batch, state.nodes.shape[-1])
    return Spline(nodes, connection.manifold)


def verify_again(
    connection: Connection,
    state: LevelState,
    chosen: Tensor,
    again: Int[Tensor, " some"],
    known: Verification,
) -> Verification:
    """Verify some refined pairs anew, at twice as many points.

    A barrier that the nodes did not resolve was not resolved by the first verification either.
    Every second new point is a point of the first pass, so the new values replace the old ones."""
    twice = 2 * (len(known.profile.t) - 1)
    part = verify(connection.select(again), state, chosen[again], (len(again),), twice)
    old, new = known.profile, part.profile

    def merged(whole: Tensor, some: Tensor) -> Tensor:
        if some.ndim == 1:
            return whole.flatten().index_copy(0, again, some).reshape(whole.shape)
        some = some[::2]
        flat = whole.reshape(len(some), -1, *some.shape[2:])
        return flat.index_copy(1, again, some).reshape(whole.shape)

    names = [f.name for f in fields(old) if f.name not in ("t", "nfe")]
    values = {name: merged(getattr(old, name), getattr(new, name)) for name in names}
    profile = replace(old, **values, nfe=old.nfe + new.nfe)
    error = merged(known.error, part.error)
    return Verification(profile, error, known.batches + 1, profile.nfe)


def final_results(state: LevelState, chosen: Tensor, check: Verification) -> tuple[Result, ...]:
    """How each pair ended, given the verification."""
    length, error = check.profile.length.flatten(), check.error.flatten()
    finite, large = torch.isfinite(length).tolist(), (error > UNRESOLVED * length).tolist()

    def final(result: Result, finite: bool, large: bool) -> Result:
        if not finite:
            return Result.non_finite
        return Result.unresolved if large and result.ok else result

    known = (state.results[i] for i in chosen.tolist())
    return tuple(map(final, known, finite, large))


def mark_longer(
    connection: Connection,
    first: LevelState,
    state: LevelState,
    results: tuple[Result, ...],
    check: Verification,
) -> tuple[tuple[Result, ...], Verification]:
    """Mark the pairs that are longer than one of their initial paths as ``not_shortest``.

    The lengths of the initial paths are known roughly from the first iteration; only those that
    seem shorter than the solution are measured."""
    pairs = len(results)
    length, error = check.profile.length.flatten(), check.error.flatten()
    known, start = state.steps[0].length.reshape(-1, pairs).min(0)
    good = torch.tensor([r.ok for r in results], device=length.device)
    doubtful = (good & (length > known * (1 + SAME_LENGTH))).nonzero()[:, 0]
    if not len(doubtful):
        return results, check
    initial = first.nodes[:, start[doubtful] * pairs + doubtful]
    part = connection.select(doubtful)
    longer, batches, spent = is_longer(part, initial, length[doubtful], error[doubtful])
    found = set(doubtful[longer].tolist())
    marked = tuple(Result.not_shortest if i in found else r for i, r in enumerate(results))
    return marked, replace(check, batches=check.batches + batches, nfe=check.nfe + spent)


def start_reports(
    length: Tensor, residual: Tensor, results: Sequence[Result], batch: Sequence[int]
) -> tuple[Start, ...]:
    """What became of every initial path; path = start * pairs + pair."""
    rows = length.reshape(-1, *batch), residual.reshape(-1, *batch)
    pairs = len(results) // len(rows[0])
    each = (tuple(results[i : i + pairs]) for i in range(0, len(results), pairs))
    return tuple(map(Start, *rows, each))


def solution(
    connection: Connection,
    state: LevelState,
    chosen: Tensor,
    results: tuple[Result, ...],
    check: Verification,
    starts: tuple[Start, ...],
    spent_before: tuple[int, int],
) -> Solution:
    """The solution made of verified curves; what a manifold spent itself since is added."""
    own = [b - a for a, b in zip(spent_before, connection.manifold.spent, strict=True)]
    return Solution(
        path=_spline(connection, state, chosen, check.error.shape),
        results=results,
        residual=state.residual[chosen].reshape(check.error.shape),
        distance_error=check.error,
        lengths=check.profile,
        starts=starts,
        steps=state.steps,
        batches=state.batches + check.batches + own[1],
        nfe=state.nfe + check.nfe + own[0],
        given_up=state.given_up,
        precision=connection.score.precision,
    )
