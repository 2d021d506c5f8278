"""A path of images before anybody has chosen where its frames are."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.apps.survey import Candidate
from diffusion_geodesics.diffusion import Cost
from diffusion_geodesics.measures import Features, equal_steps, nearest_frames

PASSES = 2
"""How often frames are moved to equal steps of the arc length that is known by then."""

Images = Float[Tensor, "frames 3 height width"]
Render = Callable[[Float[Tensor, " frames"]], tuple[Images, Cost]]


@final
@dataclass(frozen=True, eq=False)
class Film:
    """Frames at equal feature steps.

    Args:
        frames: (frames, 3, height, width), in 256 levels, so that files hold exactly these.
        t: curve parameter of each.
        cost: of as many frames, had it been known where they are.
    """

    frames: Images
    t: Float[Tensor, " frames"]
    cost: Cost


NOTHING = Cost()


class Reel(ABC):
    """What a method found.

    - `candidate`: the path at the stage's noise level; None where there is none.
    - `cost`: what finding the path took, without inversion and decoding.
    - `note`: how a solver ended, where it did not converge.
    """

    candidate: Candidate | None = None
    cost: Cost = NOTHING
    note: str = ""

    @abstractmethod
    def film(self, features: Features, count: int) -> Film:
        """``count`` frames at equal steps of the features."""


@final
@dataclass(frozen=True, eq=False)
class Rendered(Reel):
    """A path that can be rendered anywhere.

    Args:
        render: curve parameters to images and cost.
        candidate, cost, note: as in `Reel`.
    """

    render: Render
    candidate: Candidate | None = None
    cost: Cost = NOTHING
    note: str = ""

    def film(self, features: Features, count: int) -> Film:
        """Rendered at equal parameters, then where the arc length seen so far has equal fractions,
        as often as `PASSES` says. Costs ``count + PASSES * (count - 2)`` frames."""
        seen = torch.linspace(0, 1, count, dtype=torch.float64)
        frames = eight_bits(self.render(seen)[0])
        ends, t, inner, cost, took = frames[[0, -1]], seen, frames[1:-1], NOTHING, 0.0
        known = features(frames)
        for _ in range(PASSES):
            t = equal_steps(seen, known, count)
            started = time.perf_counter()
            rendered, cost = self.render(t[1:-1])
            took, inner = time.perf_counter() - started, eight_bits(rendered)
            order = torch.cat([seen, t[1:-1]]).argsort(stable=True)
            seen = torch.cat([seen, t[1:-1]])[order]
            known = torch.cat([known, features(inner)])[order]
        share = count / max(count - 2, 1)
        cost = Cost(round(cost.rows * share), cost.calls, took * share)
        return Film(torch.cat([ends[:1], inner, ends[1:]]), t, cost)


@final
@dataclass(frozen=True, eq=False)
class Fixed(Reel):
    """Frames that are there already, in order: those nearest to equal steps are taken.

    Args:
        frames: at least 3.
    """

    frames: Images

    def film(self, features: Features, count: int) -> Film:
        frames = eight_bits(self.frames)
        index = nearest_frames(features(frames), count)
        t = torch.linspace(0, 1, len(frames), dtype=torch.float64)[index]
        return Film(frames[index], t, Cost())


def eight_bits(images: Images) -> Images:
    """Rounded to 256 levels, float32 on the CPU."""
    return (images.detach().to("cpu", torch.float32).clamp(0, 1) * 255).round() / 255
