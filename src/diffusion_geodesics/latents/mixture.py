r"""The mixture of two warped images, and where the network's sample takes its place.

A frame of the natural path is decoded from

.. math:: z + g \odot (D(x) - z), \qquad
          g = \min\Big(1, \frac{\langle e - \bar e \rangle_+}{\kappa\, \bar e_0}\Big),

with the clean latent :math:`z` of the mixture, the sample :math:`D(x)` that the path's latent at
the noise level is denoised to, and the squared error :math:`e` of the denoiser at each cell of
:math:`a z + \sigma \varepsilon`, averaged over channels and noise levels; all latents share the
noise. :math:`\bar e` is the mean of both images' errors, :math:`\bar e_0` its mean over all cells,
:math:`\langle \cdot \rangle` the mean over a soft box. The denoising error is, but for its weights,
a bound on the negative log density. So the mixture stays where it is as probable as both images,
and is replaced by a sample of the network where it is less so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from diffusion_geodesics.correspondence.residuals import box_mean
from diffusion_geodesics.diffusion import Codec, Condition, Denoiser
from diffusion_geodesics.path import Spline

LEVELS = (0.25, 0.4)
"""Noise levels at which errors are taken, as fractions of the sampling steps; one draw each."""
NODES = 5
"""Curve parameters between which weights are interpolated, both ends included."""
BOX = 0.3
"""Edge of the box of the local mean, applied twice, in shorter edges of the latent."""


def weights_nfe(pairs: int) -> int:
    """Evaluations for the weights of so many pairs: 10 each."""
    return pairs * NODES * len(LEVELS)


@final
@dataclass(frozen=True, eq=False)
class Mixture:
    """The mixture along the path between two images."""

    clean: Spline  # z(t), clean latents (dim) through both images'
    weight: Float[Tensor, "nodes height width"]  # g at equal curve parameters; 0 at both ends

    @property
    def sampled(self) -> float:
        """The share of the network's sample, averaged over the path and the image."""
        return float(torch.trapezoid(self.weight.mean((1, 2)), dim=0)) / (len(self.weight) - 1)

    def weight_at(self, t: Float[Tensor, " frames"]) -> Float[Tensor, "frames height width"]:
        """The share of the network's sample at each cell, linear between the nodes."""
        place = t.to(self.weight) * (len(self.weight) - 1)
        below = place.floor().clamp(max=len(self.weight) - 2)
        index = below.long()
        share = (place - below)[:, None, None]
        return torch.lerp(self.weight[index], self.weight[index + 1], share)

    def at(self, t: Float[Tensor, " frames"]) -> Mixed:
        """The mixtures at curve parameters."""
        clean, weight = self.clean(t.to(self.clean.nodes)), self.weight_at(t)
        channels = clean.shape[1] // weight[0].numel()
        return Mixed(clean, weight[:, None].expand(-1, channels, -1, -1).flatten(1).to(clean))


@final
@dataclass(frozen=True, eq=False)
class Mixed:
    """Mixtures at some frames."""

    clean: Float[Tensor, "frames dim"]  # z
    share: Float[Tensor, "frames dim"]  # g, of the network's sample

    @staticmethod
    def cat(parts: Sequence[Mixed]) -> Mixed:
        """The frames of all parts."""
        return Mixed(torch.cat([p.clean for p in parts]), torch.cat([p.share for p in parts]))

    @property
    def needed(self) -> Bool[Tensor, " frames"]:
        """Frames of which a sample is seen anywhere."""
        return (self.share > 0).any(1)

    def settled(self, sampled: Float[Tensor, "frames dim"]) -> Float[Tensor, "frames dim"]:
        """The mixtures, with samples in the places where they are improbable."""
        return torch.lerp(self.clean.to(sampled), sampled, self.share.to(sampled))


def sampled_share(
    denoiser: Denoiser,
    codec: Codec,
    clean: Float[Tensor, "nodes dim"],
    conditions: Condition,
    *,
    steps: int,
    excess: float,
    seed: int = 0,
) -> Float[Tensor, "nodes height width"]:
    r"""The weights :math:`g` of mixtures between two images.

    Args:
        clean: latents of mixtures at equal curve parameters; those of the images first and last.
        conditions: one for each.
        steps: sampling steps from pure noise, which noise levels are fractions of.
        excess: :math:`\kappa > 0`.

    Cost: one evaluation a node and noise level.
    """
    generator = torch.Generator().manual_seed(seed)
    error = clean.new_zeros(len(clean), 1, *codec.latent_shape[1:])
    for level in LEVELS:
        timestep = denoiser.schedule.timestep(steps, level)
        a, sigma = denoiser.schedule.coefficients(timestep)
        noise = torch.randn(1, clean.shape[1], generator=generator).to(clean)
        found = denoiser.epsilon(a * clean + sigma * noise, timestep, conditions)
        square = (found - noise).square().unflatten(1, codec.latent_shape)
        error = error + square.mean(1, keepdim=True) / len(LEVELS)
    local = box_mean(box_mean(error, BOX), BOX)[:, 0]
    known = 0.5 * float(error[[0, -1]].sum()) / error[0].numel()
    share = (local - 0.5 * (local[0] + local[-1])) / max(excess * known, 1e-30)
    share = share.clamp(0, 1)
    share[[0, -1]] = 0.0
    return share
