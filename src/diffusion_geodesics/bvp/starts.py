r"""Several initial paths of one pair: which of them go on after a coarse level.

Most starts lead to the same few geodesics, and a coarse level already shows which is the shortest.
After it a start goes on only if its curve differs from the shortest geodesic found and is not much
longer. Of starts whose curves coincide one goes on, and the others take over its outcome; a start
that is left because it is longer ends as ``Result.not_shortest``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from diffusion_geodesics.bvp.level_loop import LevelState
from diffusion_geodesics.bvp.result import Result

MARGIN = 0.2
"""How much longer than the shortest geodesic, relatively, a curve may be at a coarse level to go
on; above the errors of coarse lengths."""

SAME_CURVE = 0.02
"""Largest distance of the nodes of two curves, over their length, at which they are the same."""


@dataclass(frozen=True)
class Contenders:
    """The initial paths that are still being solved."""

    running: Bool[Tensor, " paths"]  # which paths go on
    follows: Int[Tensor, " paths"]  # the path whose outcome each path shares; itself for most
    pairs: int  # number of pairs; path = start * pairs + pair

    def merged(self, state: LevelState) -> LevelState:
        """The state with the outcome of every path that follows another."""
        path = self.follows
        return replace(
            state,
            nodes=state.nodes[:, path],
            residual=state.residual[path],
            length=state.length[path],
            results=tuple(state.results[i] for i in path.tolist()),
        )


def all_starts(index: Int[Tensor, " paths"], pairs: int) -> Contenders:
    """Every path, before the first level."""
    everything = torch.arange(len(index), device=index.device)
    return Contenders(torch.ones_like(index, dtype=torch.bool), everything, pairs)


def contenders(state: LevelState, before: Contenders) -> tuple[LevelState, Contenders]:
    """Choose the paths that go on after a coarse level."""
    pairs, nodes = before.pairs, state.nodes
    good = torch.tensor([r.ok for r in state.results], device=nodes.device) & before.running
    length = torch.where(good, state.length, torch.inf).reshape(-1, pairs)
    best = length.argmin(0) * pairs + torch.arange(pairs, device=nodes.device)
    known, best = (x.repeat(len(length)) for x in (torch.isfinite(length.amin(0)), best))
    itself = best == torch.arange(len(best), device=best.device)
    span = torch.linalg.vector_norm(nodes[1:] - nodes[:-1], dim=-1).sum(0)[best]
    gap = torch.linalg.vector_norm(nodes - nodes[:, best], dim=-1).amax(0)
    rival = before.running & known & ~itself
    same = rival & (gap <= SAME_CURVE * span)
    longer = rival & ~same & ~(state.length <= state.length[best] * (1 + MARGIN))
    marks = zip(state.results, longer.tolist(), strict=True)
    results = tuple(Result.not_shortest if left else result for result, left in marks)
    follows = torch.where(same, best, before.follows)
    running = before.running & ~same & ~longer
    # Whoever followed a path that now follows another goes along.
    return replace(state, results=results), Contenders(running, follows[follows], pairs)
