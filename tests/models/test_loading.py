"""Finding and opening a model by name, and what it is refused with."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from diffusion_geodesics.models import ModelError, StableDiffusionModel, from_pipeline, load_model
from tests.tiny.ddpm import tiny_ddpm
from tests.tiny_pipelines import tiny_pipeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved tiny pipeline."""
    place = tmp_path_factory.mktemp("tiny")
    tiny_pipeline(place / "tokenizer_source").save_pretrained(place / "pipeline")
    return place / "pipeline"


def refusal(name: str | Path, **options: Any) -> str:
    """The one line that a model is refused with."""
    with pytest.raises(ModelError) as caught:
        load_model(name, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def edit(file: Path, **values: object) -> None:
    """Sets values of a configuration."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_unknown_names_and_places_are_refused_in_one_line(tmp_path: Path) -> None:
    assert "neither 'embedded'" in refusal("embeded")
    assert "without model_index.json" in refusal(tmp_path)
    file = tmp_path / "model.ckpt"
    file.write_bytes(b"x")
    assert "is a file" in refusal(file)
    assert "not in the local cache" in refusal("nobody/nothing-at-all", local_files_only=True)
    assert "cannot reach the hub" in refusal("nobody/nothing-at-all")
    assert "cannot be used here" in refusal("embedded", device="nonsense")


def test_damaged_and_foreign_folders_are_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    index = tmp_path / "model_index.json"
    index.write_text("{")
    assert "damaged" in refusal(tmp_path)
    index.write_text(json.dumps({"_class_name": "KolorsPipeline"}))
    assert "is a KolorsPipeline; expected one of StableDiffusionPipeline" in refusal(tmp_path)
    shutil.copy(folder / "model_index.json", index)
    assert "no safetensors weights" in refusal(tmp_path)
    part = tmp_path / "part"
    shutil.copytree(folder, part)
    shutil.rmtree(part / "vae")
    assert "check that the folder is complete" in refusal(part)


@pytest.mark.whole
def test_names_are_checked_before_any_model_library_is_imported() -> None:
    program = (
        "import sys\n"
        "import diffusion_geodesics.diffusion\n"
        "from diffusion_geodesics.models import ModelError, load_model\n"
        "try:\n    load_model('embeded')\n"
        "except ModelError:\n    print(sorted({'diffusers', 'transformers'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_home_folder_may_be_abbreviated(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    model = load_model("~/pipeline", device="cpu")
    assert isinstance(model, StableDiffusionModel)
    assert model.id == "~/pipeline"
    assert model.hash == load_model(folder, device="cpu").hash
    assert load_model(Path("~") / "pipeline", device="cpu").hash == model.hash
    assert "neither 'embedded'" in refusal("~nobody-of-this-name")
    (tmp_path / "~file").write_text("")
    monkeypatch.chdir(tmp_path)
    assert "is a file" in refusal("~file")


def test_files_beside_the_components_do_not_change_the_hash(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "whole.safetensors").write_bytes(b"a checkpoint in one piece, which is not read")
    assert load_model(copy, device="cpu").hash == load_model(folder, device="cpu").hash


# Configurations


def test_without_the_unets_size_the_autoencoders_counts(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    edit(copy / "unet" / "config.json", sample_size=None)
    assert load_model(copy, device="cpu").native_size == 32
    edit(copy / "vae" / "config.json", sample_size=[36, 20])
    assert load_model(copy, device="cpu").native_size == 40, "rounded up to the multiple of 8"


def test_without_either_a_size_must_be_given(tmp_path: Path) -> None:
    pipe = tiny_pipeline(tmp_path)
    pipe.unet.register_to_config(sample_size=None)
    pipe.vae.register_to_config(sample_size=None)
    model = from_pipeline(pipe)
    assert model.denoiser(32, 40).network.dim == 4 * 8 * 10
    with pytest.raises(ModelError, match="do not say what size its images have"):
        _ = model.native_size


@pytest.mark.parametrize("size", [8, [8, 6], [4, 8]])
def test_a_size_may_be_one_edge_or_two(folder: Path, tmp_path: Path, size: object) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    edit(copy / "unet" / "config.json", sample_size=size)
    assert load_model(copy, device="cpu").native_size == 32


@pytest.mark.parametrize("schedule", ["sigmoid", "laplace"])
def test_other_betas_load(tmp_path: Path, schedule: str) -> None:
    tiny_ddpm().save_pretrained(tmp_path)
    edit(tmp_path / "scheduler" / "scheduler_config.json", beta_schedule=schedule)
    denoiser = load_model(tmp_path, device="cpu").denoiser(16, 16)
    x = torch.randn(1, 3 * 16 * 16, generator=torch.Generator().manual_seed(0))
    model = load_model(tmp_path, device="cpu")
    output = denoiser.epsilon(x, denoiser.schedule.timestep(10, 0.5), model.encode_prompt(""))
    assert float(output.std()) > 1e-3


@pytest.mark.parametrize("prediction", ["v_prediction", "sample", "epsilon"])
def test_noise_prediction_up_to_pure_noise_is_refused(
    folder: Path, tmp_path: Path, prediction: str
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    edit(
        copy / "scheduler" / "scheduler_config.json",
        rescale_betas_zero_snr=True,
        prediction_type=prediction,
    )
    if prediction == "epsilon":
        told = refusal(copy)
        assert "ends in pure noise (zero terminal SNR)" in told
        assert "predicts noise (epsilon)" in told
        return
    denoiser = load_model(copy, device="cpu").denoiser(32, 32)
    assert denoiser.schedule.coefficients(999) == (0.0, 1.0)


def test_a_revision_of_what_has_none_is_refused(tmp_path: Path) -> None:
    for name in ("embedded", str(tmp_path)):
        with pytest.raises(ModelError, match="got revision 'v2' for .*here in one version"):
            load_model(name, revision="v2")
