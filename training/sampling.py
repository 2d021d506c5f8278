"""Deterministic DDIM in both directions, as the evaluation needs it.

Levels are shares of the schedule's steps: level 0.6 is step 600 of 1000. The grid is that of
diffusers' leading spacing with offset 1; the clean latent has the signal share of step 0.
"""

from __future__ import annotations

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from torch import Tensor

from training.autoencoder import decode, encode
from training.denoiser import build_scheduler
from training.text import LENGTH


class Sampler:
    """DDIM with `steps` steps for the whole schedule, over a loaded pipeline."""

    def __init__(self, pipeline: StableDiffusionPipeline, steps: int = 50) -> None:
        self.pipeline = pipeline
        alphas = build_scheduler().alphas_cumprod
        self.times = [k * (1000 // steps) + 1 for k in range(steps)]
        self.alphas = [float(alphas[0]), *(float(alphas[t]) for t in self.times)]

    def top(self, level: float) -> int:
        """Number of grid steps up to a level."""
        return sum(t <= 1000 * level + 1 for t in self.times)

    @torch.no_grad()
    def states(self, captions: list[str]) -> Tensor:
        """Text states of captions."""
        ids = self.pipeline.tokenizer(
            captions, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
        ).input_ids
        return self.pipeline.text_encoder(ids).last_hidden_state

    def noise(self, x: Tensor, k: int, states: Tensor, guidance: float) -> Tensor:
        """Predicted noise at grid step k, with classifier-free guidance unless it is 1."""
        unet, t = self.pipeline.unet, self.times[k]
        if guidance == 1:
            return unet(x, t, encoder_hidden_states=states).sample
        bare = self.states([""]).expand_as(states)
        both = unet(torch.cat([x, x]), t, encoder_hidden_states=torch.cat([bare, states])).sample
        without, given = both.chunk(2)
        return without + guidance * (given - without)

    def move(self, x: Tensor, noise: Tensor, start: float, end: float) -> Tensor:
        """The DDIM step between signal shares."""
        clean = (x - (1 - start) ** 0.5 * noise) / start**0.5
        return end**0.5 * clean + (1 - end) ** 0.5 * noise

    @torch.no_grad()
    def denoise(self, x: Tensor, level: float, states: Tensor, guidance: float = 1.0) -> Tensor:
        """From a level down to the clean latent."""
        for k in reversed(range(self.top(level))):
            noise = self.noise(x, k, states, guidance)
            x = self.move(x, noise, self.alphas[k + 1], self.alphas[k])
        return x

    @torch.no_grad()
    def invert(self, x: Tensor, level: float, states: Tensor, corrections: int = 0) -> Tensor:
        """From the clean latent up to a level; a correction repeats a step from its end."""
        for k in range(self.top(level)):
            there = x
            for _ in range(1 + corrections):
                noise = self.noise(there, k, states, 1.0)
                there = self.move(x, noise, self.alphas[k], self.alphas[k + 1])
            x = there
        return x

    def diffuse(self, x: Tensor, level: float, generator: torch.Generator) -> Tensor:
        """A clean latent with random noise, at a level."""
        share = self.alphas[self.top(level)]
        return share**0.5 * x + (1 - share) ** 0.5 * torch.randn(x.shape, generator=generator)

    @torch.no_grad()
    def sample(
        self, captions: list[str], guidance: float, generator: torch.Generator, batch: int = 25
    ) -> Tensor:
        """Images in [-1, 1] from noise and captions."""
        parts: list[Tensor] = []
        side = self.pipeline.unet.config.sample_size
        channels = self.pipeline.unet.config.in_channels
        for first in range(0, len(captions), batch):
            states = self.states(captions[first : first + batch])
            x = torch.randn(len(states), channels, side, side, generator=generator)
            parts.append(self.decode(self.denoise(x, 1.0, states, guidance)))
        return torch.cat(parts)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Posterior means of images in [-1, 1]."""
        return torch.cat([encode(self.pipeline.vae, x) for x in images.split(16)])

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Images in [-1, 1]."""
        return torch.cat([decode(self.pipeline.vae, z) for z in latents.split(16)]).clamp(-1, 1)
