"""What the examples of arrays share: paths, tables, and folders that are theirs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import diffusion_geodesics as dg
from tests.examples.running import load, run

shared = load("array_paths")


@pytest.mark.filterwarnings("ignore:The inverted latents")  # a Gaussian as broad as the noise
def test_paths_join_the_arrays() -> None:
    """Under a Gaussian, whose denoiser is known, all paths begin and end at the data,
    up to the noise of 0.02 from which inversions start."""
    model = dg.from_denoiser(lambda x, sigma: x * 0.25 / (0.25 + sigma**2), (2, 5))
    torch.manual_seed(0)
    a, b = 0.5 * torch.randn(2, 3, 2, 5)
    found = shared.in_betweens(model, 0.4, a, b, 1.0)
    assert list(found) == ["geodesic", "lerp", "slerp", "blend"]
    for name, x in found.items():
        assert x.shape == (17, 3, 2, 5)
        torch.testing.assert_close(x[0], a, atol=0.08, rtol=0.01, msg=name)
        torch.testing.assert_close(x[-1], b, atol=0.08, rtol=0.01, msg=name)
    torch.testing.assert_close(found["blend"][8], (a + b) / 2)
    middle = found["geodesic"][8].flatten(1).norm(dim=1)  # towards the centre, where p is larger
    assert (middle < found["slerp"][8].flatten(1).norm(dim=1)).all()


def test_the_table_has_means_intervals_and_differences() -> None:
    base = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    lines = shared.table({"error": {"geodesic": base, "lerp": base + 0.5}}).splitlines()
    assert lines[0] == "| path | error |"
    assert lines[2].startswith("| geodesic | 2.500 (1.")
    assert lines[3].startswith("| lerp | 3.000 (")
    assert lines[4] == "| geodesic minus lerp | -0.500 (-0.500 to -0.500) |"
    mean, low, high = shared.interval(base)
    assert 1 < low < mean == 2.5 < high < 4


@pytest.mark.parametrize("name", ["sound", "shapes"])
def test_a_folder_of_others_is_left_alone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "figures.json"
    kept.write_text('{"example": "another"}')
    with pytest.raises(SystemExit, match=f"holds something else than {name}'s output"):
        run(name, ["-o", str(tmp_path), "--quick"], monkeypatch)
    assert [p.name for p in tmp_path.iterdir()] == ["figures.json"]
