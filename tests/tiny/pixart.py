"""A tiny random PixArt, alpha or sigma: T5 with a mask, a learned variance."""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

import torch
from diffusers import PixArtAlphaPipeline, PixArtSigmaPipeline, PixArtTransformer2DModel

from tests.tiny.parts import T5_WIDTH, tiny_ddim, tiny_t5, tiny_t5_tokenizer, tiny_vae


def tiny_pixart(
    *, sigma: bool = False, micro_conditions: bool = False, learned_variance: bool = True
) -> PixArtAlphaPipeline | PixArtSigmaPipeline:
    """Random weights, f = 4, latents of 4 channels and edge 8.

    With `micro_conditions` (resolution and aspect ratio, alpha's largest model) the edge is 128,
    as the pipeline demands.
    """
    torch.manual_seed(0)
    transformer = PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        cross_attention_dim=24,
        in_channels=4,
        out_channels=8 if learned_variance else 4,
        num_layers=2,
        sample_size=128 if micro_conditions else 8,
        patch_size=2,
        caption_channels=T5_WIDTH,
        use_additional_conditions=micro_conditions,
    )
    kind = PixArtSigmaPipeline if sigma else PixArtAlphaPipeline
    pipe = kind(
        tokenizer=tiny_t5_tokenizer(),
        text_encoder=tiny_t5(),
        vae=tiny_vae(),
        transformer=transformer.eval(),
        scheduler=tiny_ddim(),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe
