"""Parts that several tiny pipelines share: text encoders that spell, and autoencoders."""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler
from transformers import CLIPTextConfig, T5Config, T5EncoderModel, T5Tokenizer

T5_WIDTH = 16


def clip_config(**changes: object) -> CLIPTextConfig:
    """A text encoder for `tiny_tokenizer`: 12 tokens of width 16."""
    settings: dict[str, object] = {
        "vocab_size": 54,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 12,
        "bos_token_id": 52,
        "eos_token_id": 53,
        "pad_token_id": 53,
    }
    return CLIPTextConfig(**(settings | changes))


def tiny_t5_tokenizer() -> T5Tokenizer:
    """A T5 tokenizer that spells: every lower-case letter is a token; 31 tokens."""
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    letters = [(chr(c), -3.0) for c in range(ord("a"), ord("z") + 1)]
    return T5Tokenizer(vocab=[*special, *letters], extra_ids=0)


def tiny_t5(width: int = T5_WIDTH) -> T5EncoderModel:
    """An encoder for `tiny_t5_tokenizer`."""
    config = T5Config(
        vocab_size=31,
        d_model=width,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        feed_forward_proj="gated-gelu",
        is_encoder_decoder=False,
    )
    return T5EncoderModel(config).eval()


def tiny_vae(channels: int = 4, *, shift: float | None = None) -> AutoencoderKL:
    """Four times smaller latents of `channels` channels, for images around 32x32."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 8, 8),
        norm_num_groups=4,
        latent_channels=channels,
        sample_size=32,
        scaling_factor=0.7,
        shift_factor=shift,
    ).eval()


def tiny_ddim(**changes: object) -> DDIMScheduler:
    """The scheduler of most pipelines here, with no clipping and a noise-free end."""
    settings: dict[str, object] = {
        "beta_schedule": "linear",
        "clip_sample": False,
        "set_alpha_to_one": True,
        "timestep_spacing": "leading",
    }
    return DDIMScheduler(**(settings | changes))


def run(pipe: Any, **settings: Any) -> torch.Tensor:
    """What a pipeline itself makes: latents or images, as `output_type` says."""
    return torch.as_tensor(pipe(**settings, return_dict=False)[0])
