"""Comparing methods on a tiny random pipeline, and ranking strips of frames."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from diffusion_geodesics.apps import Event, Family, Settings
from diffusion_geodesics.apps.evidence import (
    Carried,
    Comparison,
    CorrectedNoise,
    Foreign,
    FullNoise,
    Geodesic,
    LatentLerp,
    LevelPath,
    MaximalDensity,
    Method,
    Outcome,
    Pair,
    PairResult,
    PixelBlend,
    PublishedMethod,
    Reel,
    Rendered,
    Stage,
    compare,
    evaluate,
    read_pairs,
    set_stage,
)
from diffusion_geodesics.apps.evidence.reel import eight_bits
from diffusion_geodesics.apps.evidence.telling import save
from diffusion_geodesics.apps.settings import Estimate
from diffusion_geodesics.bvp import PublishedDescent
from diffusion_geodesics.cli.methods import read_method, read_named
from diffusion_geodesics.diffusion import Cost
from diffusion_geodesics.images import save_png
from diffusion_geodesics.measures import PooledPixels, Skipped
from diffusion_geodesics.metric import Hinged
from diffusion_geodesics.models import StableDiffusionModel
from tests.tiny_pipelines import tiny_pipeline

QUICK = Settings(strength=1.0, steps=6, level=0.5, frames=3, max_steps=6)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusionModel:
    pipe = tiny_pipeline(tmp_path_factory.mktemp("tokenizer"))
    return StableDiffusionModel.from_pipeline(pipe)


def picture(seed: int) -> Tensor:
    noise = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(noise, size=(32, 32), mode="bicubic").clamp(0, 1)[0]


@pytest.fixture(scope="module")
def stage(model: StableDiffusionModel) -> Stage:
    return set_stage(model, picture(1), picture(2), replace(QUICK, prompt_a="ab", prompt_b="cd"))


@pytest.fixture(scope="module")
def done(model: StableDiffusionModel) -> Comparison:
    pairs = [Pair("one", picture(1), picture(2)), Pair("two", picture(3), picture(4))]
    return compare(model, pairs, [PixelBlend(), LevelPath(), Geodesic()], QUICK)


METHODS = [
    PixelBlend(),
    LatentLerp(),
    LevelPath(Family.LERP),
    LevelPath(),
    LevelPath(Family.HLERP),
    LevelPath(guidance=2.0),
    FullNoise(),
    CorrectedNoise(),
    Geodesic(),
    Geodesic(2.0, Estimate.RATIO, flat=True, guidance=1.5),
    Geodesic(weight=Hinged(1e-3, 1.0)),
    Carried(),
    Carried(1.0, guidance=1.5),
    MaximalDensity(),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_every_method_joins_both_images(stage: Stage, method: Method) -> None:
    reel = method.reel(stage, "pair")
    film = reel.film(PooledPixels(), 3)
    assert film.frames.shape == (3, *stage.images.shape[1:])
    assert bool(torch.isfinite(film.frames).all())
    assert film.t[0] == 0
    assert film.t[-1] == 1
    expected = (
        stage.images if isinstance(method, PixelBlend) else stage.job.codec.decode(stage.clean)
    )
    exact = not isinstance(method, CorrectedNoise | FullNoise)  # a random network, from pure noise
    gap = (film.frames[[0, -1]] - expected.cpu()).abs().mean()
    assert float(gap) < 0.06 or not exact
    again = method.reel(stage, "pair").film(PooledPixels(), 3)
    torch.testing.assert_close(again.frames, film.frames, rtol=0, atol=0)


def test_paths_at_the_level_start_from_the_same_ends(stage: Stage) -> None:
    t = torch.tensor([0.0, 1.0])
    straight = (LevelPath(Family.LERP), LevelPath(), LevelPath(Family.HLERP))
    for method in (*straight, Geodesic(), Carried(), Carried(1.0)):
        candidate = method.reel(stage, "pair").candidate
        assert candidate is not None
        torch.testing.assert_close(candidate.latent(t).to(stage.ends), stage.ends)
    assert PixelBlend().reel(stage, "pair").candidate is None
    assert FullNoise().reel(stage, "pair").candidate is None


def test_corrected_noise_follows_its_formula(stage: Stage) -> None:
    candidate = CorrectedNoise(bound=1e6, signal=1.2).reel(stage, "pair").candidate
    assert candidate is not None
    half = candidate.latent(torch.tensor([0.5], dtype=torch.float64))[0]
    schedule = stage.job.denoiser.schedule
    a, _ = schedule.coefficients(schedule.timestep(QUICK.steps, QUICK.level))
    root = math.sqrt(0.5)
    exact = root * stage.ends.sum(0) + a * (0.6 - root) * stage.clean.sum(0)
    torch.testing.assert_close(half, exact)


@pytest.mark.parametrize("same", [True, False])
def test_the_published_method_takes_the_published_settings(
    stage: Stage, same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = PublishedDescent(levels_of=1, steps=2)
    monkeypatch.setattr("diffusion_geodesics.apps.evidence.solved.solver_of", lambda s: quick)
    method = PublishedMethod(same_level=same)
    reel = method.reel(stage, "pair")
    assert (reel.candidate is not None) == same
    assert reel.film(PooledPixels(), 3).frames.shape[0] == 3
    assert reel.cost.rows > 0


def test_a_change_of_what_was_inverted_is_refused(stage: Stage) -> None:
    with pytest.raises(ValueError, match="another inversion"):
        stage.with_path(level=0.2)
    with pytest.raises(ValueError, match="solver"):
        LevelPath(Family.GEODESIC)


def test_retiming_makes_steps_equal_whatever_the_pace() -> None:
    a, b = picture(1), picture(2)

    def render(t: Tensor) -> tuple[Tensor, Cost]:
        return torch.lerp(a, b, (t**4).float()[:, None, None, None]), Cost(10 * len(t), 1)

    film = Rendered(render).film(PooledPixels(), 9)
    steps = PooledPixels()(film.frames).diff(dim=0).norm(dim=1)
    assert float(steps.max() / steps.min()) < 1.1
    assert film.cost.rows == 90


# The comparison


def test_paths_are_measured_in_the_metric_of_a_geodesic_by_default(
    model: StableDiffusionModel,
) -> None:
    done = compare(model, [Pair("pair", picture(1), picture(2))], [PixelBlend()])
    assert done.settings["strength"] == Geodesic().strength


def test_a_comparison_has_every_figure(done: Comparison) -> None:
    assert list(done.methods) == ["pixel blend", "slerp", "geodesic 1"]
    assert done.rival == "slerp"
    for name in ("end PSNR", "ghosting", "feature length", "rows"):
        assert all(math.isfinite(v) for m in done.methods for v in done.values(m, name))
    assert done.mean("pixel blend", "ghosting").value == pytest.approx(1.0, abs=1e-3)
    assert done.mean("geodesic 1", "length").value <= done.mean("slerp", "length").value + 1e-6
    assert done.mean("geodesic 1", "residual").value < done.mean("slerp", "residual").value
    assert math.isnan(done.mean("pixel blend", "log p min").value)
    assert done.mean("slerp", "rows").value >= 2 * 3 + 3 * 3  # inversion, then frames
    assert done.mean("pixel blend", "rows").value == 0
    ghost = next(q for q in done.measured if q.name == "ghosting")
    assert done.wins("slerp", ghost) is None
    blend = done.wins("pixel blend", ghost)
    assert blend is not None
    assert blend.value == 0


def test_length_and_density_are_those_of_interpolate(
    model: StableDiffusionModel, done: Comparison
) -> None:
    from diffusion_geodesics.apps import interpolate

    morph = interpolate(model, picture(1), picture(2), QUICK, carried=False, allow_atypical=True)
    found = done.pairs[0].outcomes
    assert found["geodesic 1"].scores["length"] == pytest.approx(
        morph.lengths["geodesic"], rel=1e-4
    )
    assert found["slerp"].scores["length"] == pytest.approx(morph.lengths["slerp"], rel=1e-6)
    track = next(t for t in morph.tracks if t.name == "slerp")
    assert found["slerp"].scores["noise energy"] == pytest.approx(track.least_energy, rel=1e-6)


def test_a_stopped_comparison_goes_on_where_it_was(
    model: StableDiffusionModel, done: Comparison, tmp_path: Path
) -> None:
    pairs = [Pair("one", picture(1), picture(2)), Pair("two", picture(3), picture(4))]
    methods = [PixelBlend(), LevelPath(), Geodesic()]

    def stop(event: Event) -> None:
        if event.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(model, pairs, methods, QUICK, resume=tmp_path / "kept", on_event=stop)
    kept = list((tmp_path / "kept").iterdir())
    assert [f.name for f in kept] == ["00000.safetensors"]
    stamp = kept[0].stat().st_mtime_ns
    again = compare(model, pairs, methods, QUICK, resume=tmp_path / "kept")
    assert kept[0].stat().st_mtime_ns == stamp
    for method in done.methods:
        for q in done.quantities:
            if q.name != "seconds":
                assert again.values(method, q.name) == pytest.approx(
                    done.values(method, q.name), nan_ok=True, rel=1e-12
                )
        torch.testing.assert_close(
            again.pairs[0].outcomes[method].frames, done.pairs[0].outcomes[method].frames
        )
    with pytest.raises(ValueError, match="other pairs, methods or settings"):
        compare(model, pairs, [LevelPath()], QUICK, resume=tmp_path / "kept")
    kept[0].write_bytes(b"damaged")
    with pytest.raises(ValueError, match="cannot be read"):
        compare(model, pairs, methods, QUICK, resume=tmp_path / "kept")


def test_a_new_method_is_one_small_class(model: StableDiffusionModel) -> None:
    @dataclass(frozen=True)
    class Jump(Method):
        @property
        def name(self) -> str:
            return "jump"

        def reel(self, stage: Stage, pair: str) -> Reel:
            return Rendered(lambda t: (stage.images[(t > 0.5).long()], Cost()))

    found = compare(model, [Pair("p", picture(1), picture(2))], [Jump(), PixelBlend()], QUICK)
    assert found.values("jump", "ghosting") == [0.0]
    assert found.values("jump", "largest step")[0] > 1.9


def test_one_bad_path_does_not_end_the_run(model: StableDiffusionModel) -> None:
    from diffusion_geodesics.diffusion import NonFiniteError

    @dataclass(frozen=True)
    class Broken(Method):
        @property
        def name(self) -> str:
            return "broken"

        def reel(self, stage: Stage, pair: str) -> Reel:
            raise NonFiniteError("got NaN")

    found = compare(model, [Pair("p", picture(1), picture(2))], [Broken(), PixelBlend()], QUICK)
    assert "failed: got NaN" in found.pairs[0].outcomes["broken"].note
    assert math.isnan(found.mean("broken", "ghosting").value)


def test_bad_comparisons_are_refused(model: StableDiffusionModel) -> None:
    pair = Pair("p", picture(1), picture(2))
    with pytest.raises(ValueError, match="at least one"):
        compare(model, [], [LevelPath()], QUICK)
    with pytest.raises(ValueError, match="method slerp twice"):
        compare(model, [pair], [LevelPath(), LevelPath()], QUICK)
    with pytest.raises(ValueError, match="pair p twice"):
        compare(model, [pair, pair], [LevelPath()], QUICK)
    with pytest.raises(ValueError, match="needs a prompt"):
        compare(model, [pair], [LevelPath(guidance=2.0)], QUICK)
    with pytest.raises(ValueError, match="at least 3"):
        compare(model, [pair], [LevelPath()], replace(QUICK, frames=2))
    with pytest.raises(ValueError, match="none of the methods"):
        compare(model, [pair], [LevelPath()], QUICK, truth="truth")


# Sets of frames, and the truth


def test_two_sample_test_and_inception_distances_over_all_pairs() -> None:
    def strip(seed: int, rough: float) -> Outcome:
        noise = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
        frames = (picture(seed)[None] + rough * noise).clamp(0, 1)
        return Outcome(frames, {})

    pairs = [
        PairResult(
            f"{k}",
            torch.stack([picture(k), picture(k + 50)]),
            {"truth": strip(k, 0.0), "same": strip(k, 0.0), "rough": strip(k, 0.1)},
        )
        for k in range(12)
    ]
    done = Comparison(
        ["truth", "same", "rough"], [], pairs, None, "x", inception=PooledPixels(), truth="truth"
    )
    named, sets = done.sets()
    assert [q.name for q in named] == ["FID", "KID", "C2ST"]
    assert sets["rough"]["C2ST"] > 0.95
    assert sets["same"]["C2ST"] <= 0.5
    assert math.isnan(sets["truth"]["C2ST"])
    assert sets["same"]["FID"] < sets["rough"]["FID"]
    assert done.sets()[1]["rough"] == sets["rough"]


# Folders and files


def test_pairs_from_files(tmp_path: Path) -> None:
    for k in range(4):
        save_png(tmp_path / f"{k}.png", picture(k))
    table = tmp_path / "pairs.csv"
    table.write_text("a,b,name,prompt_a\n0.png,1.png,first,a cat\n2.png,3.png,,\n")
    first, second = read_pairs(table)
    assert (first.name, first.prompt_a, first.prompt_b) == ("first", "a cat", None)
    assert second.name == "002-2-3"
    assert second.a == tmp_path / "2.png"
    listed = tmp_path / "pairs.json"
    listed.write_text(json.dumps([{"a": "0.png", "b": "1.png"}]))
    assert read_pairs(listed)[0].name == "001-0-1"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x,b\n0.png,1.png\n", "expected a, b"),
        ("a,b\n0.png,\n", "lacks an image"),
        ("a,b\n", "no pairs"),
        ("a,b,name\n0,1,p\n2,3,p\n", "more than one pair called p"),
    ],
)
def test_bad_tables_of_pairs(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(ValueError, match=told):
        read_pairs(tmp_path / "pairs.csv")


def test_bad_sources_of_pairs(tmp_path: Path) -> None:
    (tmp_path / "pairs.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        read_pairs(tmp_path / "pairs.json")
    (tmp_path / "pairs.json").write_text('{"a": 1}')
    with pytest.raises(ValueError, match="expected a list"):
        read_pairs(tmp_path / "pairs.json")
    (tmp_path / "pairs.txt").write_text("")
    with pytest.raises(ValueError, match=r"neither \.csv nor \.json"):
        read_pairs(tmp_path / "pairs.txt")
    with pytest.raises(ValueError, match="does not exist"):
        read_pairs(tmp_path / "missing.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"NAME_0\.png"):
        read_pairs(tmp_path / "empty")


def test_the_layout_of_morphbench(tmp_path: Path) -> None:
    for part, name in (("Animation", "cat_0"), ("Animation", "cat_1"), ("Metamorphosis", "a_b_0")):
        (tmp_path / part).mkdir(exist_ok=True)
        save_png(tmp_path / part / f"{name}.png", picture(1))
    Image.new("RGB", (32, 32)).save(tmp_path / "Metamorphosis" / "a_b_1.jpg")
    pairs = read_pairs(tmp_path)
    assert [p.name for p in pairs] == ["Animation/cat", "Metamorphosis/a_b"]
    assert pairs[1].b == tmp_path / "Metamorphosis" / "a_b_1.jpg"


def write_strip(folder: Path, frames: Tensor) -> None:
    folder.mkdir(parents=True)
    for i, frame in enumerate(eight_bits(frames)):
        save_png(folder / f"frame{i}.png", frame)


def fade(a: Tensor, b: Tensor, count: int = 12) -> Tensor:
    return torch.lerp(a, b, torch.linspace(0, 1, count)[:, None, None, None])


def test_a_strip_of_another_program_is_ranked(model: StableDiffusionModel, tmp_path: Path) -> None:
    a, b = picture(1), picture(2)
    write_strip(tmp_path / "theirs", fade(a, b))
    found = compare(
        model,
        [Pair("p", a, b)],
        [LevelPath(), Foreign("theirs", tmp_path / "theirs")],
        QUICK,
    )
    assert found.values("theirs", "ghosting")[0] > 0.99
    assert found.values("theirs", "end PSNR")[0] > 50
    ghost = next(q for q in found.measured if q.name == "ghosting")
    assert found.wins("theirs", ghost) is not None
    (tmp_path / "many").mkdir()
    (tmp_path / "theirs").rename(tmp_path / "many" / "p")
    elsewhere = set_stage(model, a, b, QUICK)
    with pytest.raises(ValueError, match="no frames of the pair other"):
        Foreign("theirs", tmp_path / "many").reel(elsewhere, "other")


def test_evaluate_ranks_folders_without_a_model(tmp_path: Path, done: Comparison) -> None:
    written = save(done, tmp_path / "out")
    frames = written.folder / "frames"
    for pair in done.pairs:
        frames_of = pair.outcomes["slerp"].frames
        write_strip(tmp_path / "blend" / pair.name, fade(frames_of[0], frames_of[-1], 5))
    runs = {"slerp": frames / "slerp", "pixel": tmp_path / "blend"}
    found = evaluate(runs, frames=3)
    assert [p.name for p in found.pairs] == ["one", "two"]
    assert found.rival == "slerp"
    assert found.mean("pixel", "ghosting").value > 0.99
    assert found.values("slerp", "sharpness") == pytest.approx(done.values("slerp", "sharpness"))
    assert not any(q.name.startswith("end ") for q in found.quantities)
    known = [Pair(p.name, p.ends[0], p.ends[1]) for p in done.pairs]
    with_ends = evaluate(runs, frames=3, pairs=known)
    assert with_ends.values("slerp", "end PSNR") == pytest.approx(
        done.values("slerp", "end PSNR"), abs=0.05
    )


def test_bad_runs_are_refused(tmp_path: Path) -> None:
    a, b, c = picture(1), picture(2), 1 - picture(1)
    write_strip(tmp_path / "x", fade(a, b))
    write_strip(tmp_path / "y", fade(c, b))
    write_strip(tmp_path / "z" / "p", fade(a, b))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="does not start and end with the same"):
        evaluate({"x": tmp_path / "x", "y": tmp_path / "y"})
    with pytest.raises(ValueError, match="no pair is in all runs"):
        evaluate({"x": tmp_path / "x", "z": tmp_path / "z"})
    with pytest.raises(ValueError, match="has no frames"):
        evaluate({"x": tmp_path / "empty"})
    with pytest.raises(ValueError, match="is no folder"):
        evaluate({"x": tmp_path / "nowhere"})
    with pytest.raises(ValueError, match="rival"):
        evaluate({"x": tmp_path / "x"}, rival="slerp")
    with pytest.raises(ValueError, match="at least one folder"):
        evaluate({})
    with pytest.raises(ValueError, match="at least 3"):
        evaluate({"x": tmp_path / "x"}, frames=2)


# What is written


def test_the_folder_of_a_comparison(done: Comparison, tmp_path: Path) -> None:
    odd = replace(done, skipped=[Skipped("<PPL>", "no & network", "get 100% of it")])
    written = save(odd, tmp_path / "out")
    result = json.loads((written.folder / "result.json").read_text())
    assert result["methods"] == list(done.methods)
    slerp = result["quantities"]["ghosting"]["means"]["slerp"]
    assert slerp["mean"] == pytest.approx(done.mean("slerp", "ghosting").value)
    page = (written.folder / "report.html").read_text()
    assert "&lt;PPL&gt;" in page
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("data:image/jpeg") == len(done.pairs)
    tex = (written.folder / "table.tex").read_text()
    rows = [line for line in tex.splitlines() if line.endswith(r"\\")]
    assert {line.count("&") for line in rows} == {len(done.methods)}
    with (written.folder / "pairs.csv").open() as file:
        table = list(csv.DictReader(file))
    values = [
        float(r["value"]) for r in table if (r["method"], r["quantity"]) == ("slerp", "ghosting")
    ]
    assert values == pytest.approx(done.values("slerp", "ghosting"), rel=1e-6)
    assert (written.folder / "frames" / "geodesic-1" / "two" / "002.png").is_file()
    with pytest.raises(FileExistsError):
        save(done, tmp_path / "out")
    order = [p.disagreement for p in done.by_disagreement()]
    assert order == sorted(order, reverse=True)


# The command line


def test_methods_are_read_from_the_command_line(tmp_path: Path) -> None:
    assert read_method("slerp:bump=2") == LevelPath(guidance=2.0)
    assert read_method("geodesic:strength=3,score=ratio,flat=yes") == Geodesic(
        3.0, Estimate.RATIO, flat=True
    )
    assert read_method("published:level=same") == PublishedMethod(same_level=True)
    assert read_method("noise:bound=3").name == "corrected noise"
    assert read_named(f"ours={tmp_path}") == ("ours", tmp_path)
    for text, told in (
        ("spline", "no method 'spline'"),
        ("slerp:strength=2", "no option 'strength'"),
        ("geodesic:strength=much", "expected a number"),
        ("geodesic:strength", "no option=value"),
        ("geodesic:score=true", "expected level, ratio"),
        ("geodesic:flat=maybe", "expected yes or no"),
        ("published:level=3", "expected own"),
    ):
        with pytest.raises(ValueError, match=told):
            read_method(text)


def test_the_commands(tmp_path: Path) -> None:
    write_strip(tmp_path / "one", fade(picture(1), picture(2)))
    write_strip(tmp_path / "two", fade(picture(1), picture(2)) ** 1.1)
    out, one = tmp_path / "out", str(tmp_path / "one")

    def geodesic(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "diffusion_geodesics", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    found = geodesic("evaluate", one, f"b={tmp_path / 'two'}", "-o", str(out))
    assert found.returncode == 0, found.stderr
    assert "ghosting" in found.stderr
    assert (out / "report.html").is_file()
    failed = geodesic("compare", "a.png", "b.png", "-m", "none", "-o", str(out))
    assert failed.returncode == 1
    assert "no method 'none'" in failed.stderr
