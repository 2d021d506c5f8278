"""Every benchmark runs from end to end: on tiny sizes, with a model whose answers are known."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import batches, clips, cost, endpoints, extrapolation, startup
from benchmarks.evidence import __main__ as evidence
from benchmarks.evidence.pairs import Kind
from benchmarks.evidence.plan import Study
from benchmarks.record import ROOT
from diffusion_geodesics.comparison.settings import ComparisonSettings
from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings
from diffusion_geodesics.models import FunctionModel
from diffusion_geodesics.video.settings import VideoSettings
from tests.gaussian_model import gaussian_model
from training.clips import Law, Motion

pytestmark = pytest.mark.whole

Loads = Callable[[str, FunctionModel], None]
ENTRIES = (
    "batches", "clips", "cost", "distances", "draft", "endpoints", "evidence", "extrapolation",
    "foreign", "matching", "real", "solvers", "startup",
)  # fmt: skip


@pytest.fixture(scope="module")
def model() -> FunctionModel:
    return gaussian_model(spread=0.4)


@pytest.fixture(scope="module")
def larger() -> FunctionModel:
    """Of as many pixels as images are pooled to."""
    return gaussian_model(32, 32, spread=0.4)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    """Put a model in the place of any that a benchmark loads."""
    return lambda name, model: monkeypatch.setattr(
        f"benchmarks.{name}.load_model", lambda asked, **options: model
    )


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_is_a_command(name: str) -> None:
    found = importlib.import_module(f"benchmarks.{name}")
    if hasattr(found, "__path__"):
        found = importlib.import_module(f"benchmarks.{name}.__main__")
    assert f"python -m benchmarks.{name}" in (found.__doc__ or "")
    assert callable(found.main)


def test_every_entry_is_known() -> None:
    folder = ROOT / "benchmarks"
    modules = {f.stem for f in folder.glob("*.py")} | {f.parent.name for f in folder.glob("*/*.py")}
    assert modules - {"__init__", "record", "rife", "benchmarks"} == set(ENTRIES)


@pytest.mark.slow
@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_has_help(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--help"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Usage:" in done.stdout


@pytest.mark.slow
def test_batches(model: FunctionModel, loads: Loads, tmp_path: Path) -> None:
    loads("batches", model)
    batches.main(pairs=20, engines=("here",), count=2, rounds=1, write=tmp_path)
    found = json.loads((tmp_path / "batches.json").read_text())
    (row,) = found["engines"]
    assert (row["pairs"], row["files"]) == (20, 2 * 20 + 1)
    assert row["of ideal"] <= 1
    assert row["driver, CPU ms/pair"] > 0 < row["its processes, CPU ms/pair"]
    assert [r["pairs in a batch"] for r in found["together"]] == [1, 2, 4, 8]
    whole, bare = found["one pair"]
    assert all(whole[name] > bare[name] > 0 for name in ("writing, CPU s", "files", "kB"))


def test_clips(model: FunctionModel, loads: Loads, tmp_path: Path) -> None:
    loads("clips", model)
    keep = tmp_path / "kept"
    clips.main(actors=1, settings=VideoSettings.of(steps=5), write=tmp_path, keep=keep)
    rows = json.loads((tmp_path / "clips.json").read_text())["rows"]
    assert [r["motion"] for r in rows] == [m.value for m in Motion]
    for row in rows:
        figures = row["figures"]
        assert set(figures) == set(clips.ORDER)
        assert figures["shuffled"]["deviation"] > figures["fast"]["deviation"]
        assert set(row["truth"]) == set(row["middle"]) == set(clips.PATHS)
        assert row["middle"]["geodesic"] > row["middle"]["slerp"]
    text = (tmp_path / "clips.md").read_text()
    assert "| all (3) | deviation |" in text
    again = keep.read_text()
    clips.main(actors=1, settings=VideoSettings.of(steps=5), keep=keep)  # finds all its rows
    assert keep.read_text() == again


def test_clips_count_what_they_spend(model: FunctionModel) -> None:
    settings = VideoSettings.of(window=clips.FRAMES, steps=5)
    row = clips.measure(model, 0, Motion.TURN, settings)
    decoded = 3 * clips.DECODED * 2  # two of five steps up to the level
    assert row.nfe > 2 * clips.FRAMES * 2 + decoded


def test_extrapolation(model: FunctionModel) -> None:
    settings = ExtrapolationSettings.of(
        frames=extrapolation.AHEAD + 1, steps=5, refinements=1, ray_steps=2, stop=False
    )
    rows, nfe = extrapolation.measure(model, 0, Motion.LIGHT, Law.SLOW, settings, starts=(0,))
    assert nfe > 0
    assert [(r.start, r.ahead) for r in rows] == [(0, k) for k in extrapolation.JUDGED]
    for row in rows:
        assert set(row.psnr) == set(row.ssim) == set(extrapolation.METHODS)
        assert row.latent[extrapolation.REPEAT] == row.latent[extrapolation.CODEC] == 1
        assert row.psnr["truth (codec)"] > row.psnr[extrapolation.CODEC]
        # the codec loses nothing, and a slow motion is nearly straight
        assert row.psnr[extrapolation.CLEAN] > row.psnr[extrapolation.REPEAT] + 3
        assert row.latent[extrapolation.CIRCLE] < 0.8
    text = extrapolation.page(rows + [replace(r, law=Law.FAST.value) for r in rows])
    assert "## slow clips, 4 ahead (1 windows)" in text
    assert "| great circle |" in text


def test_cost(model: FunctionModel, loads: Loads, tmp_path: Path) -> None:
    loads("cost", model)
    names = tuple(cost.variants(text=False))
    cost.main(pairs_of_heads=0, settings=(names[0], *names[3:5]), steps=5, write=tmp_path)
    rows = {r["settings"]: r for r in json.loads((tmp_path / "cost.json").read_text())}
    ours = rows["ours, default"]
    assert ours["exact"] < 1  # shorter than slerp in its own metric
    assert ours["film_nfe"] < ours["nfe"]
    assert 0 < ours["solver_nfe"] < ours["film_nfe"]
    for name in ("ours, in their metric", "published, our solver"):
        assert rows[name]["published"] <= 1 + 1e-6
    assert "| examples | ours, default |" in (tmp_path / "cost.md").read_text()


def test_endpoints(model: FunctionModel, loads: Loads, tmp_path: Path) -> None:
    loads("endpoints", model)
    endpoints.main(images=2, only=3, write=tmp_path)
    lines = (tmp_path / "endpoints.md").read_text().splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| portraits")]
    plain, refined, coarse = ([float(x) for x in row[6:8]] for row in rows)
    assert refined[0] > plain[0]  # refinements keep ends
    assert rows[0][2] == "20"  # 0.4 of 50 steps, no refinement
    assert coarse[0] > plain[0]


def test_startup(capsys: pytest.CaptureFixture[str]) -> None:
    nothing, imported = startup.measure(1, ("an empty program", startup.IMPORT))
    assert all(0 <= float(row[1]) < 1 for row in (nothing, imported))  # with torch it is above 1
    assert len(capsys.readouterr().out.splitlines()) == 2
    with pytest.raises(ValueError, match="at least 1"):
        startup.measure(0)


def test_evidence(larger: FunctionModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The whole of the rendered part on one pair, in this process."""
    monkeypatch.setattr("benchmarks.evidence.work.model", lambda: larger)
    monkeypatch.setattr("benchmarks.evidence.density.model", lambda: larger)
    monkeypatch.setattr("benchmarks.evidence.work.KEPT", tmp_path / "kept")
    monkeypatch.setattr(evidence, "processes", ThreadPoolExecutor)
    monkeypatch.setattr(evidence, "PLACE", tmp_path / "results")
    settings = ComparisonSettings.of(frames=5, steps=5)
    methods = ("slerp", "natural")
    studies = [
        Study("main", "What?", methods, settings, 1, (Kind.TURN,), truth=True),
        Study("level 0.4", "Along", methods, settings, 1, (Kind.TURN,), truth=True, along=True),
    ]
    found = evidence.rendered(studies, 1, tmp_path)
    assert (tmp_path / "evidence-strips.png").is_file()
    main, level = (s["rows"] for s in found["studies"] if s["group"] == "all pairs")
    best = {row["method"]: row["values"] for row in main}
    assert best["truth"]["coverage"]["mean"] > 0.9 > best["slerp"]["coverage"]["mean"]
    assert "log p middle" in level[1]["values"]
    assert "log p middle" not in main[1]["values"]
    assert set(found["densities"]["means"]) == {row["method"] for row in level}
    text = evidence.page_of({**found, "quick": True, "short": None}, None)
    assert "These are the results of a quick run" in text
    assert "## The main study: 1 pair at level 0.4" in text
