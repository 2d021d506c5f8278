"""Which images of a film are joined by a path: neighbours, unless they are the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import torch

from diffusion_geodesics.latents.geometry import Pair
from diffusion_geodesics.latents.pictures import Pictures
from diffusion_geodesics.runtime.diagnostic import Diagnostic


@final
@dataclass(frozen=True)
class Chain:
    """Keyframes in the order of the film, with a segment between neighbours that differ."""

    pairs: tuple[Pair, ...]  # numbers of the first and last image of each segment
    places: tuple[int, ...]
    closed: bool = False  # whether the last segment leads back to the first image

    @staticmethod
    def through(count: int, *, closed: bool) -> Chain:
        """The chain through images that all differ."""
        order = [*range(count), 0] if closed else list(range(count))
        return Chain(tuple(pairwise(order)), tuple(range(count)), closed)

    @property
    def legs(self) -> tuple[int | None, ...]:
        """From each keyframe to the next, the number of the segment; None for a rest."""
        ends = (*self.places, len(self.pairs)) if self.closed else self.places
        legs = [i if j > i else None for i, j in pairwise(ends)]
        # A loop whose last image is the first again is closed by it, and does not rest there.
        return tuple(legs[:-1] if self.closed and legs[-1] is None else legs)


def chain_of(pictures: Pictures, *, closed: bool) -> Chain:
    """The chain through all images."""
    count = len(pictures.images)
    order = [*range(count), 0] if closed else list(range(count))
    pairs: list[Pair] = []
    places = [0]
    for i, j in pairwise(order):
        if not torch.equal(pictures.images[i], pictures.images[j]):
            pairs.append((i, j))
        places.append(len(pairs))
    if not pairs:
        names = ", ".join(dict.fromkeys(pictures.names))
        raise ValueError(f"all images ({names}) are identical; give at least two that differ")
    return Chain(tuple(pairs), tuple(places[:count]), closed)


def repeats(pictures: Pictures, chain: Chain) -> Iterator[Diagnostic]:
    """Which images are given again at once, and what the film makes of it."""
    last = len(chain.places) - 1
    for i in range(last):
        if chain.places[i] == chain.places[i + 1]:
            yield Diagnostic(
                "hold",
                f"Images {i + 1} and {i + 2} ({pictures.names[i]}, {pictures.names[i + 1]}) are "
                "the same: the film rests there.",
                {"images": [i, i + 1]},
            )
    if chain.closed and chain.places[last] == len(chain.pairs):
        yield Diagnostic(
            "closed_by_last",
            f"Image {last + 1} ({pictures.names[last]}) is the first one again: it closes the "
            "loop and is shown once.",
            {"images": [0, last]},
        )
