"""A tiny random SDXL: two text encoders, pooled text, sizes; with any scheduler."""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from tests.tiny.parts import clip_config, tiny_vae
from tests.tiny_pipelines import tiny_tokenizer


def tiny_sdxl(
    folder: Path, scheduler: Any = None, *, zeros: bool = True
) -> StableDiffusionXLPipeline:
    """Random weights: 32x32 images, f = 4, latents 4x8x8, two U-Net levels.

    `zeros`: whether the null condition is zero, as in SDXL's base model.
    """
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 16),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=32,
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 16,
    )
    betas = EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing="leading",
        steps_offset=1,
    )
    pipe = StableDiffusionXLPipeline(
        vae=tiny_vae(),
        text_encoder=CLIPTextModel(clip_config()).eval(),
        tokenizer=tiny_tokenizer(folder / "first"),
        text_encoder_2=CLIPTextModelWithProjection(clip_config(projection_dim=16)).eval(),
        tokenizer_2=tiny_tokenizer(folder / "second"),
        unet=unet.eval(),
        scheduler=scheduler or betas,
        force_zeros_for_empty_prompt=zeros,
        add_watermarker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def tiny_playground(folder: Path) -> StableDiffusionXLPipeline:
    """As Playground 2.5: EDM, latents normalised by mean and deviation of each channel."""
    pipe = tiny_sdxl(folder, EDMEulerScheduler(sigma_max=20.0))
    pipe.vae.register_to_config(
        latents_mean=[-1.5, 0.3, 0.1, 0.6], latents_std=[2.0, 1.5, 1.2, 1.8], scaling_factor=0.5
    )
    return pipe
