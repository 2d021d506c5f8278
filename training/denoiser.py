"""The denoiser: a small conditional UNet and its text encoder, trained jointly on latents.

Noise prediction on Stable Diffusion's schedule. The squared error of step t counts
snr(t)^(-1/2), at most HEAVIEST, which makes the loss about equal at all t: plain noise prediction
leaves so little to the high noise levels, where captions matter most, that they are learned late
in a short training. Captions are made anew at every step by leaving out phrases.

    python -m training.denoiser --minutes 60
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor, nn
from transformers import CLIPTextModel

from training.autoencoder import CHANNELS
from training.bank import RUNS, draw, held_out
from training.factors import caption, phrases
from training.latents import posterior_means
from training.loop import Budget, Run, Schedule, add_budget, budget_of, generator, train
from training.portraits import render
from training.text import WIDTH, Encoder, build_encoder, kept_tokenizer

WIDTHS = (64, 128, 128)
HEAVIEST = 8.0
TOKENIZER = "tokenizer"
"""Folder beside the state, so that token numbers stay with the weights."""

DROP_PHRASE, DROP_CAPTION = 0.35, 0.12


def build_unet(widths: Sequence[int] = WIDTHS, side: int = 16) -> UNet2DConditionModel:
    """An untrained UNet; text enters below the full resolution of the latent."""
    n = len(widths)
    return UNet2DConditionModel(
        sample_size=side,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        block_out_channels=tuple(widths),
        down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * (n - 1)),
        up_block_types=(*["CrossAttnUpBlock2D"] * (n - 1), "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
    )


def build_scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise schedule."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


class Denoiser(nn.Module):
    """What is trained: noise from a noisy latent, its step, and caption tokens."""

    def __init__(self, unet: UNet2DConditionModel, text: CLIPTextModel) -> None:
        super().__init__()
        self.unet, self.text = unet, text

    def forward(self, x: Tensor, t: Tensor, tokens: Tensor) -> Tensor:
        states = self.text(tokens).last_hidden_state
        return self.unet(x, t, encoder_hidden_states=states).sample


class Latents:
    """The encoded bank with the phrases of every portrait; `refresh` takes in new shards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.latents: list[np.ndarray] = []
        self.told: list[tuple[list[dict[str, str]], list[dict[str, str]]]] = []
        self.refresh()
        if not self.latents:
            raise FileNotFoundError(f"no latents in {folder}; run python -m training.latents first")

    def refresh(self) -> None:
        for path in sorted(self.folder.glob("*.npy"))[len(self.latents) :]:
            latents = np.load(path)
            factors = draw(int(path.stem), latents.shape[1])
            self.latents.append(latents)
            self.told.append((phrases(factors), phrases(factors.mirror())))

    def batch(self, step: int, n: int) -> tuple[Tensor, list[str]]:
        """n latents and captions of a step, half of them flipped."""
        rng = random.Random(step)
        latents: list[np.ndarray] = []
        captions: list[str] = []
        for _ in range(n):
            shard, side = rng.randrange(len(self.latents)), rng.randrange(2)
            row = rng.randrange(self.latents[shard].shape[1])
            latents.append(self.latents[shard][side, row])
            told = self.told[shard][side][row]
            bare = rng.random() < DROP_CAPTION
            captions.append("" if bare else caption(told, rng, DROP_PHRASE))
        return torch.from_numpy(np.stack(latents)).float(), captions


def weighted_error(
    network: Denoiser, alphas: Tensor, x0: Tensor, tokens: Tensor, t: Tensor, noise: Tensor
) -> Tensor:
    """Mean of min(HEAVIEST, snr^(-1/2)) |predicted noise - noise|^2."""
    share = alphas[t].view(-1, 1, 1, 1)
    x = share.sqrt() * x0 + (1 - share).sqrt() * noise
    error = (network(x, t, tokens).float() - noise).square().mean((1, 2, 3))
    snr = alphas[t] / (1 - alphas[t])
    return (error * snr.rsqrt().clamp(max=HEAVIEST)).mean()


class Check:
    """Error of the averaged weights on held-out portraits, at fixed noise and steps."""

    def __init__(self, autoencoder: Path, encode: Encoder, n: int = 64) -> None:
        network = AutoencoderKL.from_pretrained(autoencoder).eval()
        factors = held_out(n)
        self.x0 = posterior_means(network, render(factors) * 2 - 1)
        self.tokens = encode([caption(told) for told in phrases(factors)])
        self.noise = torch.randn(self.x0.shape, generator=generator(0, stream=3))
        self.alphas = build_scheduler().alphas_cumprod

    @torch.no_grad()
    def __call__(self, run: Run) -> str:
        network = run.network
        if not isinstance(network, Denoiser):
            raise TypeError(f"expected a Denoiser, got {type(network).__name__}")
        own = {name: p.detach().clone() for name, p in network.named_parameters()}
        run.load_average()
        network.eval()
        errors = [
            weighted_error(
                network,
                self.alphas,
                self.x0,
                self.tokens,
                torch.full((len(self.x0),), t),
                self.noise,
            ).item()
            for t in (100, 300, 500, 700, 900)
        ]
        network.load_state_dict(own, strict=False)
        network.train()
        return "held-out error at 100, 300, ... " + " ".join(f"{e:.4f}" for e in errors)


def fit(
    folder: Path,
    autoencoder: Path,
    state: Path,
    budget: Budget,
    *,
    widths: Sequence[int],
    rate: float,
    size: int,
    seed: int,
) -> Denoiser:
    """Train on cached latents; the state (with the averaged weights) is left at `state`."""
    torch.manual_seed(seed)
    tokenizer = kept_tokenizer(state.parent / TOKENIZER)
    network = Denoiser(build_unet(widths), build_encoder(tokenizer))
    encode = Encoder(tokenizer)
    run = Run.start(network, horizon=1000)
    if run.crew.rank == 0:
        tokenizer.save_pretrained(state.parent / TOKENIZER)
    bank = Latents(folder)
    alphas = build_scheduler().alphas_cumprod
    print(f"{sum(p.numel() for p in network.parameters()) / 1e6:.2f} M parameters", flush=True)

    def loss(step: int, progress: float) -> Tensor:
        if step % 200 == 0:
            bank.refresh()  # encoding may still be going on
        x0, captions = bank.batch(step, size)
        g = generator(step, stream=2)
        t = torch.randint(len(alphas), (size,), generator=g)
        noise = torch.randn(x0.shape, generator=g)
        tokens, mine = encode(captions), run.crew.share(size)
        with torch.autocast("cpu", torch.bfloat16):
            return weighted_error(network, alphas, x0[mine], tokens[mine], t[mine], noise[mine])

    check = Check(autoencoder, encode)
    schedule = Schedule(rate, warmup=300, flat=0.4)
    train(run, loss, budget, schedule, state, save_every=300, log_every=200, on_save=check)
    run.load_average()
    return network.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description="train the denoiser and its text encoder")
    add_budget(parser, 60)
    parser.add_argument("--latents", type=Path, default=RUNS / "latents")
    parser.add_argument("--autoencoder", type=Path, default=RUNS / "whitened")
    parser.add_argument("--state", type=Path, default=RUNS / "denoiser.safetensors")
    parser.add_argument("--widths", type=int, nargs="+", default=list(WIDTHS))
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    o = parser.parse_args()
    fit(
        o.latents,
        o.autoencoder,
        o.state,
        budget_of(o),
        widths=o.widths,
        rate=o.rate,
        size=o.batch,
        seed=o.seed,
    )


if __name__ == "__main__":
    main()
