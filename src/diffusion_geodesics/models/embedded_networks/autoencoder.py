"""The embedded model's autoencoder: diffusers' `AutoencoderKL` without attention."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu

from diffusion_geodesics.models.embedded_networks.blocks import Downsample, ResnetBlock, Upsample

EPS = 1e-6
"""Of the group normalisation; dimensionless."""


@final
class Autoencoder(nn.Module):
    """An encoder of images to means of latents, and a decoder, by ``vae/config.json``."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = config
        widths, latent = config["block_out_channels"], config["latent_channels"]
        settings = (config["layers_per_block"], config["norm_num_groups"])
        self.encoder = _Encoder(widths, 2 * latent, *settings)
        self.decoder = _Decoder(widths, latent, *settings)
        self.quant_conv = nn.Conv2d(2 * latent, 2 * latent, 1)
        self.post_quant_conv = nn.Conv2d(latent, latent, 1)

    @property
    def dtype(self) -> torch.dtype:
        return self.quant_conv.weight.dtype

    def encode(
        self, x: Float[Tensor, "rows 3 h w"], *, return_dict: bool = False
    ) -> tuple[Float[Tensor, "rows c h2 w2"]]:
        """The means of the latents of images in [-1, 1], without their log variances."""
        return (self.quant_conv(self.encoder(x)).chunk(2, dim=1)[0],)

    def decode(
        self, z: Float[Tensor, "rows c h w"], *, return_dict: bool = False
    ) -> tuple[Float[Tensor, "rows 3 h2 w2"]]:
        """The images of latents."""
        return (self.decoder(self.post_quant_conv(z)),)


class _Level(nn.Module):
    """Blocks of one resolution, and a change to the next one."""

    def __init__(self, widths: Sequence[int], groups: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(ResnetBlock(a, b, groups, EPS) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        for resnet in self.resnets:
            x = resnet(x)
        for sampler in (*getattr(self, "downsamplers", ()), *getattr(self, "upsamplers", ())):
            x = sampler(x)
        return x


class _Encoder(nn.Module):
    def __init__(self, widths: Sequence[int], out: int, layers: int, groups: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList()
        for before, width in zip([widths[0], *widths], widths, strict=False):
            self.down_blocks.append(_Level([before, *[width] * layers], groups))
        for level, width in zip(self.down_blocks[:-1], widths, strict=False):
            level.downsamplers = nn.ModuleList([Downsample(width, symmetric=False)])
        self.mid_block = _Level([widths[-1]] * 3, groups)
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], EPS)
        self.conv_out = nn.Conv2d(widths[-1], out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in (*self.down_blocks, self.mid_block):
            x = level(x)
        return self.conv_out(silu(self.conv_norm_out(x)))


class _Decoder(nn.Module):
    def __init__(self, widths: Sequence[int], latent: int, layers: int, groups: int) -> None:
        super().__init__()
        falling = widths[::-1]
        self.conv_in = nn.Conv2d(latent, falling[0], 3, padding=1)
        self.mid_block = _Level([falling[0]] * 3, groups)
        self.up_blocks = nn.ModuleList()
        for before, width in zip([falling[0], *falling], falling, strict=False):
            self.up_blocks.append(_Level([before, *[width] * (layers + 1)], groups))
        for level, width in zip(self.up_blocks[:-1], falling, strict=False):
            level.upsamplers = nn.ModuleList([Upsample(width)])
        self.conv_norm_out = nn.GroupNorm(groups, falling[-1], EPS)
        self.conv_out = nn.Conv2d(falling[-1], 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in (self.mid_block, *self.up_blocks):
            x = level(x)
        return self.conv_out(silu(self.conv_norm_out(x)))
