r"""The path that follows correspondences between two images, at the noise level.

Both images are warped along their correspondences and mixed; each mixture is encoded and given the
noise that the ends have:

.. math:: x(t) = a\, E\big(M(A_t, B_t)\big) + \sigma\, \epsilon(t), \qquad
          \epsilon(t) = \text{slerp}(\epsilon_0, \epsilon_1; t), \qquad
          \epsilon_i = (x_i - a\, z_i) / \sigma,

so that both ends are exact; :math:`M` mixes them
(:func:`~diffusion_geodesics.correspondence.morph`). What it adds to the great circle is the shift
of a :class:`~diffusion_geodesics.latents.coordinates.MovingFrame`. The clean mixture is kept beside
the path: frames are made from both (:mod:`~diffusion_geodesics.latents.mixture`).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import final
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.correspondence import Matcher, Matches, extract_features, morph
from diffusion_geodesics.diffusion import Condition
from diffusion_geodesics.latents.choices import curve_of
from diffusion_geodesics.latents.coordinates import Coordinates, MovingFrame
from diffusion_geodesics.latents.encode import Noised
from diffusion_geodesics.latents.geometry import Pair
from diffusion_geodesics.latents.mixture import NODES as WEIGHT_NODES
from diffusion_geodesics.latents.mixture import Mixture, sampled_share
from diffusion_geodesics.path import GreatArc, Spline, chord
from diffusion_geodesics.runtime.cost import Cost
from diffusion_geodesics.runtime.run import Run, Stage

NODES = 33
"""Points that a warped path is a spline through."""


@final
@dataclass(frozen=True, eq=False)
class WarpedPaths:
    """How pairs of images are warped into one another: correspondences of each pair, the moving
    frame in which the great circle (or the line) is the warped path of each, and the mixtures that
    frames are made from, where they are."""

    matches: tuple[Matches, ...]
    frame: MovingFrame
    mixtures: tuple[Mixture, ...] | None


def warped_paths(
    run: Run,
    noised: Noised,
    pairs: Sequence[Pair],
    still: Coordinates,
    seed: int,
    excess: float = 0.0,
) -> WarpedPaths | None:
    """The warped path of each pair, whose frame moves over ``still`` coordinates; None where the
    network has no features to match images by. The seed is that of the noise that features and
    errors are taken with; ``excess`` is that of the mixtures, 0 for none.

    What was found for the same images is used again, and its cost counted again, so that methods
    that share it can be compared. Cost: 12 evaluations an image of each pair, 10 a pair for
    mixtures, and 31 encodings a pair.
    """
    known = _KNOWN.setdefault(noised, {})
    key = (tuple(pairs), still, seed, excess)
    if key in known:
        found, cost = known[key]
        run.charge("match", cost)
        return found
    before = run.costs["match"]
    with run.stage("match", total=len(pairs)) as stage:
        found = _found(noised, pairs, still, seed, excess, stage)
    known[key] = found, run.costs["match"] - before
    return found


_KNOWN: WeakKeyDictionary[Noised, dict[Hashable, tuple[WarpedPaths | None, Cost]]]
_KNOWN = WeakKeyDictionary()


def _found(
    noised: Noised,
    pairs: Sequence[Pair],
    still: Coordinates,
    seed: int,
    excess: float,
    stage: Stage,
) -> WarpedPaths | None:
    matched: list[tuple[Matches, Tensor, Tensor]] = []
    mixtures: list[Mixture] = []
    for done, pair in enumerate(pairs, start=1):
        matches = _matches(noised, pair, seed)
        if matches is None:
            return None
        clean = _mixed(noised, pair, matches)
        matched.append((matches, clean, _with_noise(noised, pair, clean)))
        if excess > 0:
            share = _share(noised, pair, clean, seed, excess)
            mixtures.append(Mixture(Spline(clean), share))
        stage(done)
    t = torch.linspace(0, 1, NODES, dtype=noised.latents.dtype, device=noised.latents.device)
    between = torch.stack([x for *_, x in matched], 1)
    ends = torch.stack([noised.latents[list(pair)] for pair in pairs], 1)
    corners = still.coordinates(t[[0, -1]], ends)
    shift = between - still.latent(t, chord(corners[0], corners[1], still.manifold)(t))
    shift[[0, -1]] = 0.0
    frame = MovingFrame(still, Spline(shift))
    return WarpedPaths(tuple(m for m, *_ in matched), frame, tuple(mixtures) or None)


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


def _mixed(noised: Noised, pair: Pair, matches: Matches) -> Float[Tensor, "time dim"]:
    """Clean latents of both images of one pair, warped and mixed."""
    encoded, index = noised.encoded, list(pair)
    clean = encoded.clean[index]
    t = torch.linspace(0, 1, NODES, dtype=noised.latents.dtype, device=noised.latents.device)
    mixed = morph(encoded.images[index].to(t.device), matches, t)
    return torch.cat([clean[:1], encoded.codec.encode(mixed[1:-1]).to(clean), clean[1:]])


def _with_noise(
    noised: Noised, pair: Pair, clean: Float[Tensor, "time dim"]
) -> Float[Tensor, "time dim"]:
    """Clean latents along the path of one pair with the noise between that of its ends."""
    level, ends = noised.level, noised.latents[list(pair)]
    noise = (ends - level.a * clean[[0, -1]]) / level.sigma
    t = torch.linspace(0, 1, NODES, dtype=ends.dtype, device=ends.device)
    return level.a * clean + level.sigma * GreatArc(noise[0], noise[1])(t)


def _share(
    noised: Noised, pair: Pair, clean: Float[Tensor, "time dim"], seed: int, excess: float
) -> Float[Tensor, "nodes height width"]:
    """How much of the network's sample takes the place of the mixtures of one pair."""
    encoded = noised.encoded
    first, last = (encoded.conditions[i] for i in pair)
    t = torch.linspace(0, 1, WEIGHT_NODES, dtype=clean.dtype, device=clean.device)
    return sampled_share(
        encoded.denoiser,
        encoded.codec,
        clean[:: (NODES - 1) // (WEIGHT_NODES - 1)],
        curve_of(encoded.prompts.blend, first, last).at(t),
        steps=noised.inversion.steps,
        excess=excess,
        seed=seed,
    )
