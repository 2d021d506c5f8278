"""A tiny random Flux: packed latents, CLIP's pooled text and T5, flow matching."""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from transformers import CLIPTextModel

from tests.tiny.parts import T5_WIDTH, clip_config, tiny_t5, tiny_t5_tokenizer, tiny_vae
from tests.tiny_pipelines import tiny_tokenizer


def tiny_flux(folder: Path, *, guidance: bool = True) -> FluxPipeline:
    """Random weights: latents 4x8x8 of 32x32 images; like `dev` with guidance, else `schnell`."""
    torch.manual_seed(0)
    transformer = FluxTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=T5_WIDTH,
        pooled_projection_dim=16,
        guidance_embeds=guidance,
        axes_dims_rope=(2, 2, 4),
    )
    scheduler = FlowMatchEulerDiscreteScheduler(
        shift=3.0 if guidance else 1.0,
        use_dynamic_shifting=guidance,
        base_shift=0.5,
        max_shift=1.15,
        base_image_seq_len=4,
        max_image_seq_len=4096,
    )
    pipe = FluxPipeline(
        transformer=transformer.eval(),
        scheduler=scheduler,
        vae=tiny_vae(4, shift=0.1),
        text_encoder=CLIPTextModel(clip_config()).eval(),
        tokenizer=tiny_tokenizer(folder / "first"),
        text_encoder_2=tiny_t5(),
        tokenizer_2=tiny_t5_tokenizer(),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe
