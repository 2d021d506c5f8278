r"""The path that follows correspondences between two images, at the noise level.

Both images are warped along their correspondences and mixed; each mixture is encoded and given the
noise that the ends have:

.. math:: x(t) = a\, E\big((1-t)\, A_t + t\, B_t\big) + \sigma\, \epsilon(t), \qquad
          \epsilon(t) = \text{slerp}(\epsilon_0, \epsilon_1; t), \qquad
          \epsilon_i = (x_i - a\, z_i) / \sigma,

so that both ends are exact. What it adds to the great circle is the shift of a
:class:`~diffusion_geodesics.latents.coordinates.MovingFrame`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import final
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.correspondence import Matcher, Matches, extract_features, warp
from diffusion_geodesics.diffusion import Condition
from diffusion_geodesics.latents.coordinates import Coordinates, MovingFrame
from diffusion_geodesics.latents.encode import Noised
from diffusion_geodesics.latents.geometry import Pair
from diffusion_geodesics.path import GreatArc, Spline, chord
from diffusion_geodesics.runtime.cost import Cost
from diffusion_geodesics.runtime.run import Run, Stage

NODES = 33
"""Points that a warped path is a spline through."""


@final
@dataclass(frozen=True, eq=False)
class WarpedPaths:
    """How pairs of images are warped into one another: correspondences of each pair, and the moving
    frame in which the great circle (or the line) is the warped path of each."""

    matches: tuple[Matches, ...]
    frame: MovingFrame


def warped_paths(
    run: Run, noised: Noised, pairs: Sequence[Pair], still: Coordinates, seed: int
) -> WarpedPaths | None:
    """The warped path of each pair, whose frame moves over ``still`` coordinates; None where the
    network has no features to match images by. The seed is that of the noise that features are
    averaged over.

    What was found for the same images is used again, and its cost counted again, so that methods
    that share it can be compared. Cost: 12 evaluations an image of each pair, and 31 encodings a
    pair.
    """
    known = _KNOWN.setdefault(noised, {})
    key = (tuple(pairs), still, seed)
    if key in known:
        found, cost = known[key]
        run.charge("match", cost)
        return found
    before = run.costs["match"]
    with run.stage("match", total=len(pairs)) as stage:
        found = _found(noised, pairs, still, seed, stage)
    known[key] = found, run.costs["match"] - before
    return found


_KNOWN: WeakKeyDictionary[Noised, dict[Hashable, tuple[WarpedPaths | None, Cost]]]
_KNOWN = WeakKeyDictionary()


def _found(
    noised: Noised, pairs: Sequence[Pair], still: Coordinates, seed: int, stage: Stage
) -> WarpedPaths | None:
    matched: list[tuple[Matches, Tensor]] = []
    for done, pair in enumerate(pairs, start=1):
        matches = _matches(noised, pair, seed)
        if matches is None:
            return None
        matched.append((matches, _between(noised, pair, matches)))
        stage(done)
    t = torch.linspace(0, 1, NODES, dtype=noised.latents.dtype, device=noised.latents.device)
    between = torch.stack([x for _, x in matched], 1)
    ends = torch.stack([noised.latents[list(pair)] for pair in pairs], 1)
    corners = still.coordinates(t[[0, -1]], ends)
    shift = between - still.latent(t, chord(corners[0], corners[1], still.manifold)(t))
    shift[[0, -1]] = 0.0
    return WarpedPaths(tuple(m for m, _ in matched), MovingFrame(still, Spline(shift)))


def _matches(noised: Noised, pair: Pair, seed: int) -> Matches | None:
    encoded, index = noised.encoded, list(pair)
    grids = extract_features(
        encoded.denoiser,
        encoded.clean[index],
        Condition.stack([encoded.conditions[i] for i in pair]),
        steps=noised.inversion.steps,
        seed=seed,
    )
    return Matcher().match(encoded.images[index], grids) if grids else None


def _between(noised: Noised, pair: Pair, matches: Matches) -> Float[Tensor, "time dim"]:
    """Latents along the warped path of one pair."""
    encoded, level = noised.encoded, noised.level
    index = list(pair)
    clean, ends = encoded.clean[index], noised.latents[index]
    noise = (ends - level.a * clean) / level.sigma
    t = torch.linspace(0, 1, NODES, dtype=ends.dtype, device=ends.device)
    first, last = warp(encoded.images[index].to(ends.device), matches, t)
    mixed = torch.lerp(first, last, t[:, None, None, None].to(first))
    inner = encoded.codec.encode(mixed[1:-1]).to(clean)
    every = torch.cat([clean[:1], inner, clean[1:]])
    return level.a * every + level.sigma * GreatArc(noise[0], noise[1])(t)
