r"""Cuts: where one shot ends and another begins.

Between neighbouring frames :math:`c = \frac12 \sum |h - h'| + \overline{|x - x'|}`: the distance
of their colour histograms (0 to 1) and of their pixels. Motion changes pixels and hardly colours,
and goes on for several frames; a cut changes both, once. So a cut is a c that is large, far above
the running median, and alone among its neighbours.
"""

import itertools
import statistics
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from diffusion_geodesics.clips.clip import Frame


@final
@dataclass(frozen=True)
class CutRule:
    """When a change c between neighbouring frames is a cut."""

    least: float = 0.25  # c that any cut has
    jump: float = 6.0  # how far it is above the median of the changes around it
    alone: float = 2.0  # how far above each of its two neighbours on either side
    # how many changes before it the median is taken over; the two after it count too
    around: int = 24

    def is_cut(self, before: list[float], change: float, after: list[float]) -> bool:
        """Whether a change is a cut, given those before and after it."""
        near = [*before[-2:], *after[:2]]
        median = statistics.median([*before, *after] or [0.0])
        return (
            change > self.least
            and change > self.jump * median
            and all(change > self.alone * other for other in near)
        )


@final
@dataclass(frozen=True, eq=False)
class Shot:
    """A frame of a shot."""

    frame: Frame  # as it was read
    cut: bool  # whether it is the first one after a cut


def shots(frames: Iterable[Frame], rule: CutRule | None) -> Iterator[Shot]:
    """The frames, each with a word on whether a cut comes before it."""
    if rule is None:
        yield from (Shot(frame, False) for frame in frames)
        return
    held: deque[tuple[Frame, float]] = deque()
    before: deque[float] = deque(maxlen=rule.around)
    last: tuple[Tensor, Tensor] | None = None
    started = False
    for item in itertools.chain(frames, [None, None]):
        if item is not None:
            here = features(item.image)
            held.append((item, 0.0 if last is None else _change(last, here)))
            last = here
        if held and (len(held) > 2 or item is None):
            frame, change = held.popleft()
            after = [later for _, later in held]
            yield Shot(frame, started and rule.is_cut(list(before), change, after))
            if started:
                before.append(change)
            started = True


def features(image: Float[Tensor, "3 height width"]) -> tuple[Tensor, Tensor]:
    """What two frames are compared by."""
    small = adaptive_avg_pool2d(image.float(), 32)
    bins = (small.clamp(0, 1) * 7.999).long().flatten(1)
    counts = torch.stack([torch.bincount(row, minlength=8) for row in bins])
    return small, counts / counts.sum()


def _change(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> float:
    return float(0.5 * (a[1] - b[1]).abs().sum() + (a[0] - b[0]).abs().mean())
