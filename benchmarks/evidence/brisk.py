"""Methods at a lower price: re-timed once instead of twice, and not surveyed along their path."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import final

import torch

from diffusion_geodesics.apps.evidence import Method, Reel, Rendered, Stage
from diffusion_geodesics.apps.evidence.reel import Film, Render, eight_bits
from diffusion_geodesics.diffusion import Cost
from diffusion_geodesics.measures import Features, equal_steps


@final
@dataclass(frozen=True)
class Brisk(Method):
    """Another method, by its name.

    Frames are rendered at equal parameters, and those between once more where the arc length of
    the first has equal fractions: ``2 n - 2`` renderings for n frames where a `Rendered` makes
    ``3 n - 4``. "largest step" tells how even the steps came out.
    """

    method: Method

    @property
    def name(self) -> str:
        return self.method.name

    @property
    def prompted(self) -> bool:
        return self.method.prompted

    def reel(self, stage: Stage, pair: str) -> Reel:
        reel = self.method.reel(stage, pair)
        if not isinstance(reel, Rendered):
            return reel
        return OncePaced(reel.render, cost=reel.cost, note=reel.note)


@final
@dataclass(frozen=True, eq=False)
class OncePaced(Reel):
    """A path that is rendered twice, and of which nothing more is told.

    Args:
        render, cost, note: as in `Rendered`.
    """

    render: Render
    cost: Cost = field(default_factory=Cost)
    note: str = ""

    def film(self, features: Features, count: int) -> Film:
        """Rendered at equal parameters, then where the arc length has equal fractions."""
        even = torch.linspace(0, 1, count, dtype=torch.float64)
        first = eight_bits(self.render(even)[0])
        t = equal_steps(even, features(first), count)
        started = time.perf_counter()
        between, cost = self.render(t[1:-1])
        share = count / (count - 2)
        took = (time.perf_counter() - started) * share
        frames = torch.cat([first[:1], eight_bits(between), first[-1:]])
        return Film(frames, t, Cost(round(cost.rows * share), cost.calls, took))
