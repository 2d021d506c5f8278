"""Verification of relaxed curves: lengths at new points, error bars, and the final results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.bvp.euler_lagrange import error_bar
from diffusion_geodesics.bvp.length_check import SAME_LENGTH, is_longer
from diffusion_geodesics.bvp.level_loop import LevelState
from diffusion_geodesics.bvp.result import Result
from diffusion_geodesics.bvp.solution import UNRESOLVED
from diffusion_geodesics.length import Profile, measure
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.path import Spline


@dataclass(frozen=True)
class Verification:
    """Density and length of the chosen curves at new points."""

    profile: Profile  # the profile per point
    error: Float[Tensor, "*batch"]  # error bar of the length
    batches: int  # cost
    nfe: int  # cost


def chosen_nodes(state: LevelState, chosen: Tensor, batch: Sequence[int]) -> Tensor:
    """The nodes of the chosen curves, shape (nodes, *batch, dim)."""
    return state.nodes[:, chosen].reshape(len(state.nodes), *batch, state.nodes.shape[-1])


def verify(
    connection: Connection,
    state: LevelState,
    chosen: Tensor,
    batch: Sequence[int],
    intervals: int = 64,
) -> Verification:
    """Measure the chosen curves at new points."""
    path = Spline(chosen_nodes(state, chosen, batch), connection.manifold)
    profile = measure(connection, path, intervals=intervals)
    error = error_bar(profile, state.length[chosen].reshape(batch))
    return Verification(profile, error, 1, profile.nfe)


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
    part = verify(connection.select(again), state, chosen[again], (len(again),), 128)
    old, new = known.profile, part.profile

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
            if f.name not in ("t", "nfe")
        },
        nfe=old.nfe + new.nfe,
    )
    return Verification(profile, merged(known.error, part.error), known.batches + 1, profile.nfe)


def final_results(state: LevelState, chosen: Tensor, check: Verification) -> tuple[Result, ...]:
    """How each pair ended, given the verification."""
    length, error = check.profile.length.flatten(), check.error.flatten()
    large = error > UNRESOLVED * length

    def final(result: Result, finite: bool, unresolved: bool) -> Result:
        if not finite:
            return Result.non_finite
        return Result.unresolved if unresolved and result.ok else result

    return tuple(
        final(state.results[int(i)], finite, unresolved)
        for i, finite, unresolved in zip(
            chosen, torch.isfinite(length).tolist(), large.tolist(), strict=True
        )
    )


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
    return (
        tuple(Result.not_shortest if i in found else r for i, r in enumerate(results)),
        replace(check, batches=check.batches + batches, nfe=check.nfe + spent),
    )
