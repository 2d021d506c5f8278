"""Assemble the trained parts into a Stable Diffusion pipeline folder that diffusers can load.

Half-precision safetensors without a variant: `StableDiffusionPipeline.from_pretrained(folder)`
loads them in single precision, `torch_dtype=torch.float16` in half.

    python -m training.export
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel, CLIPTokenizer

from training.bank import RUNS
from training.denoiser import TOKENIZER, WIDTHS, Denoiser, build_scheduler, build_unet
from training.loop import averaged
from training.text import build_encoder, kept_tokenizer

EMBEDDED = Path("src/diffusion_geodesics/models/embedded")
SUMS = "SHA256SUMS"
EMPTY_PROMPT = "empty_prompt.safetensors"


def load_denoiser(
    state: Path, tokenizer: CLIPTokenizer, widths: Sequence[int] = WIDTHS
) -> Denoiser:
    """The averaged weights of a saved training state."""
    network = Denoiser(build_unet(widths), build_encoder(tokenizer))
    weights = averaged(state)
    missing = [name for name, _ in network.named_parameters() if name not in weights]
    if missing:
        raise ValueError(f"{state} lacks {len(missing)} weights of the denoiser: {missing[:3]} ...")
    network.load_state_dict(weights, strict=False)
    return network.eval()


def assemble(
    autoencoder: AutoencoderKL, denoiser: Denoiser, tokenizer: CLIPTokenizer
) -> StableDiffusionPipeline:
    """The pipeline, without safety checker: it can draw nothing but cartoon heads."""
    parts: dict[str, Any] = {
        "vae": autoencoder,
        "text_encoder": denoiser.text,
        "tokenizer": tokenizer,
        "unet": denoiser.unet,
        "scheduler": build_scheduler(),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }
    return StableDiffusionPipeline(**parts)


def weight_files(folder: Path) -> list[Path]:
    """The weights of a pipeline folder."""
    return sorted(folder.glob("*/*.safetensors"))


def digest(path: Path) -> str:
    """sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_slow_tokenizer(folder: Path) -> None:
    """Add the files that transformers 4 reads, out of the one that transformers 5 writes."""
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    vocabulary = json.dumps(model["vocab"], ensure_ascii=False)
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    (folder / "vocab.json").write_text(vocabulary + "\n", encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", "utf-8")


def write_old_names(path: Path) -> None:
    """Name the text encoder's weights as transformers 4 does; transformers 5 reads both."""
    weights = load_file(path)
    prefix = "text_model."
    named = {prefix + k.removeprefix(prefix): weight for k, weight in weights.items()}
    save_file(named, path, metadata={"format": "pt"})


def write_empty_prompt(folder: Path) -> None:
    """Keep the text encoder's states of "" in every precision, so that it need not run for them."""
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    tokens = tokenizer("", padding="max_length", return_tensors="pt").input_ids
    states: dict[str, torch.Tensor] = {}
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=dtype).eval()
        with torch.inference_mode():
            states[str(dtype).removeprefix("torch.")] = encoder(tokens)[0].clone()
    save_file(states, folder / EMPTY_PROMPT, metadata={"format": "pt"})


def write(pipeline: StableDiffusionPipeline, folder: Path) -> None:
    """Write half-precision weights, their sha256 sums, and configs that ask for float32."""
    pipeline.to(torch.float16)
    pipeline.save_pretrained(folder, safe_serialization=True)
    config_path = folder / "text_encoder" / "config.json"
    config = json.loads(config_path.read_text(encoding="utf-8"))
    config.pop("torch_dtype", None)
    config["dtype"] = "float32"
    config_path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for path in folder.rglob("config.json"):
        config = json.loads(path.read_text(encoding="utf-8"))
        config.pop("_name_or_path", None)  # a path on the machine that trained it
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    write_slow_tokenizer(folder / "tokenizer")
    write_old_names(folder / "text_encoder" / "model.safetensors")
    write_empty_prompt(folder)
    lines = [
        f"{digest(path)}  {path.relative_to(folder).as_posix()}" for path in weight_files(folder)
    ]
    (folder / SUMS).write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="write the model folder")
    parser.add_argument("--autoencoder", type=Path, default=RUNS / "whitened")
    parser.add_argument("--state", type=Path, default=RUNS / "denoiser.safetensors")
    parser.add_argument("--widths", type=int, nargs="+", default=list(WIDTHS))
    parser.add_argument("--out", type=Path, default=EMBEDDED)
    o = parser.parse_args()
    autoencoder = AutoencoderKL.from_pretrained(o.autoencoder)
    tokenizer = kept_tokenizer(o.state.parent / TOKENIZER)
    denoiser = load_denoiser(o.state, tokenizer, o.widths)
    write(assemble(autoencoder, denoiser, tokenizer), o.out)
    size = sum(path.stat().st_size for path in o.out.rglob("*") if path.is_file())
    print(f"{o.out}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
