"""Methods that need no solver."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from diffusion_geodesics.comparison.method import Context, Method, column
from diffusion_geodesics.comparison.pairs import frames_of
from diffusion_geodesics.comparison.rendered import Fixed, Renderable, Rendered
from diffusion_geodesics.framing import fit
from diffusion_geodesics.latents.choices import fit_of
from diffusion_geodesics.latents.coordinates import Ambient
from diffusion_geodesics.latents.profile import LatentPath
from diffusion_geodesics.latents.settings import SamplerName
from diffusion_geodesics.path import GreatArc, Line, Spline

NODES = 33  # points that a path without derivatives is a spline through


@final
@dataclass(frozen=True)
class PixelBlend(Method):
    """A cross-fade of the pixels. Costs no evaluation; no measure should prefer it."""

    @property
    def name(self) -> str:
        return "pixel blend"

    def path(self, context: Context, pair: str) -> Renderable:
        first, last = context.images
        return Rendered(lambda t: torch.lerp(first, last, column(t, 4)))


@final
@dataclass(frozen=True)
class LatentLerp(Method):
    """The line between both clean latents, decoded. Costs no evaluation."""

    @property
    def name(self) -> str:
        return "latent lerp"

    def path(self, context: Context, pair: str) -> Renderable:
        line = Line(context.clean[0], context.clean[1])
        codec = context.noised.encoded.codec
        return Rendered(lambda t: codec.decode(line(t)))


@final
@dataclass(frozen=True)
class FullNoise(Method):
    """DDIM interpolation: slerp between both images inverted to pure noise (Song et al., 2020)."""

    @property
    def name(self) -> str:
        return "DDIM interpolation"

    def path(self, context: Context, pair: str) -> Renderable:
        inversion = context.noised.inversion
        top = context.at(inversion.model_copy(update={"level": 1.0, "sampler": SamplerName.DDIM}))
        path = GreatArc(top.ends[0], top.ends[1])
        return Rendered(lambda t: top.render(path(t), t), own_inversion=True)


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
    """

    bound: float = 2.0  # c, in standard deviations of the latents at the level
    signal: float = 1.2  # m, how much of the clean latents comes back

    @property
    def name(self) -> str:
        return "corrected noise"

    def path(self, context: Context, pair: str) -> Renderable:
        a, ends, clean = context.noised.level.a, context.ends, context.clean
        bound = self.bound * float(ends.square().mean().sqrt())

        def latent(t: Tensor) -> Tensor:
            u = column(t, 2).to(ends)
            alpha, beta = (0.5 * math.pi * u).cos(), (0.5 * math.pi * u).sin()
            back = self.signal / (alpha + beta)
            first, last = ends.clamp(-bound, bound)
            noisy = alpha * first + beta * last
            signal = alpha * (back - 1) * clean[0] + beta * (back - 1) * clean[1]
            return (noisy + a * signal).clamp(-bound, bound)

        grid = torch.linspace(0, 1, NODES, dtype=torch.float64)
        path = LatentPath(self.name, Spline(latent(grid)[:, None]), Ambient())
        return Rendered(lambda t: context.render(latent(t), t), path)


@final
@dataclass(frozen=True)
class OtherProgram(Method):
    """Frames that another program made, one folder for a single pair or one a pair."""

    label: str  # what to call it
    # of pictures in natural order; or of folders named after the pairs, with the pictures in them
    # or in ``frames`` in them
    folder: Path

    @property
    def name(self) -> str:
        return self.label

    def path(self, context: Context, pair: str) -> Renderable:
        height, width = context.images.shape[-2:]
        how = fit_of(context.settings.framing)
        found = [fit(f, height, width, how).image for f in frames_of(self.folder, pair)]
        return Fixed(torch.stack(found))
