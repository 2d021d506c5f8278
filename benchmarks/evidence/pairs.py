"""Pairs of heads whose factors are known, so that all that lies between them is known too.

The truth between two heads is the line between their factors, rendered. Heads come from seeds
that no training step saw; pair i of a kind is the same however many pairs are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import final

from torch import Tensor

from diffusion_geodesics.comparison.pairs import Pair
from training.bank import held_out
from training.factors import Factors, caption, concatenate, phrases
from training.portraits import render

STREAM = 1700
"""Offset of the held-out heads of this benchmark; kinds follow, each with heads of its own."""
MOST = 32
"""Pairs of a kind that there are."""


class Kind(Enum):
    """What two heads differ in."""

    TURN = "turn"
    SMILE = "smile"
    HAIR = "hair"
    LIGHT = "light"
    GLASSES = "glasses"
    EXPRESSION = "expression"
    ALL = "all"

    @property
    def factors(self) -> tuple[str, ...]:
        """The factors that change; none where all do."""
        return tuple(CHANGES.get(self, {}))


CHANGES: dict[Kind, dict[str, tuple[float, float]]] = {
    Kind.TURN: {"yaw": (math.radians(-30), math.radians(30))},
    Kind.SMILE: {"smile": (-0.9, 0.9)},
    Kind.HAIR: {"hair_length": (0.05, 0.95)},
    Kind.LIGHT: {"light": (-0.9, 0.9)},
    Kind.GLASSES: {"glasses": (0.0, 1.0)},
    Kind.EXPRESSION: {"smile": (-0.8, 0.8), "mouth_open": (0.0, 0.9), "brow": (-0.8, 0.8)},
}
"""Factors that change, from first to last."""
FIXED = {Kind.SMILE: {"mouth_open": 0.0}, Kind.HAIR: {"bald": 0.0}}
"""Factors that are set, so that the change is seen."""


@final
@dataclass(frozen=True, eq=False)
class TruePair:
    """Two heads, one portrait each, and all that lies between them."""

    name: str
    kind: Kind
    first: Factors
    last: Factors

    def between(self, t: Tensor) -> Factors:
        """The heads at parameters t in [0, 1]."""
        index = [0] * len(t)
        return self.first.select(index).interpolate(self.last.select(index), t.float())

    def pair(self, size: int, prompts: bool) -> Pair:
        """Both heads rendered, with their captions as prompts if wanted."""
        images = render(concatenate([self.first, self.last]), size)
        told = [caption(phrases(f)[0]) if prompts else None for f in (self.first, self.last)]
        return Pair(self.name, images[0], images[1], told[0], told[1])


def true_pairs(count: int, kinds: Sequence[Kind] = tuple(Kind)) -> list[TruePair]:
    """``count`` pairs of each kind, of heads that no training step saw.

    Raises:
        ValueError: a count outside 1 to `MOST`.
    """
    if not 1 <= count <= MOST:
        raise ValueError(f"got {count} pairs of a kind; there are 1 to {MOST}")
    found = []
    for kind in kinds:
        heads = held_out(2 * MOST, STREAM + list(Kind).index(kind))
        for i in range(count):
            first, last = _ends(heads.select(i), heads.select(MOST + i), kind)
            found.append(TruePair(f"{kind.value}-{i:03d}", kind, first, last))
    return found


def _ends(head: Factors, other: Factors, kind: Kind) -> tuple[Factors, Factors]:
    if kind is Kind.ALL:
        return head, other
    first, last = (
        head.replace(**FIXED.get(kind, {}), **{k: v[end] for k, v in CHANGES[kind].items()})
        for end in (0, 1)
    )
    return first, last
