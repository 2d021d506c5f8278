"""Colours of videos: matrices, wide primaries, high dynamic range."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from diffusion_geodesics.clips import ClipError, open_clip
from diffusion_geodesics.clips._colour import tone_mapped
from tests.clips.films import FAULTS, Coding, as_bytes, corner, film, first, ramp

PQ, HLG, BT2020, P3 = 16, 18, 9, 12


def flat(folder: Path, signal: Sequence[float], **tags: object) -> torch.Tensor:
    """What a film of one 16-bit RGB colour is read as, (3,)."""
    frames = np.empty((2, 32, 48, 3), dtype=np.uint16)
    frames[:] = np.round(np.array(signal) * 65535)
    coding = Coding("ffv1", "gbrp16le", "rgb48le", tags={"color_range": 2, **tags})
    image = first(open_clip(film(folder / "a.mkv", frames, coding)))
    assert float(image.std((1, 2)).max()) < 1e-5
    return image[:, 0, 0]


def pq(light: float) -> float:
    """Signal of a light in cd/m² (SMPTE ST 2084)."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    power = (light / 10_000) ** m1
    return ((c1 + c2 * power) / (1 + c3 * power)) ** m2


def srgb(light: float) -> float:
    return 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


@pytest.mark.parametrize("light", [0.0, 0.5, 5.0, 20.0, 60.0])
def test_the_dark_part_of_pq_is_kept(tmp_path: Path, light: float) -> None:
    found = flat(tmp_path, (pq(light),) * 3, color_trc=PQ, color_primaries=BT2020)
    assert found.tolist() == pytest.approx([srgb(light / 203)] * 3, abs=2e-3)


def test_highlights_of_pq_roll_off(tmp_path: Path) -> None:
    lights = [100.0, 203.0, 400.0, 700.0, 1000.0, 4000.0]
    found = [
        flat(tmp_path, (pq(light),) * 3, color_trc=PQ, color_primaries=BT2020) for light in lights
    ]
    grays = [float(colour.mean()) for colour in found]
    assert all(float(colour.std()) < 2e-3 for colour in found)
    assert grays[:5] == sorted(grays[:5])
    assert 0.8 < grays[1] < 0.9  # reference white leaves room for what is brighter
    assert grays[4] == pytest.approx(1.0, abs=2e-3)
    assert grays[5] == pytest.approx(1.0, abs=1e-4)


def test_the_curve_is_smooth_and_keeps_hue() -> None:
    light = torch.linspace(0.01, 4.9, 2000)[:, None] * torch.tensor([1.0, 0.5, 0.25])
    mapped = tone_mapped(light)
    torch.testing.assert_close(mapped / mapped[:, :1], (light / light[:, :1]))
    slope = mapped[:, 0].diff() / light[:, 0].diff()
    assert bool((slope > 0).all())
    assert bool((slope.diff().abs() < 0.02).all())
    assert float(slope[0]) == pytest.approx(1.0, abs=1e-3)


def test_hlg_agrees_with_pq_on_reference_white(tmp_path: Path) -> None:
    # BT.2408: diffuse white of 203 cd/m² is 58% of PQ and 75% of HLG.
    a = flat(tmp_path, (0.75,) * 3, color_trc=HLG, color_primaries=BT2020)
    b = flat(tmp_path, (pq(203.0),) * 3, color_trc=PQ, color_primaries=BT2020)
    torch.testing.assert_close(a, b, atol=5e-3, rtol=0)
    black = flat(tmp_path, (0.0,) * 3, color_trc=HLG, color_primaries=BT2020)
    assert black.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("primaries", "name"), [(BT2020, "BT.2020"), (P3, "Display P3")])
def test_wide_colours_are_brought_to_srgb(tmp_path: Path, primaries: int, name: str) -> None:
    gray = flat(tmp_path, (0.5,) * 3, color_primaries=primaries, color_trc=1)
    assert float(gray.std()) < 2e-3
    dull = flat(tmp_path, (0.5, 0.3, 0.3), color_primaries=primaries, color_trc=1)
    plain = flat(tmp_path, (0.5, 0.3, 0.3), color_primaries=1, color_trc=1)
    assert float(dull[0] - dull[1]) > float(plain[0] - plain[1]) + 0.01
    clip = open_clip(
        film(
            tmp_path / "b.mkv",
            corner(),
            Coding("ffv1", "yuv444p", tags={"color_primaries": primaries, "color_trc": 1}),
        )
    )
    assert clip.notes == (f"its colours were brought from {name} to sRGB",)


def test_high_dynamic_range_is_said_and_upright(tmp_path: Path) -> None:
    tags = {"color_trc": PQ, "color_primaries": BT2020, "colorspace": 9}
    for pixels in ("yuv420p10le", "yuva444p10le"):
        clip = open_clip(film(tmp_path / "a.mkv", corner(), Coding("ffv1", pixels, tags=tags)))
        assert any("(PQ) was tone-mapped to sRGB" in note for note in clip.notes)
        image = first(clip)
        assert image.shape == (3, 32, 48)
        assert 0.0 <= float(image.min()) <= float(image.max()) <= 1.0


@pytest.mark.parametrize(
    ("matrix", "name"),
    [
        (8, "YCgCo"),
        (10, "BT.2020 constant luminance"),
        (11, "ST 2085"),
        (13, "constant luminance"),
        (14, "ICtCp"),
        (15, "Dolby Vision"),
    ],
)
def test_other_colour_systems_are_refused_by_name(tmp_path: Path, matrix: int, name: str) -> None:
    path = film(
        tmp_path / "a.mkv", corner(), Coding("ffv1", "yuv444p", tags={"colorspace": matrix})
    )
    with pytest.raises(ClipError, match=name) as caught:
        open_clip(path)
    assert "a.mkv" in str(caught.value)
    assert "re-encode it as BT.709" in str(caught.value)


@pytest.mark.parametrize(("transfer", "name"), [(8, "linear"), (9, "logarithmic"), (17, "DCI")])
def test_other_transfer_functions_are_refused_by_name(
    tmp_path: Path, transfer: int, name: str
) -> None:
    coding = Coding("ffv1", "yuv444p", tags={"color_trc": transfer})
    with pytest.raises(ClipError, match=name):
        open_clip(film(tmp_path / "a.mkv", corner(), coding))


@pytest.mark.parametrize("matrix", [1, 5, 6, 7, 9])
def test_the_matrix_that_is_named_is_used(tmp_path: Path, matrix: int) -> None:
    # FFmpeg writes with the matrix of BT.601, so that only 5 and 6 give back what was written.
    coding = Coding("ffv1", "yuv444p", tags={"colorspace": matrix})
    clip = open_clip(film(tmp_path / "a.mkv", corner(), coding))
    error = float((first(clip) * 255 - torch.from_numpy(corner()[0]).permute(2, 0, 1)).abs().mean())
    assert (error < 2.0) == (matrix in (5, 6))
    assert clip.notes == ()


def test_standard_colours_are_as_they_were(tmp_path: Path) -> None:
    clip = open_clip(film(tmp_path / "a.mp4", as_bytes(ramp())))
    images = torch.stack([p.load().clone() for p in clip.pictures(None)])
    assert float((images - ramp()).abs().mean()) < 0.02
    assert clip.notes == ()


@pytest.mark.skipif(not FAULTS.is_dir(), reason="the shared faults are not here")
def test_the_fault_that_was_found() -> None:
    assert any("(PQ)" in note for note in open_clip(FAULTS / "hdr_pq.mp4").notes)
