"""The page of the evidence: made of the results and nothing else, its claims tested by them."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import rife
from benchmarks.evidence.__main__ import Part, Place, from_worst, main
from benchmarks.evidence.claims import CLAIMS, reading
from benchmarks.evidence.figures import save_figures, save_sheet
from benchmarks.evidence.methods import PacedOnce, PacedPath
from benchmarks.evidence.numbers import number, percent, study, value, wins, with_interval
from benchmarks.evidence.page import IMAGES, PAGE, page
from benchmarks.evidence.pairs import MOST, Kind, true_pairs
from benchmarks.evidence.plan import DETOUR, Study, plan
from benchmarks.evidence.results import Measured, Table, studies_of, table_of
from benchmarks.evidence.work import do, jobs_of, seconds
from benchmarks.record import Data, fingerprint
from diffusion_geodesics import load_model
from diffusion_geodesics.comparison.at_level import AtLevel
from diffusion_geodesics.comparison.baselines import FullNoise, PixelBlend
from diffusion_geodesics.comparison.compare import context_of
from diffusion_geodesics.comparison.rendered import Rendered
from diffusion_geodesics.comparison.result import Outcome, PairResult
from diffusion_geodesics.comparison.settings import ComparisonSettings
from diffusion_geodesics.interpolation.paths import Lerp, Natural, Slerp
from diffusion_geodesics.interpolation.settings import InterpolationMetric
from diffusion_geodesics.measures import Better, PooledPixels, Quantity
from diffusion_geodesics.runtime.cost import Counts
from diffusion_geodesics.runtime.run import Run

PLACE = Place.of(quick=False)
DATA = PLACE.read(Part.RENDERED)
pytestmark = pytest.mark.skipif(DATA is None, reason="no results are committed")


@pytest.fixture
def data() -> Data:
    assert DATA is not None
    return copy.deepcopy(DATA)


def test_the_page_is_what_the_results_say(data: Data) -> None:
    assert PAGE.read_text(encoding="utf-8") == page(data, PLACE.read(Part.DIGITS))


def test_every_figure_of_the_page_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    shown = [part.split(")")[0] for part in text.split("](images/")[1:]]
    assert shown
    for name in shown:
        assert (IMAGES / name).is_file(), name


def test_another_number_makes_another_page(data: Data) -> None:
    before = page(data, None)
    found = value(data, "main", "slerp", "truth")
    assert found is not None
    found["mean"] += 1
    assert page(data, None) != before
    assert page({**data, "quick": not data["quick"]}, None) != before


def test_without_the_network_for_films_the_page_is_silent_about_it(data: Data) -> None:
    assert page(data, None).count("RIFE") > 10
    for part in data["studies"]:
        part["rows"] = [row for row in part["rows"] if row["method"] != rife.NAME]
        for row in part["rows"]:
            row.pop("wins_rife", None)
    lines = [line for line in page(data, None).splitlines() if "RIFE" in line]
    assert [line.split()[:2] for line in lines] == [["pip", "install"]]


def test_a_claim_that_the_numbers_do_not_support_does_not_hold(data: Data) -> None:
    goal = CLAIMS[0]
    for rival in ("slerp", "lerp"):
        told = wins(data, "main", data["ours"], "truth", rival, "detour")
        assert told is not None
        told |= {"mean": 0.9, "low": 0.8, "high": 1.0}
    said = goal.read(data)
    assert said is not None
    assert said["holds"]
    assert "90% [80, 100] against slerp" in said["numbers"]
    told |= {"mean": 0.7}
    assert not (goal.read(data) or {})["holds"]
    told |= {"mean": 0.9, "low": 0.45}
    assert not (goal.read(data) or {})["holds"]
    told |= {"low": None}
    assert not (goal.read(data) or {})["holds"]
    text = page(data, None)
    assert "*Does not hold:* Where a detour is needed" in text


def test_what_was_not_measured_is_not_claimed(data: Data) -> None:
    data["studies"] = [s for s in data["studies"] if s["name"] != "paper"]
    assert all("paper's algorithm" not in c["says"] for c in reading(data))
    assert value(data, "paper", "slerp", "truth") is None
    assert study(data, "nothing") is None


def test_numbers_are_written_short() -> None:
    assert [number(v) for v in (None, 0.0, 0.01234, 0.5, 12.34, 1234.5)] == [
        "–", "0.00", "0.012", "0.50", "12.3", "1,234",
    ]  # fmt: skip
    told = {"mean": 0.5, "low": 0.25, "high": 0.75, "count": 4}
    assert with_interval(told) == "0.50 [0.25, 0.75]"
    assert percent(told) == "50% [25, 75]"
    assert percent({**told, "low": None, "high": None}) == "50%"
    assert with_interval(None) == percent(None) == "–"


def test_figures_are_drawn_from_numbers(data: Data, tmp_path: Path) -> None:
    save_figures(data, tmp_path)
    assert {f.name for f in tmp_path.iterdir()} >= {"evidence-wins.png", "evidence-levels.png"}


def test_no_page_without_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.evidence.__main__.PLACE", tmp_path / "none")
    with pytest.raises(SystemExit, match="no results of rendered pairs yet"):
        main(page=True)


def test_a_quick_run_has_a_place_of_its_own(tmp_path: Path) -> None:
    quick = Place.of(quick=True)
    assert not {quick.results, quick.page, quick.images} & {
        PLACE.results,
        PLACE.page,
        PLACE.images,
    }
    own = Place(tmp_path / "results", tmp_path / "page.md", tmp_path)
    assert own.read(Part.RENDERED) is None
    own.write(Part.RENDERED, {"α": [1.5, None]})
    assert own.read(Part.RENDERED) == {"α": [1.5, None]}


def test_the_plan_has_what_the_issue_asks_for() -> None:
    full, quick = plan(False), plan(True)
    assert [s.name for s in full][:3] == ["main", "paper", "further methods"]
    assert len(full[0].cases()) >= 200
    assert full[0].count <= MOST
    assert {s.settings.inversion.level for s in full if s.along} == {0.2, 0.4, 0.6, 0.8}
    assert sum(len(s.cases()) for s in quick) < 30
    made = full[0].made()
    assert len({m.name for m in made}) == len(made)
    jobs = jobs_of(full, Path("runs"))
    assert len(jobs) == len(full[0].cases())
    assert {"paper", "published"} <= {s.name for s in jobs[0].studies}  # the longest first


def test_a_shorter_run_has_the_same_studies() -> None:
    full, short = plan(False), plan(False, 10)
    assert [s.name for s in short] == [s.name for s in full]
    assert short[0].count == 10
    assert {s.count for s in short[1:]} == {1}
    assert [s.methods for s in short] == [s.methods for s in full]


@pytest.mark.parametrize("pairs", [0, 30])
def test_a_number_of_pairs_that_there_is_not_is_refused(pairs: int) -> None:
    with pytest.raises(SystemExit, match=f"got {pairs} pairs; expected 1 to 29"):
        main(pairs=pairs)


def test_the_fingerprint_follows_the_code(tmp_path: Path) -> None:
    file = tmp_path / "code" / "a.py"
    file.parent.mkdir()
    file.write_text("x = 1\n")
    first = fingerprint(("code",), tmp_path)
    assert first == fingerprint(("code",), tmp_path)
    file.write_text("x = 2\n")
    assert first != fingerprint(("code",), tmp_path)


def test_frames_that_are_moved_once_are_even_and_keep_the_ends() -> None:
    ramp, run = torch.linspace(0, 1, 8).repeat(3, 8, 1), Run()

    def show(t: torch.Tensor) -> torch.Tensor:
        with run.stage("decode"):
            run.meter.add(Counts(nfe=len(t), batches=1))
        return t.float()[:, None, None, None] ** 2 * ramp

    film = PacedPath(Rendered(show).render, note="so").frames(run, PooledPixels(), 7)
    assert film.t[0] == 0
    assert film.t[-1] == 1
    torch.testing.assert_close(film.t[3], torch.tensor(0.5).double().sqrt(), atol=0.02, rtol=0)
    assert film.cost.nfe == 7  # what 7 frames cost; 12 were made to place them
    assert run.costs.total.nfe == 12
    assert PacedOnce(PixelBlend()).name == PixelBlend().name
    assert not PacedOnce(PixelBlend()).prompted


@pytest.mark.whole
def test_only_the_frames_between_are_denoised_and_the_ends_once() -> None:
    model = load_model("embedded")
    pair = true_pairs(1, (Kind.HAIR,))[0].pair(128, prompts=False)
    context = context_of(model, pair, ComparisonSettings.of(frames=5, level=0.1, steps=10))
    made = [PacedOnce(AtLevel(p)).path(context, pair.name) for p in (Lerp(), Slerp())]
    assert all(isinstance(m, PacedPath) and m.guess is not None for m in made)
    films = [m.frames(context.run, PooledPixels(), 5) for m in made]
    torch.testing.assert_close(films[0].frames[[0, -1]], films[1].frames[[0, -1]], rtol=0, atol=0)
    for path, film in zip(made, films, strict=True):
        assert isinstance(path, PacedPath)
        shown = path.render(film.t).clamp(0, 1)
        torch.testing.assert_close(film.frames, shown, rtol=0, atol=0.004)
        step = PooledPixels()(film.frames).diff(dim=0).norm(dim=1)
        assert float(step.max() / step.mean()) < 1.3
        assert film.cost.nfe == 5
    elsewhere = PacedOnce(FullNoise()).path(context, pair.name)
    assert isinstance(elsewhere, PacedPath)
    assert elsewhere.guess is None


def test_of_a_natural_path_the_ends_are_the_images_through_the_autoencoder() -> None:
    model = load_model("embedded")
    pair = true_pairs(1, (Kind.HAIR,))[0].pair(128, prompts=False)
    context = context_of(model, pair, ComparisonSettings.of(frames=5, level=0.1, steps=10))
    path = PacedOnce(AtLevel(Natural(InterpolationMetric(strength=0.0)))).path(context, pair.name)
    assert isinstance(path, PacedPath)
    film = path.frames(context.run, PooledPixels(), 5)
    through = context.noised.encoded.codec.decode(context.clean)
    torch.testing.assert_close(film.frames[[0, -1]], through, rtol=0, atol=0.004)
    assert film.cost.nfe == 3


def asked(name: str = "main") -> Study:
    kinds = (DETOUR[0], Kind.LIGHT)
    settings = ComparisonSettings.of(frames=7)
    return Study(name, "What?", ("slerp", "lerp"), settings, 4, kinds, truth=True)


def table() -> Table:
    quantity, pairs = Quantity("truth", Better.HIGHER, "dB"), {}
    for i, case in enumerate(asked().cases()):
        looks = np.random.default_rng(i).normal(size=(5, 4))
        pairs[case.name] = {
            "truth": Measured({"truth": 60.0}, looks, ""),
            "slerp": Measured({"truth": 20.0 + i}, looks + 5, ""),
            "lerp": Measured({"truth": 21.0 + (i % 2) * 2 * i}, looks, "failed" if i == 0 else ""),
        }
    return Table(["truth", "slerp", "lerp"], [quantity], pairs, 0.4, "truth")


def test_pairs_are_ordered_from_the_worst_on() -> None:
    found = from_worst(table(), "slerp")
    assert sorted(found) == ["light", "turn"]
    scores = table().pairs
    for own in found.values():
        truth = [{k: v.scores["truth"] for k, v in scores[name].items()} for name in own]
        behind = [t["lerp"] - t["slerp"] for t in truth]
        assert behind == sorted(behind, reverse=True)
        assert len(own) == 4


def test_a_sheet_shows_pairs_in_two_columns(tmp_path: Path) -> None:
    images, white = torch.zeros(2, 3, 8, 8), torch.ones(3, 3, 8, 8)
    outcomes = {"truth": Outcome(white, {}), "ours": Outcome(0 * white, {})}
    pairs = [PairResult(str(i), images, outcomes) for i in range(3)]
    save_sheet(pairs, ("truth", "ours"), tmp_path / "sheet.webp")
    with Image.open(tmp_path / "sheet.webp") as sheet:
        assert sheet.size == (2 * 3 * 56 + 8, 2 * (2 * 56 + 8) - 8)
        grey = np.asarray(sheet.convert("L"))
        assert grey[20, 20] > 250
        assert grey[76, 20] < 5


def test_a_study_is_presented_by_group_with_both_baselines() -> None:
    told = studies_of(asked(), table())
    assert [(s["group"], s["pairs"]) for s in told] == [
        ("all pairs", 8), ("detour", 4), ("turn", 4), ("light", 4),
    ]  # fmt: skip
    truth, slerp, lerp = told[0]["rows"]
    assert slerp["values"]["truth"]["mean"] == 23.5
    assert slerp["wins"] == {}
    assert slerp["wins_lerp"]["truth"]["mean"] == pytest.approx(3 / 8)
    assert truth["wins"]["truth"]["mean"] == 1
    assert lerp["notes"] == {"failed": 1}
    assert slerp["values"]["C2ST"]["mean"] > 0.9 > lerp["values"]["C2ST"]["mean"]
    assert "C2ST" not in truth["values"]
    assert json.dumps(told, allow_nan=False)
    few = studies_of(asked("published"), table())
    assert [s["group"] for s in few] == ["all pairs", "detour"]


@pytest.mark.slow
def test_a_pair_is_measured_once_and_found_again(tmp_path: Path) -> None:
    settings = ComparisonSettings.of(frames=7)
    study = Study("main", "What?", ("pixel",), settings, 1, (Kind.TURN,), truth=True)
    (job,) = jobs_of([study], tmp_path)
    do(job)
    took = seconds(tmp_path, study)
    assert took > 0
    do(job)
    assert seconds(tmp_path, study) == took
    (told,) = studies_of(study, table_of(tmp_path, study))[:1]
    truth, faded = told["rows"]
    assert truth["values"]["coverage"]["mean"] > 0.9
    assert truth["values"]["drift"]["mean"] < 0.4
    assert faded["values"]["coverage"]["mean"] == 0
    assert faded["values"]["ghosting"]["mean"] > 0.6
