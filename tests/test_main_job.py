"""The main job on the model in the package: portraits, a turned head, and real photographs."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
import torch

from diffusion_geodesics.bvp import Result
from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.interpolation.result import InterpolationResult
from diffusion_geodesics.interpolation.settings import PathName
from diffusion_geodesics.models import DiffusionModel, load_model

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def model(device: torch.device) -> DiffusionModel:
    return load_model("embedded", device=device)


def _holds(morph: InterpolationResult, *, frames: int = 17) -> None:
    """What the documentation promises of every run with default settings."""
    assert len(morph.frames) == frames
    (segment,) = morph.segments
    solution = segment.solution
    assert solution is not None
    if solution.converged:
        assert float(solution.residual) < 1e-3
    else:
        assert solution.result in (Result.max_steps, Result.not_converged)
        assert float(solution.residual) < 0.1
        assert "not_converged" in [d.code for d in morph.warnings]
    if morph.settings.path is PathName.NATURAL:
        assert segment.matches is not None
    assert morph.distance is not None
    assert set(morph.lengths) == {"geodesic", "slerp"}
    if segment.geodesic is not None and segment.geodesic.converged:
        assert morph.lengths["geodesic"] <= morph.lengths["slerp"] * (1 + 1e-6)
    assert morph.costs["geodesic"].nfe <= 200
    assert morph.costs.total.nfe <= 670


@pytest.mark.parametrize("path", [PathName.NATURAL, PathName.GEODESIC])
def test_the_example_portraits(model: DiffusionModel, path: PathName) -> None:
    pair = [EXAMPLES / "portrait_a.png", EXAMPLES / "portrait_b.png"]
    morph = interpolate(model, pair, path=path)
    _holds(morph)
    (segment,) = morph.segments
    assert segment.solution is not None
    assert segment.solution.result is Result.converged
    assert morph.costs.total.nfe <= (450 if path is PathName.NATURAL else 420)
    assert min(morph.codec_psnr) > 29
    for own, best in zip(morph.keyframe_psnr, morph.codec_psnr, strict=True):
        assert own > best - 0.5
    assert not morph.warnings


@pytest.mark.slow
def test_a_head_turned_by_60_degrees(model: DiffusionModel) -> None:
    _holds(interpolate(model, [EXAMPLES / "turn_a.png", EXAMPLES / "turn_b.png"]))


@pytest.mark.slow
def test_photographs_run_and_are_warned_about(model: DiffusionModel, shared_data: Path) -> None:
    photos = sorted((shared_data / "photos").glob("*.png"))
    assert len(photos) > 2
    for a, b in combinations(photos, 2):
        morph = interpolate(model, [a, b], allow_atypical=True)
        _holds(morph)
        assert "foreign" in {d.code for d in morph.warnings}
