r"""Reading factors off a frame by rendering: which head, drawn, looks most like it.

For a pair whose truth is the line x(t) between its heads' factors, a frame f, as pooled pixels,
is explained by the rendering R of the factors x(t) + S u, with S the factors' standard deviations
in the training distribution: Gauss-Newton steps with backtracking minimise

.. math:: \frac{|f - R(x(t) + S u)|^2}{s^2} + |u|^2, \qquad 0 \le t \le 1,

over t and u, with Jacobians by differences, known at a few true heads of the pair, and every trial
rendered. u leaves out the factors that change where only some do: t alone moves these. The prior
keeps factors that can hardly be seen at their true value. It needs no network and no training.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.evidence.pairs import TruePair
from diffusion_geodesics.measures import PooledPixels
from training.factors import Factors, sample_factors
from training.portraits import render

SIDE = 64
"""Pixels that trial heads are rendered at, before they are pooled."""
DENSE = 25
"""True heads of a pair that are rendered, at equal parameters."""
KNOTS = 9
"""Those of them that have a Jacobian."""
NOISE = 0.05
"""s: what a pooled pixel may be off, in units of full range, at no cost."""
STEPS = 5

Looks = Float[Tensor, "frames pooled"]
Dense = Float[Tensor, "dense pooled"]


@final
@dataclass(frozen=True, eq=False)
class Spread:
    """Standard deviations and ranges of all factors in the training distribution, (factors,)."""

    deviation: Tensor
    low: Tensor
    high: Tensor


@final
@dataclass(frozen=True, eq=False)
class Fit:
    """What frames show.

    Args:
        position: t of the head that explains each, (frames,).
        drift: norm of how far its other factors leave the range of both ends, in standard
            deviations, (frames,).
        distance: rms distance in pooled pixels to its rendering, (frames,).
    """

    position: Tensor
    drift: Tensor
    distance: Tensor


@final
@dataclass(frozen=True, eq=False)
class Surroundings:
    """A pair's true heads as pooled pixels, and how pixels follow factors there.

    Args:
        pair: of heads.
        t: parameters of the dense heads, (DENSE,).
        looks: of these, (DENSE, pooled).
        jacobians: by t and by u at every knot, (KNOTS, pooled, 1 + factors).
    """

    pair: TruePair
    t: Tensor
    looks: Tensor
    jacobians: Tensor

    def fit(self, looks: Looks, soft: Dense | None = None) -> Fit:
        """Explain frames; renders `STEPS` trial heads for each.

        Args:
            looks: pooled pixels of the frames.
            soft: of the dense heads after whatever softens the frames, such as an autoencoder;
                what that does to the nearest one is taken off first.
        """
        if soft is not None:
            looks = looks - (soft - self.looks)[torch.cdist(looks, soft).argmin(1)]
        spread = spreads()
        t = self.t[torch.cdist(looks, self.looks).argmin(1)]
        u = torch.zeros(len(looks), len(spread.deviation))
        damping = torch.ones(len(looks))
        best = looks - _look(_factors(self.pair, t, u))
        value = _cost(best, u)
        for _ in range(STEPS):
            move = damping[:, None] * self._step(t, u, best)
            tried_t = (t + move[:, 0]).clamp(0, 1)
            tried_u = _inside(self.pair, tried_t, u + move[:, 1:])
            rest = looks - _look(_factors(self.pair, tried_t, tried_u))
            cost = _cost(rest, tried_u)
            better = cost < value
            t, value = torch.where(better, tried_t, t), torch.where(better, cost, value)
            u = torch.where(better[:, None], tried_u, u)
            best = torch.where(better[:, None], rest, best)
            damping = torch.where(better, damping, 0.3 * damping)
        ends = torch.cat([flatten(self.pair.first), flatten(self.pair.last)])
        shown = flatten(_factors(self.pair, t, u))
        outside = torch.maximum(shown - ends.amax(0), ends.amin(0) - shown).clamp_min(0)
        drift = (outside / spread.deviation).norm(dim=1)
        return Fit(t, drift, best.square().mean(1).sqrt())

    def _step(self, t: Tensor, u: Tensor, rest: Tensor) -> Tensor:
        """The Gauss-Newton step of (t, u), by the Jacobian of the nearest knot."""
        prior = torch.cat([torch.full((1,), 1e-3), torch.ones(u.shape[1])])
        state = torch.cat([torch.zeros(len(t), 1), u], 1)
        j = self.jacobians[(t * (KNOTS - 1)).round().long()] / NOISE
        slope = torch.einsum("fp,fpk->fk", rest / NOISE, j) - prior * state
        return torch.linalg.solve(j.mT @ j + torch.diag(prior), slope)


@lru_cache(maxsize=4)
def surroundings(pair: TruePair) -> Surroundings:
    """The surroundings of a pair: some seven hundred small renderings, a second or so."""
    t, knots = torch.linspace(0, 1, DENSE), torch.linspace(0, 1, KNOTS)
    spread, heads = spreads(), flatten(pair.between(knots))
    h = 0.5 / (DENSE - 1)
    ahead, behind = (knots + h).clamp(0, 1), (knots - h).clamp(0, 1)
    steps = _rough(pair.between(ahead)) - _rough(pair.between(behind))
    columns = [steps / (ahead - behind)[:, None]]
    names = [n for n, v in pair.first.tensors().items() for _ in range(v[0].numel())]
    for i, name in enumerate(names):
        if name in pair.kind.factors:
            columns.append(torch.zeros_like(steps))
            continue
        moved = [heads.clone(), heads.clone()]
        for side, sign in zip(moved, (0.2, -0.2), strict=True):
            side[:, i] = (side[:, i] + sign * spread.deviation[i]).clamp(
                spread.low[i], spread.high[i]
            )
        gap = (moved[0] - moved[1])[:, i].clamp_min(1e-6) / spread.deviation[i]
        first, last = (_rough(unflatten(m, pair.first)) for m in moved)
        columns.append((first - last) / gap[:, None])
    return Surroundings(pair, t, _look(pair.between(t)), torch.stack(columns, 2))


@cache
def spreads() -> Spread:
    """Of the training distribution, from 4000 draws."""
    drawn = flatten(sample_factors(4000, torch.Generator().manual_seed(0)))
    return Spread(drawn.std(0), drawn.amin(0), drawn.amax(0))


def flatten(heads: Factors) -> Float[Tensor, "heads factors"]:
    """All factors side by side, colours as three."""
    return torch.cat([v.reshape(len(heads), -1) for v in heads.tensors().values()], 1)


def unflatten(values: Float[Tensor, "heads factors"], like: Factors) -> Factors:
    """The inverse of `flatten`."""
    known = like.tensors()
    parts = values.split([v[0].numel() for v in known.values()], 1)
    named = zip(known.items(), parts, strict=True)
    return Factors(**{n: part if v.ndim == 2 else part[:, 0] for (n, v), part in named})


def _factors(pair: TruePair, t: Tensor, u: Tensor) -> Factors:
    return unflatten(flatten(pair.between(t)) + u * spreads().deviation, pair.first)


def _inside(pair: TruePair, t: Tensor, u: Tensor) -> Tensor:
    """u brought to where all factors are in range, or where they are in the truth."""
    spread, true = spreads(), flatten(pair.between(t))
    low, high = torch.minimum(spread.low, true), torch.maximum(spread.high, true)
    moved = (true + u * spread.deviation).clamp(low, high)
    return (moved - true) / spread.deviation


def _cost(rest: Tensor, u: Tensor) -> Tensor:
    return (rest / NOISE).square().sum(1) + u.square().sum(1)


def _look(heads: Factors) -> Tensor:
    return PooledPixels()(render(heads, SIDE))


def _rough(heads: Factors) -> Tensor:
    """For derivatives: a quarter of the rays."""
    return PooledPixels()(render(heads, SIDE, supersample=1, chunk=16))
