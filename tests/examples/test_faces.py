"""The example of real faces: the wrapped network, where it is."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from diffusion_geodesics.diffusion import noise_scale
from diffusion_geodesics.images import psnr
from diffusion_geodesics.models.array_level import NoiseWarning
from tests.examples.running import load, run

pytestmark = pytest.mark.whole


def portrait(folder: Path, side: int, kind: Image.Resampling) -> Tensor:
    """The astronaut's, grey, (1, 1, side, side) with values in [0, 1]."""
    image = Image.open(folder / "photos" / "astronaut.png").convert("L").crop(load("faces").FACE)
    return torch.from_numpy(np.array(image.resize((side, side), kind)))[None, None] / 255


def small_portrait(folder: Path) -> Tensor:
    """As a point of the model."""
    return 2 * portrait(folder, 40, Image.Resampling.BOX).float() - 1


def large_portrait(folder: Path) -> Tensor:
    """As an image of the cascade."""
    return portrait(folder, 320, Image.Resampling.LANCZOS).double().expand(-1, 3, -1, -1)


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
    model, x = faces.face_model(shared_data), small_portrait(shared_data)
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
    face, and changes in proportion to the image."""
    codec = load("face_cascade").CascadeCodec(shared_data, steps=6)
    image = large_portrait(shared_data)
    x = codec.encode(image)
    means = image[:, 0].reshape(1, 40, 8, 40, 8).mean((2, 4))
    torch.testing.assert_close(x, (2 * means - 1).flatten(1))
    grey = 0.5 * x  # no pixel is clipped
    change = 1e-3 * torch.randn(grey.shape, generator=torch.Generator().manual_seed(0))
    decoded = codec.decode(torch.cat([grey, grey + change, grey + 10 * change]))
    assert decoded.shape == (3, 3, 320, 320)
    assert decoded.dtype == x.dtype
    assert 0 < decoded.min() < decoded.max() < 1
    torch.testing.assert_close(codec.encode(decoded)[:1], grey, atol=1e-5, rtol=0)
    assert torch.equal(codec.decode(grey), decoded[:1])
    detail = decoded[:, :1] - avg_pool2d(decoded[:, :1], 8).repeat_interleave(
        8, 2
    ).repeat_interleave(8, 3)
    assert detail[0].std() > 0.01
    little, more = (float((detail[k] - detail[0]).std()) for k in (1, 2))
    assert little < 0.1 * detail[0].std()
    assert more == pytest.approx(10 * little, rel=0.5)


def test_the_noise_of_inverted_portraits(shared_data: Path) -> None:
    """The figures of docs/models.md: the warning comes where no noise is put on the image."""
    faces = load("faces")
    at, x = faces.face_model(shared_data).at(0.5), small_portrait(shared_data).double()
    for start, noise, error in ((0.0, 0.40, 0.002), (0.02, 0.70, 0.017), (0.04, 0.80, 0.033)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            up = at.noised(x, start_noise=start)
        assert [c.category for c in caught] == ([NoiseWarning] if start == 0 else [])
        found = noise_scale(x.flatten(1), up, *at.coefficients)
        assert float(found) == pytest.approx(noise, abs=0.006)
        assert float((at.clean(up) - x).square().mean().sqrt()) == pytest.approx(error, abs=6e-4)


def test_the_detail_of_the_cascade_is_invented(shared_data: Path) -> None:
    """The figures of docs/modalities.md: it is as far from the photograph's as none."""
    image = large_portrait(shared_data)
    codec = load("face_cascade").CascadeCodec(shared_data)
    means = avg_pool2d(image, 8)
    smooth = interpolate(means, scale_factor=8, mode="bicubic")
    for found, expected in ((codec.decode(codec.encode(image)), 25.3), (smooth, 25.4)):
        assert float(psnr(found, image)) == pytest.approx(expected, abs=0.06)
