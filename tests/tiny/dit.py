"""A tiny random DiT: five classes and the null class, a learned variance."""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

import torch
from diffusers import DiTPipeline, DiTTransformer2DModel

from tests.tiny.parts import tiny_ddim, tiny_vae

LABELS = {
    0: "tench, Tinca tinca",
    1: "goldfish, Carassius auratus",
    2: "white shark, man-eater",
    3: "tiger shark",
    4: "hen",
}


def tiny_dit(*, learned_variance: bool = True, named: bool = True) -> DiTPipeline:
    """Random weights: 32x32 images, f = 4, latents 4x8x8, two blocks.

    `named`: whether the classes have names, also when it is saved, as the published ones are.
    """
    torch.manual_seed(0)
    transformer = DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8 if learned_variance else 4,
        num_layers=2,
        sample_size=8,
        patch_size=2,
        num_embeds_ada_norm=len(LABELS),
    )
    names = LABELS if named else None
    pipe = DiTPipeline(
        transformer=transformer.eval(), vae=tiny_vae(), scheduler=tiny_ddim(), id2label=names
    )
    if named:
        pipe.register_to_config(id2label=names)
    pipe.set_progress_bar_config(disable=True)
    return pipe
