"""Attention interpolation: frames that look at both ends while they are denoised."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from diffusion_geodesics.comparison.at_level import AtLevel
from diffusion_geodesics.comparison.method import Context, Method
from diffusion_geodesics.comparison.rendered import Images, Renderable, Rendered
from diffusion_geodesics.models.attention import interpolated_attention, plain_attention_layers
from diffusion_geodesics.path import GreatArc


@final
@dataclass(frozen=True)
class AttentionInterpolation(Method):
    """The great circle at the noise level, denoised with attention to both ends.

    Fused attention in every layer and step after AID (He et al., NeurIPS 2024, arXiv 2403.17924;
    `diffusion_geodesics.models.attention` has the equations). Three things differ from theirs:
    they begin at pure noise and attend so in the first half of the steps only; they take
    parameters of a beta distribution, where a comparison takes equal steps; and there is no
    guidance here, neither by a negative prompt nor by a prompt of the middle (PAID).

    Every rendering runs both ends beside its frames, all in one batch: two further evaluations a
    step, which are counted. What is measured along its path is that of slerp.
    """

    inner: bool = False  # interpolate keys and values instead of what attention gives

    @property
    def name(self) -> str:
        return "attention interpolation" + (" inner" if self.inner else "")

    def path(self, context: Context, pair: str) -> Renderable:
        """As `Method.path`."""
        network = context.noised.encoded.denoiser.network
        try:
            plain_attention_layers(network)
        except ValueError as error:
            raise ValueError(f"{self.name} cannot be had from this model: {error}") from None
        path = GreatArc(context.ends[0], context.ends[1])

        def render(t: Tensor) -> Images:
            at = torch.cat([t.new_zeros(1), t, t.new_ones(1)])
            with interpolated_attention(network, at, inner=self.inner):
                return context.render(path(at), at)[1:-1]

        return Rendered(render, AtLevel().path(context, pair).latent_path)
