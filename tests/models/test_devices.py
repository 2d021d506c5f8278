"""Devices that networks can run on."""

import pytest
import torch

from diffusion_geodesics.models import ModelError, default_device, load_model
from diffusion_geodesics.models.devices import usable_device


def test_the_default_device_can_be_used() -> None:
    assert usable_device(default_device()) == default_device()
    assert usable_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("device", ["meta", "nonsense", "cuda:99", "", "cpu:-2"])
def test_others_are_refused(device: str) -> None:
    with pytest.raises(ModelError, match="cannot be used here; choose cpu, cuda or mps") as caught:
        usable_device(device)
    assert repr(device) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_is_not_loaded_for_them() -> None:
    with pytest.raises(ModelError, match="'meta'"):
        load_model(device="meta")
    with pytest.raises(ModelError, match="'meta'"):
        load_model(device=torch.device("meta"))
    with pytest.raises(ModelError, match="got dtype torch.int64; expected float16"):
        load_model(device="cpu", dtype=torch.int64)
