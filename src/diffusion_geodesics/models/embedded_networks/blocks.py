"""The layers of Stable Diffusion's U-Net and autoencoder, named as in diffusers' weight files."""

from collections import OrderedDict

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate, pad, scaled_dot_product_attention, silu


class ResnetBlock(nn.Module):
    """Two normalised convolutions and a shortcut, with the time added between if it
    has channels."""

    def __init__(
        self, channels: int, out_channels: int, groups: int, eps: float, time_channels: int = 0
    ) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels, eps)
        self.conv1 = nn.Conv2d(channels, out_channels, 3, padding=1)
        if time_channels:
            self.time_emb_proj = nn.Linear(time_channels, out_channels)
        self.norm2 = nn.GroupNorm(groups, out_channels, eps)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        if channels != out_channels:
            self.conv_shortcut = nn.Conv2d(channels, out_channels, 1)

    def forward(
        self, x: Float[Tensor, "rows c h w"], time: Float[Tensor, "rows t"] | None = None
    ) -> Float[Tensor, "rows d h w"]:
        hidden = self.conv1(silu(self.norm1(x)))
        if time is not None:
            hidden = hidden + self.time_emb_proj(silu(time))[:, :, None, None]
        hidden = self.conv2(silu(self.norm2(hidden)))
        return (self.conv_shortcut(x) if hasattr(self, "conv_shortcut") else x) + hidden


class Downsample(nn.Module):
    """Half the size by a convolution, padded by one on all sides (symmetric, the U-Net) or only
    right and below (the encoder)."""

    def __init__(self, channels: int, *, symmetric: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=int(symmetric))
        self.symmetric = symmetric

    def forward(self, x: Float[Tensor, "rows c h w"]) -> Float[Tensor, "rows c h2 w2"]:
        return self.conv(x if self.symmetric else pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Twice the size by repeated pixels, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "rows c h w"]) -> Float[Tensor, "rows c h2 w2"]:
        return self.conv(interpolate(x, scale_factor=2.0, mode="nearest"))


class AttentionProcessor:
    """Scaled dot-product attention, with the interface of diffusers' ``AttnProcessor2_0``."""

    def __call__(
        self,
        attn: "Attention",
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """Attention of the first tokens to the second, or to themselves."""
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        layers = (attn.to_q, attn.to_k, attn.to_v)
        heads = (
            layer(tokens).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for layer, tokens in zip(layers, (hidden_states, context, context), strict=True)
        )
        return attn.to_out[0](scaled_dot_product_attention(*heads).transpose(1, 2).flatten(-2))


class Attention(nn.Module):
    """Attention of several heads; `processor` computes it and can be exchanged."""

    def __init__(self, width: int, heads: int, context_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context_width, width, bias=False)
        self.to_v = nn.Linear(context_width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        self.processor = AttentionProcessor()

    def forward(self, x: Tensor, encoder_hidden_states: Tensor | None = None) -> Tensor:
        return self.processor(self, x, encoder_hidden_states)


class GatedLinear(nn.Module):
    """A linear layer, half of which gates the other half by a GELU."""

    def __init__(self, width: int, out_width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * out_width)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * gelu(gate)


class TransformerBlock(nn.Module):
    """Attention of tokens to themselves, to the text, and a feed-forward layer."""

    def __init__(self, width: int, heads: int, context_width: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.attn1 = Attention(width, heads, width)
        self.attn2 = Attention(width, heads, context_width)
        inner = GatedLinear(width, 4 * width)
        layers = nn.Sequential(inner, nn.Identity(), nn.Linear(4 * width, width))
        self.ff = nn.Sequential(OrderedDict(net=layers))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        x = self.attn1(self.norm1(x)) + x
        x = self.attn2(self.norm2(x), context) + x
        return self.ff(self.norm3(x)) + x


class SpatialTransformer(nn.Module):
    """A transformer block over the pixels of a feature map."""

    def __init__(self, channels: int, heads: int, context_width: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, 1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(channels, heads, context_width)])
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(
        self, x: Float[Tensor, "rows c h w"], context: Float[Tensor, "rows tokens width"]
    ) -> Float[Tensor, "rows c h w"]:
        tokens = self.proj_in(self.norm(x)).permute(0, 2, 3, 1).flatten(1, 2)
        tokens = self.transformer_blocks[0](tokens, context)
        pixels = tokens.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)
        return self.proj_out(pixels.contiguous(memory_format=torch.contiguous_format)) + x
