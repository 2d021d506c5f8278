"""A denoiser for arrays of any shape that is trained in a minute: a network on components."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diffusion_geodesics.diffusion import EDMSchedule

SIGMA = (0.02, 20.0)  # noise levels of the training, log-uniform; data have standard deviation 0.5
SCHEDULE = EDMSchedule(*SIGMA)  # inversions and samplers keep to these


class SmallDenoiser(nn.Module):
    """E[x0 | x0 + σ ε] for data near a linear space of few dimensions.

    On the first `components` principal axes a residual network sees the coefficients and log σ;
    the rest of the data is taken as normal noise of their small variance.
    """

    def __init__(self, data: Tensor, components: int = 96, width: int = 256) -> None:
        super().__init__()
        self.shape = tuple(data.shape[1:])
        flat = data.flatten(1)
        self.register_buffer("mean", flat.mean(0))
        centred = flat - self.mean
        axes = torch.pca_lowrank(centred, components, center=False, niter=4)[2]
        self.register_buffer("axes", axes)  # (dim, components)
        self.register_buffer("std", (centred @ axes).std(0))
        rest = (centred.square().sum(1) - (centred @ axes).square().sum(1)).mean()
        self.register_buffer("rest", rest / (flat.shape[1] - components))  # variance an axis
        self.first = nn.Linear(components + 1, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
            )
            for _ in range(4)
        )
        self.last = nn.Linear(width, components)

    def coefficients(self, c: Tensor, sigma: Tensor) -> Tensor:
        """The same for coefficients (rows, components); sigma (rows, 1)."""
        variance = self.std.square()
        wiener = c * variance / (variance + sigma**2)  # the best linear estimate, and the scale
        scale = (variance + sigma**2).sqrt()
        h = self.first(torch.cat([c / scale, sigma.log() / 4], -1))
        for block in self.blocks:
            h = h + block(h)
        return wiener + self.std * sigma / scale * self.last(h)

    def forward(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        flat = x.flatten(1).to(self.mean.dtype)
        sigma = torch.as_tensor(sigma, dtype=flat.dtype).reshape(-1, 1).expand(len(flat), 1)
        centred = flat - self.mean
        c = centred @ self.axes
        shrink = self.rest / (self.rest + sigma**2)
        known = (self.coefficients(c, sigma) - shrink * c) @ self.axes.T
        return (self.mean + shrink * centred + known).reshape(x.shape).to(x.dtype)


def train(data: Tensor, *, steps: int = 3000, seed: int = 0, components: int = 96) -> SmallDenoiser:
    """A denoiser of the data (rows, *shape), by denoising score matching."""
    torch.manual_seed(seed)
    model = SmallDenoiser(data, components)
    clean = (data.flatten(1) - model.mean) @ model.axes
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    low, high = (torch.tensor(s).log() for s in SIGMA)
    for _ in range(steps):
        c = clean[torch.randint(len(clean), (256,))]
        sigma = (low + (high - low) * torch.rand(len(c), 1)).exp()
        variance = model.std.square()
        weight = (variance + sigma**2) / (variance * sigma**2)
        error = model.coefficients(c + sigma * torch.randn_like(c), sigma) - c
        loss = (weight * error**2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model.eval().requires_grad_(False)
