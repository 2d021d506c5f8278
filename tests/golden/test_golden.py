"""Nothing that was measured before the redesign has changed: figures and frames of version 0.1.

``figures.json`` and ``frames.safetensors`` were recorded with version 0.1 (commit 7f028bb) on the
example portraits at 32 pixels, 10 steps and 5 frames; the natural morph anew when its
correspondences changed (commit aec0b2f), when it was bent with fewer nodes (2 levels of 256), and
when mixtures changed (1 level).
Its frames are compared as the network's samples everywhere, as they were then.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics import (
    extrapolate,
    image_densities,
    image_distances,
    interpolate,
    load_model,
)
from diffusion_geodesics.directions import Past

pytestmark = pytest.mark.whole

HERE = Path(__file__).parent
EXAMPLES = Path(__file__).parents[2] / "examples"
PORTRAITS = (EXAMPLES / "portrait_a.png", EXAMPLES / "portrait_b.png")
FIGURES: dict[str, Any] = json.loads((HERE / "figures.json").read_text())
THEN: dict[str, Any] = {"size": 32, "steps": 10, "refinements": 4}
"""Version 0.1 refined inversions twice as often in all jobs but interpolation."""

CASES: dict[str, dict[str, Any]] = {
    "natural": {"allow_atypical": True, "excess": 0.0},
    "uncarried": {"path": "geodesic", "allow_atypical": True},
    "slerp": {"path": "slerp"},
    "hlerp": {"path": "hlerp"},
    "flat": {"path": "geodesic", "flat": True, "strength": 0.3, "allow_atypical": True},
    "prompts": {
        "path": "geodesic",
        "prompt": ("a head with red hair", "a head with blue hair"),
        "negative": "blurry",
        "score": "ratio",
        "guidance": 2.0,
        "allow_atypical": True,
    },
    "pad": {
        "path": "geodesic",
        "spacing": "metric",
        "size": (32, 64),
        "allow_atypical": True,
    },
}


@cache
def recorded_frames() -> dict[str, Tensor]:
    return load_file(HERE / "frames.safetensors")


def assert_same_frames(found: Tensor, name: str) -> None:
    """Equal to one level of 256."""
    levels = (found * 255).round().to(torch.int16)
    assert int((levels - recorded_frames()[name].to(torch.int16)).abs().max()) <= 1


@pytest.mark.parametrize("name", CASES)
def test_films(name: str) -> None:
    old = FIGURES[name]
    settings = {"frames": 5, "size": 32, "steps": 10, **CASES[name]}
    new = interpolate(load_model("embedded"), PORTRAITS, **settings)
    assert_same_frames(new.frames, name)
    segment = new.segments[0]
    assert_close(new.times.tolist(), old["times"], atol=1e-6, rtol=0)
    assert_close(new.log_density.tolist(), old["log_density"], atol=1e-4, rtol=1e-6)
    assert_close(list(new.keyframe_psnr), old["psnr"], atol=1e-2, rtol=0)
    if segment.profile.comparable:
        own = old["lengths"][segment.profile.name]
        assert segment.profile.length == pytest.approx(own, rel=1e-6)
    if "slerp" in segment.lengths:  # measured at 17 points; version 0.1 took 33
        assert segment.lengths["slerp"] == pytest.approx(old["lengths"]["slerp"], rel=1e-3)
    if old["distance"] is not None:
        assert segment.distance == pytest.approx(old["distance"], rel=1e-6)
    else:
        assert segment.distance is not None
        far = FIGURES["uncarried"]["distance"]
        assert segment.distance == pytest.approx(far, abs=segment.distance_error, rel=1e-3)
    stages = {stage: cost.nfe for stage, cost in new.costs.stages}
    film = [stage for stage in ("invert", "match", "solve", "decode") if stage in stages]
    assert {stage: stages[stage] for stage in film} == {
        stage: old["nfe"]["stages"][stage]["rows"] for stage in film
    }


def test_distance_and_density() -> None:
    model = load_model("embedded")
    distances = image_distances(model, PORTRAITS, **THEN)
    found = float(distances.matrix.values[0, 1])
    assert found == pytest.approx(FIGURES["distance"]["distance"], rel=1e-6)
    densities = image_densities(model, PORTRAITS, **THEN)
    recorded = torch.tensor(FIGURES["density"]["log_prob"], dtype=torch.float64)
    assert_close(densities.density.log_prob, recorded, rtol=1e-5, atol=1e-2)


def test_extrapolation() -> None:
    old = FIGURES["extrapolate"]
    found = extrapolate(load_model("embedded"), PORTRAITS[1], Past(PORTRAITS[0]), frames=4, **THEN)
    assert_same_frames(found.frames, "extrapolate")
    assert float(found.ray.arc[-1]) == pytest.approx(old["arc"], rel=1e-6)
    assert_close(found.ray.t[found.ray.frames].tolist(), old["t"], atol=1e-6, rtol=1e-6)
    shown = found.ray.log_density[found.ray.frames]
    assert_close(shown.tolist(), old["log_density"], atol=1e-4, rtol=1e-6)
