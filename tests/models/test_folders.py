"""Paths, indices and the names of weight files."""

from pathlib import Path

import pytest

from diffusion_geodesics.models import ModelError
from diffusion_geodesics.models.folders import (
    read_index,
    variant_among,
    weight_files,
)

DIFFUSERS, TRANSFORMERS = "diffusion_pytorch_model", "model"


@pytest.mark.parametrize(
    ("names", "variant"),
    [
        ([f"{DIFFUSERS}.safetensors"], None),
        ([f"{DIFFUSERS}-00001-of-00002.safetensors"], None),
        ([f"{TRANSFORMERS}.safetensors", f"{TRANSFORMERS}.fp16.safetensors"], None),
        ([f"{DIFFUSERS}.fp16.safetensors"], "fp16"),
        ([f"{DIFFUSERS}.fp16-00001-of-00003.safetensors"], "fp16"),
        ([f"{TRANSFORMERS}-00001-of-00003.fp16.safetensors"], "fp16"),
        ([f"{TRANSFORMERS}.bf16.safetensors"], "bf16"),
        ([f"{TRANSFORMERS}.bf16.safetensors", f"{TRANSFORMERS}.fp16.safetensors"], "fp16"),
        ([f"{DIFFUSERS}.non_ema.safetensors", f"{DIFFUSERS}.bf16.safetensors"], "bf16"),
        ([f"{DIFFUSERS}.non_ema.safetensors"], "non_ema"),
        (["config.json", f"{DIFFUSERS}.fp16.bin", "pytorch_lora_weights.safetensors"], None),
        ([], None),
    ],
)
def test_variants_are_read_off_the_names(names: list[str], variant: str | None) -> None:
    assert variant_among(names) == variant


@pytest.mark.parametrize("text", ["{", "[]", "3", "{}", '{"_class_name": 3}', "\x00", "[" * 9999])
def test_damaged_indices_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "model_index.json").write_text(text)
    with pytest.raises(ModelError, match="the model_index.json of it is damaged"):
        read_index(tmp_path, "it")


def test_an_index_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(ModelError, match="damaged"):
        read_index(tmp_path, "it")
    (tmp_path / "model_index.json").unlink()
    with pytest.raises(ModelError, match="without model_index.json"):
        read_index(tmp_path, "it")


def test_weights_are_those_of_components(tmp_path: Path) -> None:
    for name in ("unet/b.safetensors", "unet/a.safetensors", "vae/c.bin", "lora.safetensors"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    names = [file.relative_to(tmp_path).as_posix() for file in weight_files(tmp_path)]
    assert names == ["unet/a.safetensors", "unet/b.safetensors"]
