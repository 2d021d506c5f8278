"""The embedded model's U-Net: diffusers' `UNet2DConditionModel`, as far as its options are used."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import silu

from diffusion_geodesics.models.embedded_networks.blocks import (
    Downsample,
    ResnetBlock,
    SpatialTransformer,
    Upsample,
)


@final
class UNet(nn.Module):
    """A network that predicts noise from a noisy latent, its time step and a text, by
    ``unet/config.json``."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = config
        widths, layers = list(config["block_out_channels"]), config["layers_per_block"]
        self.conv_in = nn.Conv2d(config["in_channels"], widths[0], 3, padding=1)
        self.time_embedding = _TimeEmbedding(widths[0], _time_channels(config))
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        before, skips = widths[0], [widths[0]]
        for kind, width in zip(config["down_block_types"], widths, strict=True):
            last = len(self.down_blocks) == len(widths) - 1
            entering = [before, *[width] * (layers - 1)]
            down = _Down(entering, width, _attentions(kind, entering), config)
            self.down_blocks.append(down)
            if not last:
                down.downsamplers.append(Downsample(width, symmetric=True))
            skips += [width] * (layers + (not last))
            before = width
        self.mid_block = _Level([before, before], before, 1, config)
        for kind, width in zip(config["up_block_types"], reversed(widths), strict=True):
            last = len(self.up_blocks) == len(widths) - 1
            entering = [channels + skips.pop() for channels in [before, *[width] * layers]]
            up = _Up(entering, width, _attentions(kind, entering), config)
            self.up_blocks.append(up)
            if not last:
                up.upsamplers.append(Upsample(width))
            before = width
        self.conv_norm_out = nn.GroupNorm(config["norm_num_groups"], before, config["norm_eps"])
        self.conv_out = nn.Conv2d(before, config["out_channels"], 3, padding=1)

    @property
    def dtype(self) -> torch.dtype:
        return self.conv_in.weight.dtype

    def forward(
        self,
        x: Float[Tensor, "rows c h w"],
        timestep: float,
        encoder_hidden_states: Float[Tensor, "rows tokens width"],
        **_unused: Any,
    ) -> tuple[Float[Tensor, "rows c h w"]]:
        """The predicted noise; called as diffusers' class is called."""
        time, text = self.time_embedding(timestep, x), encoder_hidden_states
        x = self.conv_in(x)
        skips = [x]
        for level in self.down_blocks:
            x, outputs = level(x, time, text)
            skips += outputs
        for index in range(2):
            x = self.mid_block.block(index, x, time, text)
        for level in self.up_blocks:
            x = level(x, time, text, skips)
        return (self.conv_out(silu(self.conv_norm_out(x))),)


class _TimeEmbedding(nn.Module):
    """Cosines and sines of the time step at frequencies from 1 down to 1/10,000, in two layers."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.width = width
        self.linear_1 = nn.Linear(width, out)
        self.linear_2 = nn.Linear(out, out)

    def forward(self, timestep: float, x: Tensor) -> Tensor:
        half = self.width // 2
        exponents = torch.arange(half, dtype=torch.float32, device=x.device)
        frequencies = torch.exp(-math.log(10_000) * exponents / half)
        angles = torch.full((len(x), 1), timestep, device=x.device).float() * frequencies
        waves = torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1).to(x.dtype)
        return self.linear_2(silu(self.linear_1(waves)))


class _Level(nn.Module):
    """Blocks of one resolution; ``entering`` are the channels that enter each, ``width`` those that
    leave it. A transformer follows each of the first ``attentions`` blocks."""

    def __init__(
        self, entering: Sequence[int], width: int, attentions: int, config: Mapping[str, Any]
    ) -> None:
        super().__init__()
        groups, eps, time = config["norm_num_groups"], config["norm_eps"], _time_channels(config)
        self.resnets = nn.ModuleList(ResnetBlock(c, width, groups, eps, time) for c in entering)
        heads, text = config["attention_head_dim"], config["cross_attention_dim"]
        self.attentions = nn.ModuleList(
            SpatialTransformer(width, heads, text, groups) for _ in range(attentions)
        )
        self.downsamplers, self.upsamplers = nn.ModuleList(), nn.ModuleList()

    def block(self, index: int, x: Tensor, time: Tensor, text: Tensor) -> Tensor:
        """One block with its transformer."""
        x = self.resnets[index](x, time)
        return self.attentions[index](x, text) if index < len(self.attentions) else x


@final
class _Down(_Level):
    def forward(self, x: Tensor, time: Tensor, text: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The output, and what goes over to the way up."""
        outputs = []
        for index in range(len(self.resnets)):
            x = self.block(index, x, time, text)
            outputs.append(x)
        for sampler in self.downsamplers:
            x = sampler(x)
            outputs.append(x)
        return x, outputs


@final
class _Up(_Level):
    def forward(self, x: Tensor, time: Tensor, text: Tensor, skips: list[Tensor]) -> Tensor:
        """The output; each block takes the last of ``skips``, which come from the way down."""
        for index in range(len(self.resnets)):
            x = self.block(index, torch.cat([x, skips.pop()], dim=1), time, text)
        for sampler in self.upsamplers:
            x = sampler(x)
        return x


def _attentions(kind: str, entering: Sequence[int]) -> int:
    """How many blocks a transformer follows, by diffusers' name of the level."""
    return len(entering) if "CrossAttn" in kind else 0


def _time_channels(config: Mapping[str, Any]) -> int:
    return 4 * config["block_out_channels"][0]
