"""Distances and densities of images on a tiny random pipeline."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from diffusion_geodesics.apps.densities import densities
from diffusion_geodesics.apps.distances import Distances, DistanceSettings, distances
from diffusion_geodesics.apps.distances_told import short_names
from diffusion_geodesics.apps.gallery import Place
from diffusion_geodesics.distance import embed
from diffusion_geodesics.likelihood import Hutchinson
from diffusion_geodesics.models import StableDiffusionModel
from diffusion_geodesics.report.distance_plots import heat_map
from tests.tiny_pipelines import tiny_pipeline

PLACE = Place(level=0.25, steps=8)
QUICK = DistanceSettings(PLACE, intervals=(8,), max_steps=10, batch=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusionModel:
    return StableDiffusionModel.from_pipeline(tiny_pipeline(tmp_path_factory.mktemp("tokenizer")))


@pytest.fixture(scope="module")
def images() -> list[Tensor]:
    noise = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    return list(torch.nn.functional.interpolate(noise, size=(32, 32), mode="bicubic").clamp(0, 1))


@pytest.fixture(scope="module")
def done(model: StableDiffusionModel, images: list[Tensor]) -> Distances:
    return distances(model, images, QUICK)


def test_a_folder_with_everything(done: Distances, tmp_path: Path) -> None:
    written = done.save(tmp_path / "out")
    assert written.files == (
        "distances.csv",
        "distances.safetensors",
        "embedding.svg",
        "heatmap.svg",
        "report.html",
        "result.json",
    )
    result = json.loads((written.folder / "result.json").read_text())
    assert set(result["files"]) == set(written.files)
    assert np.allclose(result["distances"], done.matrix.values.numpy())
    rows = list(csv.DictReader((written.folder / "distances.csv").read_text().splitlines()))
    assert [(r["a"], r["b"]) for r in rows] == [
        ("image 1", "image 2"),
        ("image 1", "image 3"),
        ("image 2", "image 3"),
    ]
    assert float(rows[1]["distance"]) == pytest.approx(float(done.matrix.values[0, 2]), rel=1e-9)
    page = (written.folder / "report.html").read_text()
    assert page.count("<svg") == 2
    assert "http-equiv" in page
    with pytest.raises(FileExistsError):
        done.save(tmp_path / "out")
    done.save(tmp_path / "out", overwrite=True)


def test_the_sphere_has_the_mean_norm(done: Distances) -> None:
    norm = float(done.gallery.latents.norm(dim=1).mean())
    assert done.manifold.curvature == pytest.approx(norm**-2)
    assert done.matrix.alpha * done.dim == pytest.approx(1.0)


def test_densities(model: StableDiffusionModel, images: list[Tensor]) -> None:
    told: list[str] = []
    found = densities(
        model,
        images[:2],
        PLACE,
        trace=Hutchinson(2),
        rtol=3e-2,
        on_event=lambda event: told.append(event.stage),
    )
    assert not found.of_pixels
    assert found.density.bin_width == 1
    rows = found.rows()
    assert [r["name"] for r in rows] == ["image 1", "image 2"]
    assert bool(found.density.log_prob.isfinite().all())
    assert found.ledger["flow"].rows == found.density.score_evals
    assert {"encode", "invert", "flow"} <= set(told)
    assert json.dumps(found.as_dict())


def test_images_that_cannot_be_used(model: StableDiffusionModel, images: list[Tensor]) -> None:
    with pytest.raises(ValueError, match="two images"):
        distances(model, images[:1])
    with pytest.raises(ValueError, match="one image"):
        densities(model, [])
    with pytest.raises(ValueError, match="images 1 and 3 .* identical"):
        distances(model, [images[0], images[1], images[0]])
    with pytest.raises(ValueError, match="level is 0"):
        Place(level=0.0)
    with pytest.raises(ValueError, match="strength"):
        DistanceSettings(strength=-1.0)


def test_embedding_keeps_the_distances_of_a_plane() -> None:
    x = torch.randn(6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = embed(torch.cdist(x, x))
    torch.testing.assert_close(
        torch.cdist(found.positions, found.positions), torch.cdist(x, x), rtol=1e-9, atol=1e-9
    )
    assert found.share == pytest.approx(1.0)
    with pytest.raises(ValueError, match="finite"):
        embed(torch.full((2, 2), torch.inf))


def test_names() -> None:
    assert short_names(("a/x.png", "b/x.png", "y.jpg")) == ["x (1)", "x (2)", "y"]
    with pytest.raises(ValueError, match="1 names for 2"):
        heat_map(torch.ones(2, 2), ["a"])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["distance", "a.png", "-o", "out"], "at least two images"),
        (["distance", "a.png", "a.png", "-o", "out"], "identical"),
        (["distance", "a.png", "note.txt", "-o", "out"], "not an image"),
        (["density", "gone.png"], "does not exist"),
        (["density", "a.png", "--probes", "4"], "multiple of 3"),
    ],
)
@pytest.mark.slow  # each starts an interpreter
def test_wrong_input_gets_one_line(tmp_path: Path, arguments: list[str], complaint: str) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    (tmp_path / "note.txt").write_text("hello")
    ran = subprocess.run(
        [sys.executable, "-m", "diffusion_geodesics", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    errors = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, ran.stderr
    assert complaint in errors[0]
    assert not (tmp_path / "out").exists()
