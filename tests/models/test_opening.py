"""Folders of pipelines: every weight is loaded or the model is refused, whichever variant it is."""

# diffusers exports lazily and types loosely:
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from diffusion_geodesics.models import DiffusionModel, ModelError, from_pipeline, load_model
from tests.tiny.flux import tiny_flux
from tests.tiny.pixart import tiny_pixart
from tests.tiny.sd3 import tiny_sd3
from tests.tiny_pipelines import tiny_pipeline

Weights = dict[str, Tensor]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Stable Diffusion, saved; copied before anything is done to it."""
    place = tmp_path_factory.mktemp("saved")
    tiny_pipeline(place / "tokenizer").save_pretrained(place / "sd")
    return place / "sd"


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy of the tiny Stable Diffusion."""
    return Path(shutil.copytree(saved, tmp_path / "sd"))


def refusal(folder: Path) -> str:
    """The one line that a model is refused with."""
    with pytest.raises(ModelError) as caught:
        load_model(folder, device="cpu")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def weights_of(folder: Path, part: str) -> Path:
    (file,) = (folder / part).glob("*.safetensors")
    return file


def edit(file: Path, change: Callable[[Weights], Weights]) -> None:
    """Writes a weight file anew, changed."""
    weights = {name: weight.clone() for name, weight in load_file(file).items()}
    save_file(change(weights), file, metadata={"format": "pt"})


def edit_json(file: Path, **values: object) -> None:
    """Sets values of a configuration; None removes them."""
    saved = {**json.loads(file.read_text()), **values}
    file.write_text(json.dumps({k: v for k, v in saved.items() if v is not None}))


def answers(model: DiffusionModel) -> tuple[Tensor, Tensor, Tensor]:
    """What each component has a part in."""
    condition = model.encode_prompt("abc")
    x = torch.randn(1, 256, generator=torch.Generator().manual_seed(0))
    epsilon = model.denoiser(32, 32).epsilon(x, 300, condition)
    return condition.parts[0], epsilon, model.codec(32, 32).decode(x)


def half(weights: Weights) -> Weights:
    return {name: weights[name] for name in sorted(weights)[len(weights) // 2 :]}


def one_missing(weights: Weights) -> Weights:
    return {name: weights[name] for name in sorted(weights)[1:]}


def renamed(weights: Weights) -> Weights:
    return {f"other.{name}": weight for name, weight in weights.items()}


def one_more(weights: Weights) -> Weights:
    return weights | {"surplus.weight": torch.zeros(3)}


def reshaped(weights: Weights) -> Weights:
    name = sorted(name for name in weights if weights[name].ndim == 2)[0]
    return weights | {name: torch.zeros(3, 5)}


FAULTS = {
    half: "missing (",
    one_missing: ": 1 missing (",
    renamed: "unexpected (other.",
    one_more: ": 1 unexpected (surplus.weight)",
    reshaped: "1 of another shape (",
}


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_weights_that_are_not_the_networks_are_refused(
    folder: Path, part: str, fault: Callable[[Weights], Weights]
) -> None:
    edit(weights_of(folder, part), fault)
    told = refusal(folder)
    assert f"the weights of the {part} of {folder}" in told
    assert FAULTS[fault] in told
    if fault is reshaped:
        assert "(3, 5) instead of (" in told


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (tiny_sd3, "text_encoder_3"),
        (tiny_sd3, "transformer"),
        (tiny_flux, "text_encoder_2"),
        (tiny_flux, "text_encoder"),
        (lambda _: tiny_pixart(), "text_encoder"),
    ],
    ids=["sd3 T5", "sd3 transformer", "flux T5", "flux CLIP", "pixart T5"],
)
def test_so_are_they_in_other_families(
    make: Callable[[Path], object], part: str, tmp_path: Path
) -> None:
    pipe = make(tmp_path / "tokenizers")
    pipe.save_pretrained(tmp_path / "model")  # type: ignore[attr-defined]
    load_model(tmp_path / "model", device="cpu")
    edit(weights_of(tmp_path / "model", part), renamed)
    assert f"the weights of the {part} of" in refusal(tmp_path / "model")


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_missing_component_is_named(folder: Path, part: str) -> None:
    shutil.rmtree(folder / part)
    assert f"lacks the folder of its {part};" in refusal(folder)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_weights_that_are_cut_short_or_gone_are_named(folder: Path, part: str) -> None:
    file = weights_of(folder, part)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert f"cannot open the {part} of" in refusal(folder)
    file.unlink()
    assert f"cannot open the {part} of" in refusal(folder)


def test_a_component_of_an_unknown_class_is_named(folder: Path) -> None:
    edit_json(folder / "model_index.json", vae=["diffusers", "AutoencoderFuture"])
    assert "the vae of" in refusal(folder)
    assert "is a AutoencoderFuture, which the installed diffusers does not have" in refusal(folder)


def test_a_component_in_memory_without_weights_is_named(tmp_path: Path) -> None:
    pipe = tiny_pipeline(tmp_path)
    with torch.device("meta"):
        pipe.unet = type(pipe.unet).from_config(pipe.unet.config)
    with pytest.raises(ModelError, match="got a unet with .* weights that were never loaded"):
        from_pipeline(pipe)


# Tokenizers


def test_a_tokenizer_without_its_vocabulary_is_refused(folder: Path) -> None:
    (folder / "tokenizer" / "tokenizer.json").unlink()
    assert "the tokenizer of" in refusal(folder)
    assert "vocab.json and merges.txt" in refusal(folder)
    (folder / "tokenizer" / "vocab.json").write_text("{}")
    assert "has no vocabulary" in refusal(folder), "merges.txt is missing as well"


def test_either_kind_of_vocabulary_will_do(folder: Path, saved: Path) -> None:
    (folder / "tokenizer" / "tokenizer.json").unlink()
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(saved.parent / "tokenizer" / name, folder / "tokenizer")
    for old, new in zip(*(map(answers, map(load_model, (saved, folder)))), strict=True):
        assert torch.equal(old, new)


def test_a_tokenizer_of_another_model_is_refused(folder: Path) -> None:
    file = folder / "tokenizer" / "tokenizer.json"
    saved = json.loads(file.read_text())
    kept = ("<|startoftext|>", "<|endoftext|>", "a", "a</w>")
    saved["model"]["vocab"] = {token: k for k, token in enumerate(kept)}
    file.write_text(json.dumps(saved))
    assert "got a tokenizer of 4 tokens for a text_encoder of 54" in refusal(folder)


def test_a_tokenizer_that_confuses_prompts_is_refused(folder: Path) -> None:
    file = folder / "tokenizer" / "tokenizer.json"
    saved = json.loads(file.read_text())
    vocabulary = saved["model"]["vocab"]
    saved["model"]["vocab"] = {
        token if token.startswith("<|") else f"\u4e00{token}": k for token, k in vocabulary.items()
    }
    file.write_text(json.dumps(saved))
    assert "gives different prompts the same tokens" in refusal(folder)


def test_a_tokenizer_without_its_length_is_refused(folder: Path) -> None:
    edit_json(folder / "tokenizer" / "tokenizer_config.json", model_max_length=None)
    assert "without a limit (model_max_length) for a text_encoder that reads 12" in refusal(folder)
    (folder / "tokenizer" / "tokenizer_config.json").unlink()
    refusal(folder)


# Variants


@pytest.mark.parametrize("shard", [None, "20KB"], ids=["whole", "in shards"])
@pytest.mark.parametrize("variant", ["fp16", "bf16", "ema"])
def test_a_variant_is_taken_where_there_is_no_other(
    tmp_path: Path, variant: str, shard: str | None
) -> None:
    pipe = tiny_pipeline(tmp_path / "tokenizer")
    options = {} if shard is None else {"max_shard_size": shard}
    pipe.save_pretrained(tmp_path / "sd", variant=variant, **options)
    names = [file.name for file in tmp_path.glob("sd/*/*.safetensors")]
    assert all(f".{variant}" in name for name in names)
    if shard is not None:
        assert any(f".{variant}-00001-of-" in name for name in names)
    outputs = answers(load_model(tmp_path / "sd", device="cpu"))
    for mine, theirs in zip(outputs, answers(from_pipeline(pipe)), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_variants_may_differ_from_component_to_component(folder: Path, saved: Path) -> None:
    for part, variant in (("unet", "fp16"), ("vae", "bf16")):
        file = weights_of(folder, part)
        file.rename(file.with_suffix(f".{variant}.safetensors"))
    for mine, theirs in zip(*(map(answers, map(load_model, (folder, saved)))), strict=True):
        assert torch.equal(mine, theirs)


def test_weights_without_a_variant_come_first(folder: Path, saved: Path) -> None:
    file = weights_of(folder, "unet")
    shutil.copy(file, file.with_suffix(".fp16.safetensors"))
    edit(file.with_suffix(".fp16.safetensors"), lambda w: {k: 0 * v for k, v in w.items()})
    assert torch.equal(answers(load_model(folder))[1], answers(load_model(saved))[1])


# LoRAs


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("pytorch_lora_weights.safetensors", "unet.conv_in.weight"),
        ("style.safetensors", "lora_unet_conv_in.lora_down.weight"),
        ("unet/style.safetensors", "unet.conv_in.lora.down.weight"),
        ("text_encoder/adapter.safetensors", "base_model.conv_in.lora_A.weight"),
    ],
)
def test_a_lora_that_is_not_applied_is_noted(folder: Path, name: str, key: str) -> None:
    before = load_model(folder, device="cpu")
    save_file({key: torch.ones(2, 2)}, folder / name)
    model = load_model(folder, device="cpu")
    assert before.notes == ()
    (note,) = model.notes
    assert f"the LoRA file {name} lies in the folder and is not applied" in note
    for mine, theirs in zip(answers(model), answers(before), strict=True):
        assert torch.equal(mine, theirs)


def test_other_files_beside_a_model_are_not_called_loras(folder: Path) -> None:
    save_file({"unet.conv_in.weight": torch.ones(2)}, folder / "v1-5-pruned.safetensors")
    (folder / "broken.safetensors").write_bytes(b"no header")
    (folder / "notes.bin").write_bytes(b"")
    model = load_model(folder, device="cpu")
    assert model.notes == ()
    assert len(model.hash) == 64


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """A tiny Stable Diffusion, its U-Net and text encoder in shards."""
    pipe = tiny_pipeline(tmp_path / "tokenizer")
    pipe.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    shutil.rmtree(tmp_path / "shards" / "text_encoder")
    pipe.text_encoder.save_pretrained(tmp_path / "shards" / "text_encoder", max_shard_size="2KB")
    for part in ("unet", "text_encoder"):
        assert len([*(tmp_path / "shards" / part).glob("*-of-*.safetensors")]) > 1
    load_model(tmp_path / "shards", device="cpu")
    return tmp_path / "shards"


@pytest.mark.parametrize("part", ["unet", "text_encoder"])
def test_a_missing_shard_is_named(shards: Path, part: str) -> None:
    sorted((shards / part).glob("*.safetensors"))[0].unlink()
    assert f"cannot open the {part} of" in refusal(shards)


@pytest.mark.parametrize("part", ["unet", "text_encoder"])
def test_an_index_of_shards_without_some_weights_is_refused(shards: Path, part: str) -> None:
    shard = sorted((shards / part).glob("*.safetensors"))[0]
    edit(shard, one_missing)
    (index,) = (shards / part).glob("*.index.json")
    saved, kept = json.loads(index.read_text()), load_file(shard)
    saved["weight_map"] = {
        key: file for key, file in saved["weight_map"].items() if file != shard.name or key in kept
    }
    index.write_text(json.dumps(saved))
    assert f"the weights of the {part} of" in refusal(shards)
    assert ": 1 missing (" in refusal(shards)


def test_an_autoencoder_without_its_scale_is_refused(folder: Path) -> None:
    config = json.loads((folder / "vae" / "config.json").read_text())
    (folder / "vae" / "config.json").write_text(json.dumps({**config, "scaling_factor": None}))
    codec = load_model(folder, device="cpu").codec(32, 32)
    with pytest.raises(ValueError, match="without scaling_factor"):
        codec.decode(torch.zeros(1, 256))
