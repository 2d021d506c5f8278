"""A small pretrained latent diffusion model of handwritten digits, as a model of your own.

`digits_model` is all that the package needs: a function that predicts, a codec, a schedule, and
what a prompt is; here "0" to "9" are the classes and "" is any digit. The rest are the networks.

Weights: github.com/sofia-dominguezc/MNIST-diffusion (MIT), as safetensors files
`mnist_latent_flow.safetensors` and `mnist_vae_6x6.safetensors`. The layers bear the names of the
tensors in those files.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import one_hot, scaled_dot_product_attention

from diffusion_geodesics.diffusion import Codec, FlowPrediction, FlowSchedule
from diffusion_geodesics.models import FunctionModel, from_denoiser

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
    """Velocity dx/dt of x_t = t x0 + (1 - t) ε for latents (n, 36), given classes (n, 10)."""

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

    def forward(self, x: Tensor, t: float, classes: Tensor | None = None) -> Tensor:
        time = self.temb(((t - self.nums).square() / self.log_scalar.exp()).exp())
        given = torch.zeros_like(x) if classes is None else self.yemb(classes)
        planes = torch.stack([x, time.expand_as(x), given], 1)
        return self.network(planes.unflatten(2, (6, 6))).flatten(1)


class Autoencoder(nn.Module):
    """Images (n, 1, 28, 28) in [0, 1] to the means of their latents, (n, 36), and back."""

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
        self.decoder = nn.Sequential(
            nn.Conv2d(1, 32, 1),
            *(Block(18) for _ in range(3)),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(32, 16, 3, padding=1, padding_mode="reflect"),
            nn.Upsample(size=(28, 28)),
            nn.Conv2d(16, 1, 5, padding=2),
        )

    def encode(self, images: Tensor) -> Tensor:
        return self.encoder(images)[:, 0].flatten(1)

    def decode(self, latents: Tensor) -> Tensor:
        return self.decoder(latents.unflatten(1, (1, 6, 6))).clamp(0, 1)


class DigitCodec(Codec):
    """The autoencoder for grey images that are shown with three equal channels."""

    def __init__(self, autoencoder: Autoencoder):
        self.autoencoder = autoencoder

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return (3, 28, 28)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        return (1, 6, 6)

    def encode(self, images: Tensor) -> Tensor:
        grey = images.mean(1, keepdim=True)
        return self.autoencoder.encode(grey.to(self.precision)).to(images.dtype)

    def decode(self, latents: Tensor) -> Tensor:
        grey = self.autoencoder.decode(latents.to(self.precision))
        return grey.expand(-1, 3, -1, -1).to(latents.dtype)

    @property
    def precision(self) -> torch.dtype:
        return next(self.autoencoder.parameters()).dtype


class Velocity(nn.Module):
    """The flow as the package wants it: ε - x0 at noise σ = 1 - t, in the weights' precision."""

    def __init__(self, flow: Flow):
        super().__init__()
        self.flow = flow

    def forward(self, x: Tensor, sigma: float, classes: Tensor) -> Tensor:
        dtype = self.flow.nums.dtype
        return -self.flow(x.to(dtype), 1 - sigma, classes.to(dtype)).to(x.dtype)


def class_of(prompt: str) -> Tensor:
    """One-hot of the digit; all zero without one."""
    if prompt == "":
        return torch.zeros(10)
    if prompt not in list("0123456789"):
        raise ValueError("expected one digit, 0 to 9, or nothing")
    return one_hot(torch.tensor(int(prompt)), 10).float()


def digits_model(folder: Path) -> FunctionModel:
    """The model for `interpolate`, `compare` and all else; in single precision, as trained.

    Raises:
        SystemExit: the weights are not there.
    """
    flow, autoencoder = load(folder)
    return from_denoiser(
        Velocity(flow.float()),
        (1, 6, 6),
        schedule=FlowSchedule(train_steps=1),  # so that a time step is σ itself
        prediction=FlowPrediction(),
        codec=DigitCodec(autoencoder.float()),
        embed=class_of,
        flat=True,
        id="digits",
    )


def load(folder: Path) -> tuple[Flow, Autoencoder]:
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
    flow, autoencoder = Flow(), Autoencoder()
    flow.load_state_dict(load_file(files[0]))
    autoencoder.load_state_dict(load_file(files[1]))
    return flow.double().requires_grad_(False), autoencoder.double().requires_grad_(False)
