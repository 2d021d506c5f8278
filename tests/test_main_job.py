"""The main job on the shipped model: portraits, a turned head, and real photographs."""

from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path

import pytest
import torch

import diffusion_geodesics as dg
from diffusion_geodesics.models import DiffusionModel

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("DIFFUSION_GEODESICS_DATA", ROOT.parent / "shared" / "data"))
PHOTOS = sorted((DATA / "photos").glob("*.png"))


@pytest.fixture(scope="module")
def model(device: torch.device) -> DiffusionModel:
    return dg.load_model("embedded", device=device)


def _holds(morph: dg.Interpolation, *, frames: int = 17) -> None:
    """What the documentation promises of every run with default settings."""
    assert len(morph.frames) == frames
    assert morph.solution is not None
    if morph.solution.converged:
        assert float(morph.solution.residual) < 1e-3
    else:
        assert morph.solution.result in (dg.Result.max_steps, dg.Result.not_converged)
        assert float(morph.solution.residual) < 0.1
        assert any(morph.solution.result.message in w for w in morph.warnings)
    lengths = morph.lengths
    if morph.settings.carried:
        assert morph.matches is not None
        assert morph.distance is None
    else:
        assert morph.distance is not None
        assert lengths["geodesic"] <= lengths["slerp"] * (1 + 1e-6)
        assert lengths["geodesic"] <= lengths["lerp"] * (1 + 1e-6)
    assert morph.ledger.total.rows <= 900


@pytest.mark.parametrize("carried", [True, False])
def test_the_example_portraits(model: DiffusionModel, carried: bool) -> None:
    examples = ROOT / "examples"
    morph = dg.interpolate(
        model, examples / "portrait_a.png", examples / "portrait_b.png", carried=carried
    )
    _holds(morph)
    assert morph.solution is not None
    assert morph.solution.result is dg.Result.converged
    assert morph.ledger.total.rows <= (650 if carried else 600)
    assert min(morph.codec_psnr) > 29
    for end, best in zip(morph.endpoint_psnr, morph.codec_psnr, strict=True):
        assert end > best - 0.5
    assert not morph.warnings


@pytest.mark.slow
def test_a_head_turned_by_60_degrees(model: DiffusionModel) -> None:
    examples = ROOT / "examples"
    _holds(dg.interpolate(model, examples / "turn_a.png", examples / "turn_b.png"))


@pytest.mark.slow
@pytest.mark.skipif(not PHOTOS, reason=f"no photographs in {DATA}")
@pytest.mark.parametrize(
    ("a", "b"), list(combinations(PHOTOS, 2)), ids=lambda p: p.stem if isinstance(p, Path) else ""
)
def test_photographs_run_and_are_warned_about(model: DiffusionModel, a: Path, b: Path) -> None:
    morph = dg.interpolate(model, a, b, allow_atypical=True)
    _holds(morph)
    foreign = ("unlike what it was trained on", "densest latents are smooth images")
    assert any(words in w for w in morph.warnings for words in foreign)
