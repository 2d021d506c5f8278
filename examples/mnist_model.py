"""The networks of a small pretrained latent diffusion model of handwritten digits.

Weights: github.com/sofia-dominguezc/MNIST-diffusion (MIT), as safetensors files
`mnist_latent_flow.safetensors` and `mnist_vae_6x6.safetensors`. The layers bear the names of the
tensors in those files.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

HEADS = 3


class Attention(nn.Module):
    def __init__(self, channels: int, width: int):
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(channels, width) for _ in range(3))
        self.out_proj = nn.Linear(width, channels)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).mT
        q, k, v = (
            layer(tokens).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        mixed = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.out_proj(mixed).mT.unflatten(2, x.shape[2:])


class Mix(nn.Module):
    def __init__(self, channels: int, wide: int):
        super().__init__()
        depthwise = nn.Conv2d(wide, wide, 3, padding=1, padding_mode="reflect", groups=wide)
        self.network = nn.Sequential(
            nn.Conv2d(channels, wide, 1),
            nn.GELU(),
            depthwise,
            nn.GELU(),
            nn.Conv2d(wide, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)


class Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.attn, self.conv = Attention(32, width), Mix(32, 128)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(x)
        return x + self.conv(x)


class Flow(nn.Module):
    """Velocity dx/dt of x_t = t x0 + (1 - t) ε for latents (n, 36); without a class, p(x)."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(3, 32, 5, padding=2),
            nn.GELU(),
            Block(24),
            nn.GELU(),
            nn.Conv2d(32, 1, 5, padding=2),
        )
        self.temb, self.yemb = nn.Linear(10, 36), nn.Linear(10, 36, bias=False)
        self.nums, self.log_scalar = (nn.Parameter(torch.zeros(n)) for n in (10, 1))

    def forward(self, x: Tensor, t: float) -> Tensor:
        time = self.temb(((t - self.nums).square() / self.log_scalar.exp()).exp())
        planes = torch.stack([x, time.expand_as(x), torch.zeros_like(x)], 1)
        return self.network(planes.unflatten(2, (6, 6))).flatten(1)


class Encoder(nn.Module):
    """Images (n, 1, 28, 28) in [0, 1] to the means of their latents, (n, 36)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2),
            nn.GELU(),
            nn.Conv2d(16, 32, 3, padding=1, padding_mode="reflect"),
            nn.GELU(),
            nn.MaxPool2d(2),
            *(Block(18) for _ in range(3)),
            nn.Conv2d(32, 2, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.encoder(images)[:, 0].flatten(1)


def load(folder: Path) -> tuple[Flow, Encoder]:
    """Both networks in double precision, from the folder with the weights.

    Raises:
        SystemExit: the weights are not there.
    """
    files = [folder / f"{name}.safetensors" for name in ("mnist_latent_flow", "mnist_vae_6x6")]
    if missing := [str(file) for file in files if not file.is_file()]:
        raise SystemExit(
            f"missing: {', '.join(missing)}; give the folder that holds the weights of "
            "github.com/sofia-dominguezc/MNIST-diffusion as safetensors files"
        )
    flow, encoder = Flow(), Encoder()
    flow.load_state_dict(load_file(files[0]))
    state = {k: v for k, v in load_file(files[1]).items() if k.startswith("encoder.")}
    encoder.load_state_dict(state)
    return flow.double().requires_grad_(False), encoder.double().requires_grad_(False)
