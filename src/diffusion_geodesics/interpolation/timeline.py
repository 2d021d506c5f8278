"""Which images of a film are joined by a path, and which frame is where: a segment of the chain,
and a curve parameter on it.

Geodesics meet at a corner: the direction changes at once at a keyframe, whatever the speed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace
from itertools import pairwise
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.interpolation.settings import Ease, Film
from diffusion_geodesics.latents.geometry import Pair
from diffusion_geodesics.latents.pictures import Pictures
from diffusion_geodesics.latents.profile import LatentProfile
from diffusion_geodesics.latents.settings import Spacing
from diffusion_geodesics.latents.spacing import frame_times, perceptual_length
from diffusion_geodesics.runtime.diagnostic import Diagnostic


@final
@dataclass(frozen=True)
class Chain:
    """Keyframes in the order of the film, with a segment between neighbours that differ."""

    pairs: tuple[Pair, ...]  # numbers of the first and last image of each segment
    places: tuple[int, ...]  # for each keyframe, how many segments lie before it
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


STEPS = 16
"""Steps from image to image where no number of frames is asked for."""


@final
@dataclass(frozen=True)
class Timeline:
    """The place of every frame."""

    segment: Int[Tensor, " frames"]  # number of the segment between two keyframes
    t: Float[Tensor, " frames"]  # curve parameter on it, in [0, 1]
    keyframes: tuple[int, ...]  # number of the frame at which each keyframe is shown

    @property
    def position(self) -> Float[Tensor, " frames"]:
        """Segments and curve parameter in one number, in [0, segments]."""
        return self.segment + self.t


def frame_count(film: Film, chain: Chain) -> int:
    """Number of frames of a film; the first one is not counted again at the end of a loop."""
    if film.frames is not None:
        return film.frames
    each = None if film.frames_each is None else film.frames_each - 1
    steps = [(1 if leg is None else STEPS) if each is None else each for leg in chain.legs]
    return sum(steps) + (not chain.closed)


COMPARED = 4
"""Steps from image to image of the films of other paths beside the film: three frames between."""


def compared_frames(chain: Chain, frames: int) -> int:
    """Number of frames of the films of other paths: no more than the film has."""
    open_end = not chain.closed
    most = max(COMPARED * len(chain.pairs), len(chain.legs)) + open_end
    return min(most, frames)


def timeline(
    film: Film, chain: Chain, profiles: Sequence[LatentProfile], frames: int | None = None
) -> Timeline:
    """Frames along a chain of segments, every keyframe shown once.

    The steps between frames are shared out among the segments so that the largest is as small as
    can be, at least one each, unless the settings say where keyframes are; on a segment they are
    equal, or eased."""
    count = frame_count(film, chain) if frames is None else frames
    legs, last = chain.legs, len(chain.pairs) - 1
    segments: list[Tensor] = []
    times: list[Tensor] = []
    at = [0]
    for place, leg, steps in zip(
        chain.places, legs, _steps(film, chain, profiles, count, frames is None), strict=False
    ):
        if leg is None:
            t = torch.full((steps,), float(place > last), dtype=torch.float64)
        else:
            smooth = film.ease is Ease.SMOOTH
            t = frame_times(film.spacing, steps + 1, profiles[leg], smooth=smooth)[:-1]
        segments.append(torch.full((steps,), min(place, last)))
        times.append(t)
        at.append(at[-1] + steps)
    if not chain.closed:
        end = chain.places[-1]
        segments.append(torch.tensor([min(end, last)]))
        times.append(torch.tensor([float(end > last)], dtype=torch.float64))
    keyframes = tuple(i % count for i in at[: len(chain.places)])
    return Timeline(torch.cat(segments), torch.cat(times), keyframes)


def _steps(
    film: Film, chain: Chain, profiles: Sequence[LatentProfile], count: int, timed: bool
) -> list[int]:
    """Number of steps from each keyframe to the next."""
    legs, intervals = chain.legs, count - (not chain.closed)
    if intervals < len(legs):
        raise ValueError(
            f"got {count} frames for {len(chain.places)} images; expected at least one frame for "
            "each"
        )
    if timed and film.at is not None:
        return _placed(film.at, len(legs), len(chain.places), intervals)
    if timed and film.frames_each is not None:
        return [film.frames_each - 1] * len(legs)
    lengths = [0.0 if leg is None else _length(film.spacing, profiles[leg]) for leg in legs]
    return _shares(lengths, intervals)


def _placed(at: Sequence[float], legs: int, images: int, intervals: int) -> list[int]:
    """Steps between keyframes that are at given fractions of the film."""
    edges = (*at, 1.0) if len(at) == images == legs else tuple(at)
    if len(at) != images or edges[0] != 0 or edges[-1] != 1:
        needed = f"{images} fractions, from 0" + (" to 1" if legs < images else "")
        raise ValueError(f"got {', '.join(f'{x:g}' for x in at)} for at; expected {needed}")
    steps = [j - i for i, j in pairwise(round(x * intervals) for x in edges)]
    for number, step in enumerate(steps):
        if step < 1:
            raise ValueError(
                f"at puts images {number + 1} and {(number + 1) % images + 1} on one frame or in "
                "another order; give fractions that rise, or more frames"
            )
    return steps


def _length(spacing: Spacing, profile: LatentProfile) -> float:
    if spacing is Spacing.PARAMETER:
        return 1.0
    if spacing is Spacing.METRIC:
        return float(profile.metric.distance)
    return float(perceptual_length(profile, torch.linspace(0, 1, 257, dtype=torch.float64))[-1])


def _shares(lengths: Sequence[float], intervals: int) -> list[int]:
    """Whole numbers, at least 1 each, with a given sum, so that the largest length/number is least:
    one by one to where the step is largest."""
    even = sum(lengths) <= 0
    weights = [1.0] * len(lengths) if even else list(lengths)
    shares = [1] * len(lengths)
    steps = [(-weight, i) for i, weight in enumerate(weights)]
    heapify(steps)
    for _ in range(intervals - len(lengths)):
        i = steps[0][1]
        shares[i] += 1
        heapreplace(steps, (-weights[i] / shares[i], i))
    return shares
