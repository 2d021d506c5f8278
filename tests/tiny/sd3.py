"""A tiny random Stable Diffusion 3: three text encoders, 16 latent channels, flow matching."""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

from pathlib import Path

import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from transformers import CLIPTextModelWithProjection

from tests.tiny.parts import T5_WIDTH, clip_config, tiny_t5, tiny_t5_tokenizer, tiny_vae
from tests.tiny_pipelines import tiny_tokenizer


def tiny_sd3(
    folder: Path, *, t5: bool = True, shift: float = 3.0, dynamic: bool = False
) -> StableDiffusion3Pipeline:
    """Random weights: 32x32 images, f = 4, latents 16x8x8, patches of 2, two blocks."""
    torch.manual_seed(0)
    transformer = SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=16,
        out_channels=16,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        caption_projection_dim=16,
        joint_attention_dim=2 * T5_WIDTH,
        pooled_projection_dim=24,
        pos_embed_max_size=12,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )
    encoders = [
        CLIPTextModelWithProjection(clip_config(projection_dim=width)).eval() for width in (8, 16)
    ]
    # T5's width is that of both CLIP encoders side by side, which is what gets padded to it.
    third = tiny_t5(2 * T5_WIDTH) if t5 else None
    pipe = StableDiffusion3Pipeline(
        transformer=transformer.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=shift, use_dynamic_shifting=dynamic),
        vae=tiny_vae(16, shift=0.1),
        text_encoder=encoders[0],
        tokenizer=tiny_tokenizer(folder / "first"),
        text_encoder_2=encoders[1],
        tokenizer_2=tiny_tokenizer(folder / "second"),
        text_encoder_3=third,
        tokenizer_3=tiny_t5_tokenizer() if t5 else None,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe
