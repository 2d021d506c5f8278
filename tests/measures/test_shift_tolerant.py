"""ST-LPIPS: against figures of its authors' code, and what is said without weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import interpolate

from diffusion_geodesics.images import load_image
from diffusion_geodesics.measures import external_measures
from diffusion_geodesics.measures.shift_tolerant import shift_tolerant_lpips
from tests.measures.strips import cross_fade, strip_of

TRUNK = {
    "slice1.0": (64, 3, 11),
    "slice2.5": (192, 64, 5),
    "slice3.9": (384, 192, 3),
    "slice4.11": (256, 384, 3),
    "slice5.13": (256, 256, 3),
}
BLURS = {"slice1.1": 64, "slice2.4": 64, "slice3.8": 192}


def random_weights() -> dict[str, Tensor]:
    """Of the shapes of the published file, which is not in the repository."""
    generator = torch.Generator().manual_seed(0)
    found = {"scaling_layer.shift": torch.zeros(1, 3, 1, 1)}
    found["scaling_layer.scale"] = torch.ones(1, 3, 1, 1)
    for level, (name, (out, into, edge)) in enumerate(TRUNK.items()):
        weight = torch.randn(out, into, edge, edge, generator=generator)
        found[f"net.{name}.weight"] = weight / (into * edge**2) ** 0.5
        found[f"net.{name}.bias"] = torch.zeros(out)
        found[f"lin{level}.model.1.weight"] = torch.full((1, out, 1, 1), 1 / out)
    kernel = torch.tensor([1.0, 2.0, 1.0]) / 4
    for name, channels in BLURS.items():
        found[f"net.{name}.filt"] = (kernel[:, None] * kernel).expand(channels, 1, 3, 3).clone()
    return found


def test_a_folder_with_its_weights_gives_the_measure(tmp_path: Path) -> None:
    save_file(random_weights(), tmp_path / "stlpips_alex.safetensors")
    measure = external_measures(tmp_path).measures[0]
    assert [q.name for q in measure.quantities] == ["ST-PPL", "ST-PDV", "end ST-LPIPS"]
    frames = interpolate(cross_fade().float(), size=(48, 48))
    values = measure(strip_of(frames))
    assert values["ST-PPL"] > values["end ST-LPIPS"] == 0
    (tmp_path / "deep").mkdir()
    torch.save(random_weights(), tmp_path / "deep" / "alex_shift_tolerant.pth")
    (tmp_path / "stlpips_alex.safetensors").unlink()
    assert shift_tolerant_lpips(tmp_path)(frames[:1], frames[1:2]) > 0


def test_it_is_a_distance_and_knows_no_batches(tmp_path: Path) -> None:
    save_file(random_weights(), tmp_path / "stlpips_alex.safetensors")
    distance = shift_tolerant_lpips(tmp_path)
    x, y = torch.rand(2, 10, 3, 40, 56, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(distance(x, x), torch.zeros(10))
    torch.testing.assert_close(distance(x, y), distance(y, x))
    torch.testing.assert_close(distance(x, y)[9:], distance(x[9:], y[9:]))


def test_without_weights_it_is_named_with_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diffusion_geodesics.measures.shift_tolerant.find_spec", lambda name: None)
    skipped = {s.name: s for s in external_measures(tmp_path).skipped}
    found = skipped["ST-PPL, ST-PDV, end ST-LPIPS"]
    assert found.remedy == "install the package stlpips-pytorch, without its dependencies"
    assert str(tmp_path) in found.reason
    save_file({"other": torch.ones(1)}, tmp_path / "stlpips_alex.safetensors")
    with pytest.raises(ValueError, match="does not hold the weights"):
        shift_tolerant_lpips(tmp_path)


def test_the_published_weights_give_what_their_authors_code_gives(shared_data: Path) -> None:
    """Figures of stlpips-pytorch 0.0.2 on the same pictures, made smaller in the same way."""
    distance = shift_tolerant_lpips(shared_data / "weights")
    weights = load_file(shared_data / "weights" / "stlpips_alex.safetensors")
    assert weights.keys() == random_weights().keys()
    dog, other, church = (
        interpolate(
            load_image(shared_data / "pairs" / f"{name}.png")[None],
            size=(256, 256),
            mode="bilinear",
            antialias=True,
        )
        for name in ("dog2dog_0", "dog2dog_1", "church_0")
    )
    assert float(distance(dog, other)) == pytest.approx(0.4663211, abs=1e-5)
    assert float(distance(dog, church)) == pytest.approx(0.7161393, abs=1e-5)
    assert float(distance(dog, dog.roll(1, 3))) < 0.02
