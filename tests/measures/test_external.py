"""Networks of other people: what they are given, and what is said where they are absent."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion_geodesics.measures import external_measures
from diffusion_geodesics.measures.external import (
    LPIPS,
    ClipSimilarity,
    InceptionFeatures,
    Quality,
    offline,
)
from tests.measures.strips import cross_fade, strip_of


def test_lpips_is_given_images_between_minus_one_and_one() -> None:
    seen: list[Tensor] = []
    weight = torch.randn(4, 3, 1, 1, generator=torch.Generator().manual_seed(0))

    def network(a: Tensor, b: Tensor) -> Tensor:  # LPIPS with random local weights
        seen.extend([a, b])
        deep = [torch.nn.functional.conv2d(x, weight) for x in (a, b)]
        return (deep[0] - deep[1]).square().mean((1, 2, 3), keepdim=True)

    a, b = torch.zeros(20, 3, 8, 8), torch.ones(20, 3, 8, 8)
    found = LPIPS(network)(a, b)
    assert {float(x.min()) for x in seen} == {-1.0, 1.0}
    exact = float((2 * weight.sum(1)).square().mean())
    torch.testing.assert_close(found, torch.full((20,), exact))


def test_other_networks_are_wired_as_their_libraries_want() -> None:
    frames = cross_fade().float()
    assert Quality(lambda x: x.mean((1, 2, 3), keepdim=True))(strip_of(frames))["TOPIQ"] == (
        pytest.approx(float(frames.mean()), abs=1e-6)
    )
    turned = torch.stack([torch.linspace(0, 1, 5).cos(), torch.linspace(0, 1, 5).sin()], 1)
    embedded = torch.cat([turned[[0, -1]], turned])
    clip = ClipSimilarity(lambda x: 3 * embedded)(strip_of(frames))
    assert clip["CLIP step"] == pytest.approx(math.cos(0.25), abs=1e-6)
    t = np.linspace(0, 1, 5)
    exact = np.mean((1 - t) * np.cos(t) + t * np.cos(1 - t))
    assert clip["CLIP to ends"] == pytest.approx(exact, abs=1e-6)
    given: list[Tensor] = []

    def inception(x: Tensor) -> tuple[Tensor]:
        given.append(x)
        return (x.float().flatten(1),)

    InceptionFeatures(inception)(torch.ones(3, 3, 8, 8))
    assert given[0].dtype is torch.uint8
    assert int(given[0].max()) == 255


def test_absent_measures_are_named_with_their_remedy(tmp_path: Path) -> None:
    found = external_measures(tmp_path)
    names = {s.name for s in found.skipped}
    assert "CLIP to ends, CLIP step" in names
    assert len(names) + len(found.measures) + (found.inception is not None) == 5
    assert all(s.remedy and s.reason for s in found.skipped)
    with pytest.raises(ValueError, match="no folder"):
        external_measures(tmp_path / "missing")


def test_a_command_that_installs_leaves_torch_as_it_is(tmp_path: Path) -> None:
    """Without its version, pip would take the newest torch with the newest torchvision."""
    here = f"torch=={torch.__version__.split('+')[0]}"
    remedies = {s.name: s.remedy for s in external_measures(tmp_path).skipped}
    installs = {n: r for n, r in remedies.items() if r.startswith("pip install")}
    assert installs
    for name, remedy in installs.items():
        assert "diffusion-geodesics" not in remedy, "it may be on no index"
        assert here in remedy or "--no-deps" in remedy, name


def test_weights_are_never_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(net: str, verbose: bool) -> None:
        torch.hub.load_state_dict_from_url("https://example.invalid/alexnet.pth", progress=False)

    fake = ModuleType("lpips")
    fake.LPIPS = build  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lpips", fake)
    before = torch.hub.get_dir(), torch.hub.download_url_to_file
    skipped = {s.name: s for s in external_measures(tmp_path).skipped}
    missing, file = skipped["PPL, PDV, end LPIPS"], tmp_path / "checkpoints" / "alexnet.pth"
    assert missing.reason == f"its weights are not in {file}"
    assert missing.remedy == f"download https://example.invalid/alexnet.pth to {file}"
    assert (torch.hub.get_dir(), torch.hub.download_url_to_file) == before
    (tmp_path / "checkpoints").mkdir(exist_ok=True)
    torch.save({"w": torch.ones(2)}, tmp_path / "checkpoints" / "there.pth")
    with offline(tmp_path):
        loaded = torch.hub.load_state_dict_from_url("https://example.invalid/there.pth")
    torch.testing.assert_close(loaded["w"], torch.ones(2))
