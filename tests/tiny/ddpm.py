"""Tiny random unconditional pipelines on pixels."""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

import torch
from diffusers import DDIMPipeline, DDPMPipeline, DDPMScheduler, UNet2DModel

from tests.tiny.parts import tiny_ddim


def tiny_unet(channels: int = 3, outputs: int | None = None, **changes: object) -> UNet2DModel:
    """16x16 images, two levels."""
    settings: dict[str, object] = {
        "sample_size": 16,
        "in_channels": channels,
        "out_channels": outputs or channels,
        "block_out_channels": (8, 8),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "attention_head_dim": 4,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    }
    return UNet2DModel(**(settings | changes)).eval()


def tiny_ddpm(
    channels: int = 3,
    *,
    prediction: str = "epsilon",
    learned_variance: bool = False,
    ddim: bool = False,
) -> DDPMPipeline | DDIMPipeline:
    """Random weights, nothing clipped; `channels` 3 or 1 (grey)."""
    torch.manual_seed(0)
    unet = tiny_unet(channels, 2 * channels if learned_variance else None)
    if ddim:
        pipe = DDIMPipeline(unet=unet, scheduler=tiny_ddim(prediction_type=prediction))
    else:
        scheduler = DDPMScheduler(
            clip_sample=False,
            prediction_type=prediction,
            variance_type="learned_range" if learned_variance else "fixed_small",
        )
        pipe = DDPMPipeline(unet=unet, scheduler=scheduler)
    pipe.set_progress_bar_config(disable=True)
    return pipe
