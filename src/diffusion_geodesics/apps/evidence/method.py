"""What a method of interpolation is, and those that need no solver."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.apps.chart import FlatChart, shell
from diffusion_geodesics.apps.evidence.reel import Fixed, Reel, Rendered
from diffusion_geodesics.apps.evidence.stage import Stage
from diffusion_geodesics.apps.settings import Family
from diffusion_geodesics.apps.settings import Method as SamplingMethod
from diffusion_geodesics.apps.survey import Candidate
from diffusion_geodesics.diffusion import Cost
from diffusion_geodesics.framing import fit
from diffusion_geodesics.path import GreatArc, HalfwayNorm, Line, Path, Spline

NODES = 33


class Method(ABC):
    """One way from image to image. A new one is a small class like those below."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Of the method, with its settings where they are not the default."""

    @abstractmethod
    def reel(self, stage: Stage, pair: str) -> Reel:
        """The path between the two images of a stage; ``pair`` is the name of the pair."""

    @property
    def prompted(self) -> bool:
        """Whether it needs a prompt."""
        return False


@final
@dataclass(frozen=True)
class PixelBlend(Method):
    """A cross-fade of the pixels. Costs no row; the baseline that no measure should prefer."""

    @property
    def name(self) -> str:
        return "pixel blend"

    def reel(self, stage: Stage, pair: str) -> Reel:
        first, last = stage.images
        return Rendered(lambda t: (torch.lerp(first, last, _column(t, 4)), Cost()))


@final
@dataclass(frozen=True)
class LatentLerp(Method):
    """The line between both clean latents, decoded. Costs no row."""

    @property
    def name(self) -> str:
        return "latent lerp"

    def reel(self, stage: Stage, pair: str) -> Reel:
        line = Line(stage.clean[0], stage.clean[1])
        return Rendered(lambda t: (stage.job.codec.decode(line(t)), Cost()))


@final
@dataclass(frozen=True)
class LevelPath(Method):
    """lerp, slerp or hlerp at the noise level.

    Args:
        family: which of the three.
        guidance: weight in the middle while denoising (the bump); 1 is none, others need a
            prompt.
    """

    family: Family = Family.SLERP
    guidance: float = 1.0

    def __post_init__(self) -> None:
        if self.family is Family.GEODESIC:
            raise ValueError("a geodesic needs a solver; use Geodesic")

    @property
    def name(self) -> str:
        bump = "" if self.guidance == 1 else f" + bump {self.guidance:g}"
        return self.family.value + bump

    @property
    def prompted(self) -> bool:
        return self.guidance != 1

    def reel(self, stage: Stage, pair: str) -> Reel:
        path = _straight(self.family, stage.ends)
        shown = Spline(path(torch.linspace(0, 1, NODES, dtype=torch.float64)))
        candidate = Candidate(self.name, shown, FlatChart())
        if self.family is Family.SLERP:
            chart = shell(*stage.ends)
            ends = chart.coordinates(torch.tensor([0.0, 1.0]), stage.ends)
            candidate = Candidate(self.name, GreatArc(ends[0], ends[1]), chart)
        return along(stage, path, candidate, guidance=self.guidance)


@final
@dataclass(frozen=True)
class FullNoise(Method):
    """DDIM interpolation: slerp between both images inverted to pure noise (Song et al., 2020)."""

    @property
    def name(self) -> str:
        return "DDIM interpolation"

    def reel(self, stage: Stage, pair: str) -> Reel:
        top = stage.moved(level=1.0, sampler=SamplingMethod.DDIM)
        extra = Cost(top.cost.rows - stage.cost.rows, top.cost.calls - stage.cost.calls)
        return along(top, GreatArc(top.ends[0], top.ends[1]), None, cost=extra)


@final
@dataclass(frozen=True)
class CorrectedNoise(Method):
    r"""Corrected noise, after NoiseDiffusion (Zheng et al., ICLR 2024).

    .. math:: x = \alpha\,[x_0]_c + \beta\,[x_1]_c
              + a (\mu - \alpha)\, z_0 + a (\nu - \beta)\, z_1, \qquad
              \mu = m \frac{\alpha}{\alpha + \beta},\ \nu = m \frac{\beta}{\alpha + \beta},

    clipped once more, with :math:`\alpha = \cos\frac{\pi t}{2}`, :math:`\beta = \sin\frac{\pi
    t}{2}`, clean latents z, signal a of the level and :math:`[\cdot]_c` clipping to :math:`\pm c`.
    No fresh noise is added. It is in the style of the paper: their latents come from added noise,
    these from our inversion. Neither end is exact.

    Args:
        bound: c, in standard deviations of the latents at the level.
        signal: m, how much of the clean latents comes back.
    """

    bound: float = 2.0
    signal: float = 1.2

    @property
    def name(self) -> str:
        return "corrected noise"

    def reel(self, stage: Stage, pair: str) -> Reel:
        settings, schedule = stage.settings, stage.job.denoiser.schedule
        a, _ = schedule.coefficients(schedule.timestep(settings.steps, settings.level))
        bound = self.bound * float(stage.ends.square().mean().sqrt())

        def latent(t: Tensor) -> Tensor:
            u = _column(t, 2).to(stage.ends)
            alpha, beta = (0.5 * math.pi * u).cos(), (0.5 * math.pi * u).sin()
            back = self.signal / (alpha + beta)
            first, last = stage.ends.clamp(-bound, bound)
            noisy = alpha * first + beta * last
            signal = alpha * (back - 1) * stage.clean[0] + beta * (back - 1) * stage.clean[1]
            return (noisy + a * signal).clamp(-bound, bound)

        grid = torch.linspace(0, 1, NODES, dtype=torch.float64)
        candidate = Candidate(self.name, Spline(latent(grid)), FlatChart())
        return Rendered(lambda t: stage.develop(latent(t), t), candidate)


@final
@dataclass(frozen=True)
class Foreign(Method):
    """Frames that another program made, one folder for a single pair or one a pair.

    Args:
        label: what to call it.
        folder: of pictures in natural order; or of folders named after the pairs, with the
            pictures in them or in ``frames`` in them.
    """

    label: str
    folder: FilePath

    @property
    def name(self) -> str:
        return self.label

    def reel(self, stage: Stage, pair: str) -> Reel:
        height, width = stage.images.shape[-2:]
        from diffusion_geodesics.apps.evidence.folders import frames_of

        found = frames_of(self.folder, pair)
        how = stage.settings.fit
        return Fixed(torch.stack([fit(f, height, width, how).image for f in found]))


def along(
    stage: Stage,
    path: Path,
    candidate: Candidate | None,
    *,
    guidance: float = 1.0,
    cost: Cost | None = None,
    note: str = "",
) -> Rendered:
    """The reel of a path of latents at the stage's noise level."""
    return Rendered(lambda t: stage.develop(path(t), t, guidance), candidate, cost or Cost(), note)


def with_cost(reel: Rendered, cost: Cost) -> Rendered:
    """The reel with further cost."""
    return replace(reel, cost=reel.cost + cost)


def _straight(family: Family, ends: Float[Tensor, "2 dim"]) -> Path:
    kinds = {Family.LERP: Line, Family.SLERP: GreatArc, Family.HLERP: HalfwayNorm}
    return kinds[family](ends[0], ends[1])


def _column(t: Tensor, axes: int) -> Tensor:
    return t.float().reshape(-1, *[1] * (axes - 1))
