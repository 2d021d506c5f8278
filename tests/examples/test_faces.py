"""The example of real faces: the wrapped network, where it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.examples.running import load, run


def test_it_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("faces", ["--data", str(tmp_path), "-o", str(tmp_path / "out")], monkeypatch)
    assert "missing in" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_the_network_removes_noise(shared_data: Path) -> None:
    """Half of it at least; and its features are of the image's size."""
    faces = load("faces")
    model = faces.face_model(shared_data)
    portrait = Image.open(shared_data / "photos" / "astronaut.png").convert("L").crop(faces.FACE)
    portrait = portrait.resize((40, 40), Image.Resampling.BOX)
    x = torch.from_numpy(np.array(portrait)).float()[None, None] / 127.5 - 1
    torch.manual_seed(0)
    for sigma in (0.2, 0.6):
        noisy = x + sigma * torch.randn_like(x)
        left = (model.network.function(noisy, sigma) - x).std()
        assert left < 0.5 * sigma
    assert [f.shape for f in model.network.function.features(x, 0.2)] == [(1, 64, 40, 40)] * 3
