"""Every measure against an exact case or an independent computation."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.stats import wilcoxon
from torch import Tensor

from diffusion_geodesics.measures import (
    Better,
    FeatureLength,
    PerceptualDistance,
    PerceptualPath,
    Pictures,
    PooledPixels,
    Strip,
    equal_steps,
    external_measures,
    frechet,
    frechet_distance,
    ghosting,
    kernel_distance,
    mean_estimate,
    nearest_frames,
    sharpness,
    ssim,
    two_sample_accuracy,
    win_rate,
)
from diffusion_geodesics.measures.external import (
    LPIPS,
    ClipSimilarity,
    InceptionFeatures,
    Quality,
    offline,
)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def strip_of(frames: Tensor, ends: Tensor | None = None) -> Strip:
    return Strip(frames, frames[[0, -1]] if ends is None else ends, PooledPixels()(frames))


def cross_fade(count: int = 5, seed: int = 0) -> Tensor:
    a, b = noise(2, 3, 16, 20, seed=seed)
    t = torch.linspace(0, 1, count, dtype=torch.float64)[:, None, None, None]
    return (1 - t) * a + t * b


# SSIM


def test_ssim_of_an_image_with_itself_is_one() -> None:
    x = noise(2, 3, 16, 20)
    torch.testing.assert_close(ssim(x, x), torch.ones(2, dtype=torch.float64))


def test_ssim_of_constant_images_is_the_luminance_term() -> None:
    a, b = (torch.full((1, 3, 12, 12), v, dtype=torch.float64) for v in (0.2, 0.7))
    c1 = 1e-4
    exact = (2 * 0.2 * 0.7 + c1) / (0.2**2 + 0.7**2 + c1)
    assert float(ssim(a, b)) == pytest.approx(exact, rel=1e-9)


def test_ssim_agrees_with_another_implementation() -> None:
    a, b = noise(1, 3, 24, 20), noise(1, 3, 24, 20, seed=1)
    b = 0.6 * a + 0.4 * b

    def local(x: np.ndarray) -> np.ndarray:  # an 11-pixel window: truncated at 3.5 times 1.5
        return gaussian_filter(x, 1.5, truncate=3.5)[5:-5, 5:-5]

    found = []
    for x, y in zip(a[0].numpy(), b[0].numpy(), strict=True):
        mx, my = local(x), local(y)
        vx, vy, cov = local(x * x) - mx**2, local(y * y) - my**2, local(x * y) - mx * my
        top = (2 * mx * my + 1e-4) * (2 * cov + 9e-4)
        found.append((top / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))).mean())
    assert float(ssim(a, b)) == pytest.approx(np.mean(found), rel=1e-9)


def test_ssim_is_symmetric_and_refuses_what_it_cannot_take() -> None:
    a, b = noise(1, 3, 16, 16), noise(1, 3, 16, 16, seed=2)
    torch.testing.assert_close(ssim(a, b), ssim(b, a))
    with pytest.raises(ValueError, match="at least 11"):
        ssim(a[..., :8], b[..., :8])
    with pytest.raises(ValueError, match="shapes"):
        ssim(a, b[..., :12])


# Sharpness and ghosting


def test_sharpness_of_a_ramp_is_its_slope() -> None:
    ramp = torch.linspace(0, 1, 11, dtype=torch.float64).expand(1, 3, 11, 11)
    assert float(sharpness(ramp)) == pytest.approx(0.5 * 0.1)


def test_a_true_cross_fade_is_all_ghost() -> None:
    frames = cross_fade()
    torch.testing.assert_close(
        ghosting(frames[1:-1], frames[[0, -1]]), torch.ones(3, dtype=torch.float64)
    )


def test_a_repeated_end_is_no_ghost() -> None:
    frames = cross_fade()
    assert ghosting(frames[[0, 0, -1]], frames[[0, -1]]).tolist() == [0, 0, 0]


@given(offset=st.floats(0.05, 3.0), weight=st.floats(0.05, 0.95))
def test_ghosting_falls_with_what_is_new(offset: float, weight: float) -> None:
    a, b, c = torch.eye(12, dtype=torch.float64)[:3].reshape(3, 1, 3, 2, 2)
    frame = (1 - weight) * a + weight * b + offset * c
    nearer = 2 * min(weight, 1 - weight) ** 2
    exact = nearer / (nearer + offset**2)
    assert float(ghosting(frame, torch.cat([a, b]))) == pytest.approx(exact, rel=1e-9)


def test_pictures_of_a_known_strip() -> None:
    frames = cross_fade()
    scores = Pictures()(strip_of(frames, ends=frames[[0, -1]] + 0.1))
    assert scores["end PSNR"] == pytest.approx(20.0)
    assert scores["ghosting"] == pytest.approx(1.0)
    assert 0.7 < scores["sharpness"] < 1
    assert set(scores) == {q.name for q in Pictures().quantities}


# Pacing


def test_equal_steps_undo_any_pace() -> None:
    t = torch.linspace(0, 1, 401, dtype=torch.float64)
    features = torch.stack([t**3, torch.zeros_like(t)], 1)
    times = equal_steps(t, features, 5)
    torch.testing.assert_close(
        times, torch.linspace(0, 1, 5, dtype=torch.float64) ** (1 / 3), atol=2e-3, rtol=0
    )
    assert nearest_frames(features, 3) == [0, round(400 * 0.5 ** (1 / 3)), 400]


def test_a_path_that_stands_still_keeps_its_parameters() -> None:
    still = torch.ones(5, 2)
    even = torch.linspace(0, 1, 5, dtype=torch.float64)
    torch.testing.assert_close(equal_steps(even, still, 3), even[::2])
    assert math.isnan(
        FeatureLength()(Strip(noise(5, 3, 8, 8), noise(2, 3, 8, 8), still))["largest step"]
    )


def test_feature_length_of_a_right_angle() -> None:
    corner = torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]])
    scores = FeatureLength()(Strip(noise(3, 3, 8, 8), noise(2, 3, 8, 8), corner))
    assert scores["feature length"] == pytest.approx(7 / 5)
    assert scores["largest step"] == pytest.approx(4 / 3.5)


# Perceptual path


@dataclass(frozen=True)
class MeanGap(PerceptualDistance):
    """|mean(a) - mean(b)|."""

    @property
    def name(self) -> str:
        return "gap of means"

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        return (a.flatten(1).mean(1) - b.flatten(1).mean(1)).abs()


def test_ppl_and_pdv_of_a_known_sequence() -> None:
    levels = torch.tensor([0.0, 0.1, 0.4, 0.5], dtype=torch.float64)
    frames = levels[:, None, None, None].expand(4, 3, 12, 12)
    scores = PerceptualPath(MeanGap())(strip_of(frames, ends=frames[[0, -1]] + 0.25))
    assert scores["PPL"] == pytest.approx(0.5)
    assert scores["PDV"] == pytest.approx(np.var([0.1, 0.3, 0.1]))
    assert scores["end LPIPS"] == pytest.approx(0.25)


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
    assert len(names) + len(found.measures) + (found.inception is not None) == 4
    assert all(s.remedy and s.reason for s in found.skipped)
    with pytest.raises(ValueError, match="no folder"):
        external_measures(tmp_path / "missing")


def test_weights_are_never_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(net: str, verbose: bool) -> None:
        torch.hub.load_state_dict_from_url("https://example.invalid/alexnet.pth", progress=False)

    fake = ModuleType("lpips")
    fake.LPIPS = build  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lpips", fake)
    before = torch.hub.get_dir(), torch.hub.download_url_to_file
    skipped = {s.name: s for s in external_measures(tmp_path).skipped}
    assert "alexnet.pth are not in" in skipped["PPL, PDV, end LPIPS"].reason
    assert (torch.hub.get_dir(), torch.hub.download_url_to_file) == before
    (tmp_path / "checkpoints").mkdir(exist_ok=True)
    torch.save({"w": torch.ones(2)}, tmp_path / "checkpoints" / "there.pth")
    with offline(tmp_path):
        loaded = torch.hub.load_state_dict_from_url("https://example.invalid/there.pth")
    torch.testing.assert_close(loaded["w"], torch.ones(2))


# Samples


def test_frechet_distance_of_gaussians_is_exact() -> None:
    random = np.random.default_rng(0)
    a, b = random.uniform(0.5, 2, 4), random.uniform(0.5, 2, 4)
    gap = random.normal(size=4)
    exact = (gap**2).sum() + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    basis = np.linalg.qr(random.normal(size=(4, 4)))[0]

    def turned(v: np.ndarray) -> np.ndarray:
        return basis @ np.diag(v) @ basis.T

    assert frechet_distance(gap, turned(a), 0 * gap, turned(b)) == pytest.approx(exact, rel=1e-12)


def test_frechet_distance_agrees_with_the_matrix_square_root() -> None:
    from scipy.linalg import sqrtm

    random = np.random.default_rng(1)
    x, y = random.normal(size=(40, 5)), random.normal(size=(30, 5)) @ random.normal(size=(5, 5))
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    exact = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a + b - 2 * np.real(sqrtm(a @ b)))
    assert frechet(x, y) == pytest.approx(exact, rel=1e-8)
    assert frechet(x, x) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_takes_fewer_items_than_coordinates() -> None:
    x = np.random.default_rng(2).normal(size=(5, 30))
    assert frechet(x, x + 1.0) == pytest.approx(30.0, rel=1e-6)


def test_kernel_distance_is_the_double_sum() -> None:
    random = np.random.default_rng(3)
    x, y = random.normal(size=(6, 4)), random.normal(size=(5, 4)) + 0.3

    def k(p: np.ndarray, q: np.ndarray) -> float:
        return float((p @ q / 4 + 1) ** 3)

    own = [
        np.mean([k(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j])
        for s in (x, y)
    ]
    exact = sum(own) - 2 * np.mean([[k(p, q) for q in y] for p in x])
    assert kernel_distance(x, y) == pytest.approx(exact, rel=1e-10)


def test_the_two_sample_test_finds_what_is_there_and_nothing_else() -> None:
    random = np.random.default_rng(4)
    groups = np.repeat(np.arange(40), 5)
    centre = random.normal(size=(40, 12))[groups]  # pairs differ far more than the samples do
    a, b = (centre + random.normal(size=(200, 12)) for _ in range(2))
    assert 0.42 < two_sample_accuracy(a, b, groups, groups) < 0.58
    shifted = b + 3.0 * np.eye(12)[0]
    assert two_sample_accuracy(a, shifted, groups, groups) > 0.8
    again = [two_sample_accuracy(a, shifted, groups, groups, seed=1) for _ in range(2)]
    assert again[0] == again[1]
    with pytest.raises(ValueError, match="at least 2"):
        two_sample_accuracy(a, b, 0 * groups, 0 * groups)


def test_bad_samples_are_refused() -> None:
    x = np.zeros((4, 3))
    with pytest.raises(ValueError, match="same coordinates"):
        frechet(x, np.zeros((4, 2)))
    with pytest.raises(ValueError, match="at least 2 items"):
        kernel_distance(x[:1], x)


# Statistics


def test_bootstrap_intervals_cover() -> None:
    random = np.random.default_rng(5)
    trials, hits = 300, 0
    for k in range(trials):
        found = mean_estimate((random.exponential(size=40) + 1).tolist(), seed=k, resamples=400)
        hits += found.low <= 2.0 <= found.high
    assert 0.89 <= hits / trials <= 0.98


def test_estimates_are_deterministic_and_leave_out_what_is_missing() -> None:
    values = [1.0, 2.0, math.nan, 3.0]
    assert mean_estimate(values, seed=3) == mean_estimate(values, seed=3)
    assert mean_estimate(values).count == 3
    assert mean_estimate(values).value == 2.0
    assert mean_estimate([]).count == 0
    assert math.isnan(mean_estimate([4.0]).low)


def test_win_rates_are_paired() -> None:
    a, b = [1.0, 2.0, 3.0, math.nan, 5.0], [0.0, 2.0, 4.0, 1.0, 1.0]
    higher = win_rate(a, b, Better.HIGHER)
    assert (higher.value, higher.count) == (2.5 / 4, 4)
    assert win_rate(a, b, Better.LOWER).value == 1.5 / 4
    random = np.random.default_rng(6)
    base = 10 * random.normal(size=80)  # a small gain that only pairing shows
    better = base + 0.3 + 0.5 * random.normal(size=80)
    found = win_rate(better.tolist(), base.tolist(), Better.HIGHER)
    assert found.low > 0.5
    chance = np.asarray(wilcoxon(better, base))[1]
    assert chance < 0.05
    with pytest.raises(ValueError, match="does not rank"):
        win_rate(a, b, Better.NEITHER)
    with pytest.raises(ValueError, match="expected pairs"):
        win_rate(a, b[:3], Better.LOWER)


def test_a_strip_must_fit_together() -> None:
    frames = cross_fade()
    with pytest.raises(ValueError, match="at least 3"):
        strip_of(frames[:2])
    with pytest.raises(ValueError, match="one size"):
        strip_of(frames, ends=frames[:2, :, :8])
    with pytest.raises(ValueError, match="features of 4"):
        Strip(frames, frames[:2], torch.zeros(4, 2))
