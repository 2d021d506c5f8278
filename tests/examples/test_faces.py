"""The example of real faces: the wrapped network, where it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import avg_pool2d

from tests.examples.running import load, run


@pytest.mark.parametrize("words", [[], ["--large"]])
def test_it_says_what_is_missing(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run("faces", ["--data", str(tmp_path), "-o", str(tmp_path / "out"), *words], monkeypatch)
    told = capsys.readouterr().out
    assert "missing in" in told
    assert ("detail0" in told) == bool(words)
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


def test_the_haar_transform_keeps_block_means() -> None:
    """And the bands are those of its definition."""
    joined = load("face_cascade").joined
    low, bands = torch.rand(2, 1, 5, 5), torch.rand(2, 3, 5, 5) - 0.5
    image = joined(low, bands)
    torch.testing.assert_close(avg_pool2d(image, 2), low)
    a, b, c, d = (image[..., i::2, j::2] for i in (0, 1) for j in (0, 1))
    found = torch.cat([a + b - c - d, a - b + c - d, a - b - c + d], 1) / 4
    torch.testing.assert_close(found, bands)


def test_the_cascade_is_a_codec(shared_data: Path) -> None:
    """Encoding gives exact block means, and what was decoded its low band back; detail is that of a
    face, and follows small changes."""
    codec = load("face_cascade").CascadeCodec(shared_data, steps=6)
    portrait = Image.open(shared_data / "photos" / "astronaut.png").convert("L")
    portrait = portrait.crop(load("faces").FACE).resize((320, 320), Image.Resampling.LANCZOS)
    image = torch.from_numpy(np.array(portrait)).double()[None, None].expand(-1, 3, -1, -1) / 255
    x = codec.encode(image)
    means = image[:, 0].reshape(1, 40, 8, 40, 8).mean((2, 4))
    torch.testing.assert_close(x, (2 * means - 1).flatten(1))
    grey = 0.5 * x  # no pixel is clipped
    near = grey + 1e-3 * torch.randn(grey.shape, generator=torch.Generator().manual_seed(0))
    decoded = codec.decode(torch.cat([grey, near]))
    assert decoded.shape == (2, 3, 320, 320)
    assert decoded.dtype == x.dtype
    assert 0 < decoded.min() < decoded.max() < 1
    torch.testing.assert_close(codec.encode(decoded)[:1], grey, atol=1e-5, rtol=0)
    assert torch.equal(codec.decode(grey), decoded[:1])
    detail = decoded[:, :1] - avg_pool2d(decoded[:, :1], 8).repeat_interleave(
        8, 2
    ).repeat_interleave(8, 3)
    assert detail[0].std() > 0.01
    assert detail.diff(dim=0).std() < 0.2 * detail[0].std()
