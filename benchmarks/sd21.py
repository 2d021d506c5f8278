"""Stable Diffusion 2.1's true architecture with random weights, for measurements without weights.

The configurations of its U-Net (866 million parameters) and autoencoder (84 million) are the
published ones; the text side is a single small layer of the true width, 1024, on a vocabulary of
letters, since it costs nothing in the original either: one evaluation a prompt.
"""

# diffusers types its constructors loosely:
# pyright: reportArgumentType=false

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

WIDTH, TOKENS = 1024, 77


def unet() -> UNet2DConditionModel:
    """The U-Net, with random weights, on the default device in the default dtype."""
    return UNet2DConditionModel(
        sample_size=64,
        in_channels=4,
        out_channels=4,
        block_out_channels=(320, 640, 1280, 1280),
        layers_per_block=2,
        cross_attention_dim=WIDTH,
        attention_head_dim=(5, 10, 20, 20),
        use_linear_projection=True,
    )


def vae() -> AutoencoderKL:
    """The autoencoder, with random weights, likewise."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        latent_channels=4,
        norm_num_groups=32,
        sample_size=768,
        scaling_factor=0.18215,
    )


def scheduler() -> DDIMScheduler:
    """The scheduler of 2.1-base: noise prediction, scaled linear betas."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def text_side() -> tuple[CLIPTokenizer, CLIPTextModel]:
    """A tokenizer of letters, and one layer of the true width over its 77 tokens."""
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    with TemporaryDirectory() as folder:
        vocabulary, merges = Path(folder) / "vocab.json", Path(folder) / "merges.txt"
        vocabulary.write_text(json.dumps({w: k for k, w in enumerate(words)}), encoding="utf-8")
        merges.write_text("#version: 0.2\n", encoding="utf-8")
        tokenizer = CLIPTokenizer(
            vocab=str(vocabulary),
            merges=str(merges),
            model_max_length=TOKENS,
            pad_token="<|endoftext|>",
        )
    config = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=16,
        max_position_embeddings=TOKENS,
        bos_token_id=len(words) - 2,
        eos_token_id=len(words) - 1,
        pad_token_id=len(words) - 1,
    )
    return tokenizer, CLIPTextModel(config)


def pipeline(
    device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32, seed: int = 0
) -> StableDiffusionPipeline:
    """The pipeline, its weights drawn on `device` in `dtype`: 1.9 GB in half precision.

    Random weights keep a network's shapes and costs; what it draws is noise.
    """
    former = torch.get_default_dtype()
    torch.manual_seed(seed)
    try:
        torch.set_default_dtype(dtype)
        with torch.device(device):
            parts = {"unet": unet(), "vae": vae()}
    finally:
        torch.set_default_dtype(former)
    tokenizer, text = text_side()
    pipe = StableDiffusionPipeline(
        **{name: part.eval().requires_grad_(False) for name, part in parts.items()},
        text_encoder=text.eval().requires_grad_(False).to(device, dtype),  # type: ignore[arg-type]
        tokenizer=tokenizer,
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe
