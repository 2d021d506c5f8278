"""The interface of models: what goes on record, and what is no model."""

import dataclasses
import inspect
from pathlib import Path

import pytest
import torch

from diffusion_geodesics.models import (
    ModelError,
    ModelInfo,
    as_model,
    from_denoiser,
    from_pipeline,
    load_model,
)
from tests.tiny.ddpm import tiny_ddpm
from tests.tiny_pipelines import tiny_pipeline


def denoise(x: torch.Tensor, sigma: float) -> torch.Tensor:
    return x / (1 + sigma**2)


def test_the_record_of_a_model_is_plain_text(tmp_path: Path) -> None:
    model = from_pipeline(tiny_pipeline(tmp_path).to(torch.bfloat16))
    info = model.info
    assert info == ModelInfo(model.id, model.hash, "", "cpu", "bfloat16")
    assert list(info.as_dict()) == ["id", "hash", "caveat", "device", "dtype"]
    assert all(type(value) is str for value in info.as_dict().values())
    with pytest.raises(dataclasses.FrozenInstanceError):
        info.id = "other"  # type: ignore[misc]
    function = from_denoiser(denoise, (3, 4, 4), id="mine")
    assert function.info == ModelInfo("mine", function.hash, "", "cpu", "float32")
    assert (function.notes, function.prompt_notes("anything")) == ((), ())


def test_a_model_passes_and_nothing_else(tmp_path: Path) -> None:
    model = from_denoiser(denoise, (3, 4, 4))
    assert as_model(model) is model
    for given, told in (
        ("embedded", r"the name 'embedded' .*load it first: load_model\('embedded'\)"),
        (Path("models/sd"), r"the name 'models/sd' .*load_model\('models/sd'\)"),
        (tiny_pipeline(tmp_path), r"a StableDiffusionPipeline .*wrap it: from_pipeline\("),
        (tiny_ddpm(), r"a DDPMPipeline .*wrap it: from_pipeline\("),
        (torch.nn.Linear(1, 1), r"a Linear .*from_denoiser\(.*from_score\("),
        (denoise, r"a function .*from_denoiser\("),
        (None, "a NoneType .*make one with load_model"),
        (3, "a int .*make one with load_model"),
    ):
        with pytest.raises(ValueError, match=told) as caught:
            as_model(given)
        assert "\n" not in str(caught.value)


def test_a_pipeline_given_for_a_name_is_told_where_to_go(tmp_path: Path) -> None:
    unchecked = inspect.unwrap(load_model)  # as users have it, without the tests' type checker
    with pytest.raises(ModelError, match="got a StableDiffusionPipeline.*from_pipeline"):
        unchecked(tiny_pipeline(tmp_path))
    with pytest.raises(ModelError, match="got the name 'sd21'.*goes to load_model"):
        from_pipeline("sd21")
