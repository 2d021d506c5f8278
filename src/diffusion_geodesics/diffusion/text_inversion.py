r"""Text inversion: the prompt embedding that explains an image best.

Minimises over the embedding e, starting from a prompt's, with AdamW,

$$\mathbb E_{t, \xi} \bigl\| \hat\varepsilon(a_t x_0 + s_t \xi, t, e) - \xi \bigr\|^2.$$

A training step counts as one row an image, and as three in operations. References: Gal et al.,
arXiv 2208.01618 (optimising text embeddings); Yu et al., CVPR 2025, section 4 (500 steps at a rate
of 5e-3, one image at a time).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from diffusion_geodesics.diffusion.codec import Latents
from diffusion_geodesics.diffusion.condition import Condition
from diffusion_geodesics.diffusion.denoiser import Denoiser, NonFiniteError
from diffusion_geodesics.points import seeded_noise


@final
@dataclass(frozen=True)
class TextInversion:
    """How embeddings are optimised.

    - `steps`: most steps of AdamW; 500 in the paper.
    - `rate`: its learning rate.
    - `check_every`: steps between evaluations of a fixed set of time steps and noises, that
      decide which embedding is kept; 0 for none: all steps, and the last embedding, as published.
    - `checks`: time steps in that set.
    - `patience`: checks without an improvement of a hundredth after which an image is done.
    - `seed`: of the time steps and noises.
    """

    steps: int = 120
    rate: float = 5e-3
    check_every: int = 15
    checks: int = 8
    patience: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.checks, self.patience) < 1 or not self.rate > 0:
            raise ValueError(f"got {self}; expected positive steps, checks, patience and rate")
        if self.check_every < 0:
            raise ValueError(f"got check_every {self.check_every}; expected 0 or more")

    @staticmethod
    def published() -> "TextInversion":
        """500 steps, no early stop."""
        return TextInversion(steps=500, check_every=0)

    @property
    def most_nfe(self) -> int:
        """Most network evaluations for one image, those of training included."""
        checks = 1 + self.steps // self.check_every if self.check_every else 0
        return self.steps + checks * self.checks


def invert_text(
    denoiser: Denoiser,
    x0: Latents,
    condition: Condition,
    method: TextInversion | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> list[Condition]:
    """An embedding for every image, each of one row, from those of its prompt.

    - `x0`: clean latents; `condition`: where to start, one row or one an image.

    All images share a batch and, since a network takes one time step a call, the time step; noises
    are their own. Without checks the last embeddings are returned, else those with the lowest loss
    on the fixed set, at worst the prompt's own. Cost: see `TextInversion.most_nfe`; a training step
    counts one evaluation an image. Raises `NonFiniteError` where the loss is not finite.
    """
    method = method or TextInversion()
    images = len(x0)
    generator = torch.Generator().manual_seed(method.seed)
    grid = denoiser.schedule.timesteps(50)
    parts = [
        p.detach().to(x0.device, torch.float32).clone().requires_grad_()
        for p in condition.expand(images).parts
    ]
    optimiser = torch.optim.AdamW(parts, lr=method.rate)
    picks = np.linspace(0, len(grid) - 1, method.checks).round().astype(int)
    fixed = [(grid[int(k)], seeded_noise(x0[:1].shape, generator, x0)) for k in picks]
    best = [p.detach().clone() for p in parts]
    lowest = torch.full((images,), math.inf, dtype=x0.dtype, device=x0.device)
    since = torch.zeros(images, dtype=torch.long, device=x0.device)

    def losses(timestep: float, noise: Tensor, *, trained: bool = False) -> Tensor:
        denoiser.count(images, backward=images if trained else 0)
        a, s = denoiser.schedule.coefficients(timestep)
        x = a * x0 + s * noise
        output = denoiser.network(x, timestep, Condition(tuple(parts))).to(x.device).to(x.dtype)
        epsilon = denoiser.prediction.epsilon(output, x, a, s)
        return (epsilon - noise).square().mean(dim=1)

    def check() -> bool:
        """Keep what improved; whether nothing has for long."""
        nonlocal lowest, since
        with torch.no_grad():
            now = torch.stack([losses(t, n.expand_as(x0)) for t, n in fixed]).mean(0)
        better = now < lowest * 0.99
        since = torch.where(better, 0, since + 1)
        for kept, part in zip(best, parts, strict=True):
            kept[better] = part.detach()[better]
        lowest = torch.where(better, now, lowest)
        return bool((since >= method.patience).all())

    if method.check_every:
        check()
    for step in range(1, method.steps + 1):
        draw = int(torch.randint(len(grid), (), generator=generator))
        with torch.enable_grad():
            noise = seeded_noise(x0.shape, generator, x0)
            loss = losses(grid[draw], noise, trained=True).sum()
            if not bool(loss.isfinite()):
                raise NonFiniteError(
                    "text inversion met a loss that is not finite; half precision may have "
                    "overflowed: try dtype=torch.float32, or leave it out"
                )
            gradients = torch.autograd.grad(loss, parts)
        for part, gradient in zip(parts, gradients, strict=True):
            part.grad = gradient
        optimiser.step()
        if on_step is not None:
            on_step(step, method.steps)
        if method.check_every and step % method.check_every == 0 and check():
            break
    kept = best if method.check_every else [p.detach() for p in parts]
    return [Condition(tuple(p[k : k + 1] for p in kept)) for k in range(images)]
