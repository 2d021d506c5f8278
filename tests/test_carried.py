"""Interpolations in the frame that is carried along correspondences: the default."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from safetensors.torch import load_file
from torch import Tensor
from torch.testing import assert_close
from typer.testing import CliRunner

import diffusion_geodesics as dg
from diffusion_geodesics.apps import Event, Family, Interpolation, Pace, Settings
from diffusion_geodesics.apps.carriage import carriage
from diffusion_geodesics.apps.chart import CarriedChart, FlatChart, ShellChart
from diffusion_geodesics.apps.estimate import estimate
from diffusion_geodesics.apps.evidence import Carried, Pair, compare, set_stage
from diffusion_geodesics.apps.settings import Estimate
from diffusion_geodesics.cli.methods import read_method
from diffusion_geodesics.cli.settings_options import with_settings
from diffusion_geodesics.models import FunctionModel, StableDiffusionModel, from_denoiser
from diffusion_geodesics.path import chord
from diffusion_geodesics.shell import STAGES
from tests.tiny_pipelines import tiny_pipeline

QUICK = Settings(steps=6, level=0.5, frames=3, max_steps=8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusionModel:
    return StableDiffusionModel.from_pipeline(tiny_pipeline(tmp_path_factory.mktemp("tokenizer")))


@pytest.fixture(scope="module")
def images() -> tuple[Tensor, Tensor]:
    """Not square."""
    noise = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    smooth = torch.nn.functional.interpolate(noise, size=(40, 64), mode="bicubic").clamp(0, 1)
    return smooth[0], smooth[1]


@pytest.fixture(scope="module")
def done(model: StableDiffusionModel, images: tuple[Tensor, Tensor]) -> Interpolation:
    return dg.interpolate(model, *images, QUICK)


@pytest.fixture(scope="module")
def still(model: StableDiffusionModel, images: tuple[Tensor, Tensor]) -> Interpolation:
    return dg.interpolate(model, *images, QUICK, carried=False)


def featureless(features: bool = False) -> FunctionModel:
    def mean(x: Tensor, sigma: float) -> Tensor:
        return x / (1 + sigma**2)

    return from_denoiser(mean, (3, 8, 12), features=(lambda x, sigma: (x,)) if features else None)


# Which runs are carried


def test_it_is_the_default_but_not_the_papers() -> None:
    assert Settings().carries
    assert not replace(Settings(), carried=False).carries
    assert not Settings.published().carries
    for family in (Family.SLERP, Family.LERP, Family.HLERP):
        assert not Settings(family=family).carries, "only geodesics bend about anything"


@pytest.mark.parametrize(
    ("arguments", "carried"), [([], True), (["--not-carried"], False), (["--published"], False)]
)
def test_the_option(arguments: list[str], carried: bool) -> None:
    seen: list[Settings] = []

    def command(settings: Settings) -> None:
        seen.append(settings)

    app = typer.Typer()
    app.command()(with_settings(command))
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0, ran.output
    assert seen[0].carried == carried


# What changes


def test_the_ends_are_as_without(done: Interpolation, still: Interpolation) -> None:
    assert done.endpoint_psnr == pytest.approx(still.endpoint_psnr, abs=1e-3)
    assert_close(done.frames[[0, -1]], still.frames[[0, -1]], rtol=0, atol=1e-4)
    assert float((done.frames[1] - still.frames[1]).abs().max()) > 1e-3
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    assert_close(done.chart.latent(t, done.path(t)), still.chart.latent(t, still.path(t)))


def test_the_frame_moves_over_the_shell(done: Interpolation, still: Interpolation) -> None:
    assert isinstance(done.chart, CarriedChart)
    assert isinstance(done.chart.still, ShellChart)
    assert isinstance(still.chart, ShellChart)
    assert done.matches is not None
    assert 0 < done.matches.moved < 1
    assert still.matches is None
    height, width = done.inputs.shape[2:]
    rows, columns = done.matches.displacement.shape[:2]
    assert height * columns == width * rows, "a grid over the whole image"


def test_there_is_no_distance_in_a_moving_frame(done: Interpolation, still: Interpolation) -> None:
    assert done.solution is not None
    assert done.distance is None
    assert isinstance(still.distance, float)
    assert set(done.lengths) == {"geodesic", "slerp", "lerp"}
    for name in ("slerp", "lerp"):
        assert done.lengths[name] == pytest.approx(still.lengths[name], rel=1e-6)
        own, other = (
            next(t for t in d.tracks if t.name == name).log_density for d in (done, still)
        )
        assert_close(own, other)


def test_without_strength_it_is_the_carried_path(
    model: StableDiffusionModel, images: tuple[Tensor, Tensor]
) -> None:
    settings = replace(QUICK, strength=0.0, pace=Pace.PARAMETER, allow_atypical=True)
    free = dg.interpolate(model, *images, settings)
    assert free.solution is not None
    assert free.solution.converged
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    corners = free.path(t[[0, -1]])
    arc = chord(corners[0], corners[1], free.chart.manifold)
    assert_close(free.path(t), arc(t), rtol=0, atol=1e-4)
    stage = set_stage(model, *images, settings)
    reel = Carried().reel(stage, "pair")
    assert reel.candidate is not None
    assert_close(reel.candidate.latent(t), free.chart.latent(t, free.path(t)), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [{"flat": True}, {"estimate": Estimate.SDS, "window_nodes": 2, "prompt_a": "ab"}],
    ids=["flat", "sds"],
)
def test_other_geometries_are_carried_as_well(
    model: StableDiffusionModel, images: tuple[Tensor, Tensor], changes: dict[str, Any]
) -> None:
    settings = replace(QUICK, max_steps=2, allow_atypical=True, compare=False, **changes)
    morph = dg.interpolate(model, *images, settings)
    assert isinstance(morph.chart, CarriedChart)
    assert isinstance(morph.chart.still, FlatChart) == settings.flat
    assert bool(morph.frames.isfinite().all())
    assert bool(morph.log_density.isfinite().all())


def test_it_is_deterministic_and_told(
    model: StableDiffusionModel, images: tuple[Tensor, Tensor], done: Interpolation
) -> None:
    seen: list[Event] = []
    again = dg.interpolate(model, *images, QUICK, on_event=seen.append)
    assert_close(again.frames, done.frames, rtol=0, atol=0)
    stages = list(dict.fromkeys(e.stage for e in seen))
    assert stages == ["encode", "invert", "match", "solve", "measure", "decode", "compare"]
    assert set(stages) <= set(STAGES), "every stage has a name for people"


# Cost


def test_rows_are_counted_and_foretold(
    model: StableDiffusionModel, done: Interpolation, still: Interpolation
) -> None:
    assert (done.ledger["match"].rows, done.ledger["match"].calls) == (24, 3)
    assert done.ledger["match"].seconds > 0
    assert [n for n, _ in still.ledger.stages] == [n for n, _ in done.ledger.stages if n != "match"]
    assert done.ledger["measure"].rows == still.ledger["measure"].rows + 33
    size = (int(done.inputs.shape[2]), int(done.inputs.shape[3]))
    for run in (done, still):
        foretold = estimate(model, size, run.settings).ledger
        assert foretold.total.rows >= run.ledger.total.rows
        for stage in ("match", "measure", "decode", "compare"):
            assert foretold[stage].rows == run.ledger[stage].rows


# Without features


def test_a_model_without_features_says_so_and_bends_about_the_great_circle() -> None:
    noise = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(3))
    settings = replace(QUICK, size=(8, 12), allow_atypical=True)
    asked = dg.interpolate(featureless(), noise[0], noise[1], settings)
    plain = dg.interpolate(featureless(), noise[0], noise[1], settings, carried=False)
    assert torch.equal(asked.frames, plain.frames)
    assert asked.distance == plain.distance is not None
    assert asked.matches is None
    assert any("no inner features" in w for w in asked.warnings)
    assert not any("no inner features" in w for w in plain.warnings)
    assert asked.ledger["match"].rows == 0
    assert asked.ledger.total.rows == plain.ledger.total.rows
    other = dg.interpolate(featureless(True), noise[0], noise[1], settings)
    assert other.matches is not None
    assert not any("no inner features" in w for w in other.warnings)


# What is written


def test_the_output_folder(done: Interpolation, still: Interpolation, tmp_path: Path) -> None:
    folders = [run.save(tmp_path / name).folder for run, name in ((done, "own"), (still, "still"))]
    own, other = (json.loads((folder / "result.json").read_text()) for folder in folders)
    assert done.matches is not None
    assert own["carried"] == {"moved": pytest.approx(done.matches.moved)}
    assert own["settings"]["carried"] is True
    assert own["distance"] is own["distance_error"] is None
    assert own["residual"] is not None
    assert other["carried"] is None
    assert other["settings"]["carried"] is False
    assert isinstance(other["distance"], float)
    assert isinstance(other["distance_error"], float)
    pages = [(folder / "report.html").read_text() for folder in folders]
    assert f"{100 * done.matches.moved:.1f}% of the edge" in pages[0]
    assert ["Carried by" in page for page in pages] == [True, False]
    tensors, fewer = (load_file(folder / "path.safetensors") for folder in folders)
    assert_close(tensors["matches"], done.matches.displacement)
    assert not any(name.startswith("matches") for name in fewer)
    t = torch.linspace(0, 1, 33, dtype=torch.float64)
    assert_close(tensors["latents"], done.chart.latent(t, done.path(t)))


# Compared with other methods


def test_methods_of_a_comparison(
    model: StableDiffusionModel, images: tuple[Tensor, Tensor]
) -> None:
    assert read_method("carried") == Carried()
    assert read_method("carried:strength=1,bump=2") == Carried(1.0, 2.0)
    with pytest.raises(ValueError, match="no option 'score'"):
        read_method("carried:score=ratio")
    methods = [read_method(m) for m in ("slerp", "carried", "carried:strength=1")]
    settings = replace(QUICK, size=32)
    found = compare(model, [Pair("one", *images)], methods, settings)
    assert tuple(found.methods) == ("slerp", "carried", "carried geodesic 1")
    outcomes = found.pairs[0].outcomes
    for name in found.methods:
        assert bool(outcomes[name].frames.isfinite().all())
    rows = {name: outcomes[name].scores["rows"] for name in found.methods}
    assert rows["carried"] == rows["slerp"] + 24
    assert rows["carried geodesic 1"] > rows["carried"]


def test_methods_of_a_stage_share_its_carriage(
    model: StableDiffusionModel,
    images: tuple[Tensor, Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[object] = []

    def counting(*arguments: Any) -> Any:
        found.append(arguments)
        return carriage(*arguments)

    monkeypatch.setattr("diffusion_geodesics.apps.evidence.solved.carriage", counting)
    stages = [set_stage(model, *images, replace(QUICK, size=32)) for _ in range(2)]
    first, second = (Carried(s).reel(stages[0], "pair") for s in (0.0, 1.0))
    assert len(found) == 1
    assert first.cost.rows == 24 < second.cost.rows
    Carried().reel(stages[1], "pair")
    assert len(found) == 2, "another stage has its own"


def test_a_comparison_without_features_takes_the_great_circle() -> None:
    noise = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(3))
    stage = set_stage(featureless(), noise[0], noise[1], replace(QUICK, size=(8, 12)))
    reel = Carried().reel(stage, "pair")
    assert "not carried" in reel.note
    assert reel.candidate is not None
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    slerp = read_method("slerp").reel(stage, "pair").candidate
    assert slerp is not None
    for x in (reel.candidate.latent(t), slerp.latent(t)):
        assert_close(x[[0, -1]].to(stage.ends), stage.ends)
