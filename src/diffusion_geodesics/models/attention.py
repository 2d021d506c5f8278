r"""Attention between two images: rows of a batch attend to its first and its last row as well.

With queries Q, keys K and values V of a row at parameter t, and those of the first and the last row
with indices 0 and 1, a row's attention A(Q, K, V) becomes, in the outer form, :math:`(1 - t)\, A(Q,
[K, K_0], [V, V_0]) + t\, A(Q, [K, K_1], [V, V_1])`, and in the inner form :math:`A(Q, [K, (1-t) K_0
+ t K_1], [V, (1-t) V_0 + t V_1])`, where [,] joins tokens: the fused attention of AID (He et al.,
arXiv 2403.17924), in every layer, self and cross attention alike. Keys and values are affine in the
tokens that they are made of, so both forms are the network's own attention to joined tokens.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import Network
from diffusion_geodesics.models.activations import uncompiled
from diffusion_geodesics.models.embedded_networks.blocks import Attention as EmbeddedAttention
from diffusion_geodesics.models.embedded_networks.blocks import AttentionProcessor
from diffusion_geodesics.models.embedded_networks.unet import UNet
from diffusion_geodesics.models.locks import exclusive
from diffusion_geodesics.models.pipeline_network import UNetNetwork


@contextmanager
def interpolated_attention(
    network: Network, t: Float[Tensor, " rows"], *, inner: bool = False
) -> Iterator[None]:
    """Within, the network's rows attend to the first and the last row as well as to themselves.

    The first and the last row attend as usual, so they stay what they are, to the bit; ``t`` is the
    parameter of each row in [0, 1]. ``inner`` interpolates keys and values instead of the results
    of attention. Compiled networks run uncompiled within, and other threads' evaluations wait until
    the end. `ValueError` for fewer than two rows, a parameter out of range, what
    `plain_attention_layers` refuses, and, when the network runs, a batch that is not of these rows,
    as when memory cut it.

    Cost: about four times the attention of a row in the outer form, twice in the inner one, and
        plain attention once more.
    """
    if len(t) < 2 or not bool(((t >= 0) & (t <= 1)).all()):
        raise ValueError(f"got parameters {t.tolist()}; expected at least two, all in [0, 1]")
    with exclusive(_unet(network)):
        layers = plain_attention_layers(network)
        usual = [layer.processor for layer in layers]
        try:
            for layer in layers:
                layer.processor = _Between(layer.processor, t, inner)
            with uncompiled():
                yield
        finally:
            for layer, processor in zip(layers, usual, strict=True):
                layer.processor = processor


def plain_attention_layers(network: Network) -> list[Any]:
    """The attention layers of a network whose attention can be interpolated.

    `ValueError` for another network, a U-Net without attention or with attention that normalises
    its keys or pictures, and for processors other than diffusers' ``AttnProcessor2_0``.
    """
    unet = _unet(network)
    if not isinstance(unet, UNet):
        return _diffusers_layers(unet)
    layers = [m for m in unet.modules() if isinstance(m, EmbeddedAttention)]
    _check_processors(layers, AttentionProcessor)
    return layers


def _unet(network: Network) -> Any:
    if not isinstance(network, UNetNetwork):
        raise ValueError(
            f"got a {type(network).__name__}; only the U-Nets with cross attention of Stable "
            "Diffusion and SDXL offer their attention"
        )
    return network.module


def _diffusers_layers(unet: Any) -> list[Any]:
    from diffusers.models.attention_processor import Attention, AttnProcessor2_0

    layers = [m for m in unet.modules() if isinstance(m, Attention)]
    if not layers:
        raise ValueError("got a U-Net without any attention; load a model that has some")
    _check_processors(layers, AttnProcessor2_0)
    norms = ("group_norm", "spatial_norm", "norm_cross", "norm_k")
    if any(getattr(layer, norm, None) for layer in layers for norm in norms):
        raise ValueError(
            "got a U-Net whose attention normalises pictures or keys; only the attention over "
            "tokens of Stable Diffusion and SDXL can be interpolated"
        )
    return layers


def _check_processors(layers: list[Any], expected: type) -> None:
    others = {type(layer.processor) for layer in layers} - {expected}
    if others:
        names = ", ".join(sorted(kind.__name__ for kind in others))
        raise ValueError(
            f"got attention processors {names}, expected {expected.__name__} alone: unload IP "
            "adapters (pipe.unload_ip_adapter()), switch off slicing and the like, or call "
            "pipe.unet.set_attn_processor(AttnProcessor2_0())"
        )


@final
@dataclass(frozen=True, eq=False)
class _Between:
    """An attention processor for a batch from one end to the other."""

    usual: Any
    t: Tensor
    inner: bool

    def __call__(
        self,
        attn: torch.nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        if len(hidden_states) != len(self.t):
            raise ValueError(
                f"got {len(hidden_states)} of {len(self.t)} rows at once: memory cut the batch, "
                "and attention between two images needs all frames and both ends in one piece; "
                "ask for fewer frames, a smaller size or half precision"
            )
        usual = self.usual(attn, hidden_states, encoder_hidden_states, attention_mask, temb)
        if len(self.t) == 2:
            return usual
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        row, own = hidden_states[1:-1], context[1:-1]
        t = self.t[1:-1, None, None].to(own)

        def joined_with(other: Tensor) -> Tensor:
            joined = torch.cat([own, other.expand_as(own)], dim=1)
            return self.usual(attn, row, joined, attention_mask, temb)

        first, last = context[:1], context[-1:]
        if self.inner:
            middle = joined_with(torch.lerp(first, last, t))
        else:
            middle = torch.lerp(joined_with(first), joined_with(last), t)
        return torch.cat([usual[:1], middle, usual[-1:]])
