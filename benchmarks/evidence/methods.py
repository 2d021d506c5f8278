"""What is compared on pairs that know their truth, and how frames are had at a lower price."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import final

import torch
from torch import Tensor

from benchmarks import rife
from benchmarks.evidence.pairs import TruePair
from benchmarks.evidence.truth import true_way
from diffusion_geodesics.comparison.baselines import PixelBlend
from diffusion_geodesics.comparison.method import Context, Method
from diffusion_geodesics.comparison.rendered import (
    EvenFrames,
    Fixed,
    Images,
    Render,
    Renderable,
    Rendered,
    eight_bits,
)
from diffusion_geodesics.diffusion import Codec
from diffusion_geodesics.latents.mixture import Mixture
from diffusion_geodesics.latents.profile import LatentPath
from diffusion_geodesics.measures import Features, equal_steps
from diffusion_geodesics.runtime.run import Run

TRUTH = "truth"
_ENDS = torch.tensor([0.0, 1.0], dtype=torch.float64)


@final
@dataclass(frozen=True, eq=False)
class TrueFrames(Method):
    """The truth at equal steps, through the model's autoencoder: what no method can beat."""

    case: TruePair
    codec: Codec

    def __repr__(self) -> str:
        return f"TrueFrames({self.case.name})"

    @property
    def name(self) -> str:
        return TRUTH

    def path(self, context: Context, pair: str) -> Renderable:
        size, count = context.images.shape[-1], context.settings.measuring.frames
        way = true_way(self.case, self.codec, size, count)
        return Fixed(torch.cat([way.dense[:1], way.true, way.dense[-1:]]))


@final
@dataclass(frozen=True)
class SoftBlend(Method):
    """A cross-fade of the pixels, put through the autoencoder like the truth and all the others."""

    @property
    def name(self) -> str:
        return PixelBlend().name

    def path(self, context: Context, pair: str) -> Renderable:
        (first, last), codec = context.images, context.noised.encoded.codec

        def show(t: Tensor) -> Tensor:
            faded = torch.lerp(first, last, t.to(first)[:, None, None, None])
            return codec.decode(codec.encode(faded))

        return Rendered(show)


@final
@dataclass(frozen=True)
class FilmRival(Method):
    """RIFE between the two images, put through the autoencoder like all others."""

    @property
    def name(self) -> str:
        return rife.NAME

    def path(self, context: Context, pair: str) -> Renderable:
        (first, last), codec = context.images, context.noised.encoded.codec

        def show(t: Tensor) -> Tensor:
            return codec.decode(codec.encode(rife.between(first, last, t).to(first)))

        return Rendered(show)


@final
@dataclass(frozen=True)
class PacedOnce(Method):
    """Another method, by its name, at a lower price.

    Where a `Rendered` denoises ``3 n - 4`` frames for n, this one denoises the ``n - 2`` between:
    frames are placed by what the network guesses from the noise level in one evaluation, and the
    ends are denoised once for all methods of a pair. Paths that start elsewhere than the others,
    or that nothing is known of, take ``2 n - 2``. Nothing is measured along the path. "largest
    step" tells how even the steps came out.
    """

    method: Method

    @property
    def name(self) -> str:
        return self.method.name

    @property
    def prompted(self) -> bool:
        return self.method.prompted

    def path(self, context: Context, pair: str) -> Renderable:
        found = self.method.path(context, pair)
        if not isinstance(found, Rendered):
            return found
        common = PacedPath(found.render, note=found.note, own_inversion=found.own_inversion)
        if found.latent_path is None:
            return common
        path = found.latent_path.pair(0)
        if not torch.allclose(path.latent(_ENDS).to(context.ends), context.ends):
            return common
        mixture = found.mixture

        def guess(t: Tensor) -> Images:
            return _guessed(context, path, t, mixture)

        if mixture is not None:
            ends = _through(context)
            return PacedPath(found.render, guess, ends, found.note, free_ends=True)
        return PacedPath(found.render, guess, _ends(context), found.note)


@final
@dataclass(frozen=True, eq=False)
class PacedPath(Renderable):
    """A path whose frames are moved once.

    Args:
        render: as in `Rendered`.
        guess: images that cost one evaluation each, by curve parameter; None where there are none.
        ends: the first frame and the last, where they are known.
        note, own_inversion: as in `Rendered`.
        free_ends: whether the ends cost nothing.
    """

    render: Render
    guess: Render | None = None
    ends: Images | None = None
    note: str = ""
    own_inversion: bool = False
    free_ends: bool = False

    def frames(self, run: Run, features: Features, count: int) -> EvenFrames:
        """Seen at equal parameters, then rendered where the arc length has equal fractions."""
        even = torch.linspace(0, 1, count, dtype=torch.float64)
        seen = eight_bits((self.guess or self.render)(even))
        t = equal_steps(even, features(seen), count)
        before = run.costs.total
        between = eight_bits(self.render(t[1:-1]))
        cost = run.costs.total - before
        if not self.free_ends:
            cost = cost.scaled(count / (count - 2))
        ends = seen[[0, -1]] if self.ends is None else self.ends
        return EvenFrames(torch.cat([ends[:1], between, ends[1:]]), t, cost)


def _guessed(context: Context, path: LatentPath, t: Tensor, mixture: Mixture | None) -> Images:
    """The clean images that the network guesses from the noise level, where no mixture is shown."""
    encoded, level, latents = context.noised.encoded, context.noised.level, path.latent(t)
    condition = context.curve.at(t.to(latents))
    noise = encoded.denoiser.epsilon(latents, level.timestep, condition)
    clean = (latents - level.sigma * noise) / level.a
    return encoded.codec.decode(clean if mixture is None else mixture.at(t).settled(clean))


@lru_cache(maxsize=1)
def _through(context: Context) -> Images:
    """Both images through the autoencoder, which mixtures begin and end with."""
    return eight_bits(context.noised.encoded.codec.decode(context.clean))


@lru_cache(maxsize=1)
def _ends(context: Context) -> Images:
    """Both ends, which every method of a pair has."""
    return eight_bits(context.render(context.ends, _ENDS))
