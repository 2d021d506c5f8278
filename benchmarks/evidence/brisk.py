"""Methods at a lower price: paced by a guess of the network, and not surveyed along their path."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import final

import torch
from torch import Tensor

from diffusion_geodesics.apps.evidence import Method, Reel, Rendered, Stage
from diffusion_geodesics.apps.evidence.reel import Film, Images, Render, eight_bits
from diffusion_geodesics.apps.survey import Candidate
from diffusion_geodesics.diffusion import Cost
from diffusion_geodesics.measures import Features, equal_steps


@final
@dataclass(frozen=True)
class Brisk(Method):
    """Another method, by its name.

    Where a `Rendered` denoises ``3 n - 4`` frames for n, this one denoises the ``n - 2`` between,
    and the ends once for all methods of a pair. Paths that start elsewhere than the others, or
    that nothing is known of, take ``2 n - 2``. "largest step" tells how even the steps came out.
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
        path, whole = reel.candidate, torch.tensor([0.0, 1.0], dtype=torch.float64)
        if path is None or not torch.allclose(path.latent(whole).to(stage.ends), stage.ends):
            return OncePaced(reel.render, cost=reel.cost, note=reel.note)
        quick = Quick(lambda t: _guessed(stage, path, t), _ends(stage))
        return OncePaced(reel.render, quick, cost=reel.cost, note=reel.note)


@final
@dataclass(frozen=True, eq=False)
class Quick:
    """What is known of a path before it is rendered.

    Args:
        guess: what the network guesses at curve parameters, in one evaluation.
        ends: the first frame and the last.
    """

    guess: Render
    ends: Images


@final
@dataclass(frozen=True, eq=False)
class OncePaced(Reel):
    """A path whose frames are moved once, and of which nothing more is told.

    Args:
        render: as in `Rendered`.
        quick: what is known of it, if anything.
        cost, note: as in `Rendered`.
    """

    render: Render
    quick: Quick | None = None
    cost: Cost = field(default_factory=Cost)
    note: str = ""

    def film(self, features: Features, count: int) -> Film:
        """Seen at equal parameters, then rendered where the arc length has equal fractions."""
        even = torch.linspace(0, 1, count, dtype=torch.float64)
        seen = eight_bits((self.quick.guess if self.quick else self.render)(even)[0])
        t = equal_steps(even, features(seen), count)
        started = time.perf_counter()
        between, cost = self.render(t[1:-1])
        share = count / (count - 2)
        took = (time.perf_counter() - started) * share
        ends = self.quick.ends if self.quick else seen[[0, -1]]
        frames = torch.cat([ends[:1], eight_bits(between), ends[1:]])
        return Film(frames, t, Cost(round(cost.rows * share), cost.calls, took))


def _guessed(stage: Stage, path: Candidate, t: Tensor) -> tuple[Images, Cost]:
    """The clean images that the network guesses from the noise level."""
    denoiser, settings = stage.job.denoiser, stage.settings
    timestep = denoiser.schedule.timestep(settings.steps, settings.level)
    a, sigma = denoiser.schedule.coefficients(timestep)
    latents = path.latent(t)
    output = denoiser.output(latents, timestep, stage.job.curve.at(t.to(latents)))
    clean = denoiser.prediction.clean(output, latents, a, sigma)
    return stage.job.codec.decode(clean), Cost(len(t), 1)


@lru_cache(maxsize=1)
def _ends(stage: Stage) -> Images:
    """Both ends, which every method of a pair has."""
    return eight_bits(stage.develop(stage.ends, torch.tensor([0.0, 1.0]).double())[0])
