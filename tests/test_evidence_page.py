"""The page of the evidence: made of the results and nothing else, its claims tested by them."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusion_geodesics.apps.evidence import FullNoise, LevelPath, PixelBlend, Rendered, set_stage
from diffusion_geodesics.apps.settings import Family

from benchmarks.evidence.__main__ import Place, main
from benchmarks.evidence.brisk import Brisk, OncePaced
from benchmarks.evidence.claims import CLAIMS, reading
from benchmarks.evidence.figures import save_figures
from benchmarks.evidence.numbers import number, percent, study, value, wins, with_interval
from benchmarks.evidence.page import IMAGES, PAGE, page
from benchmarks.evidence.plan import DETOUR, Study, plan
from benchmarks.evidence.results import Measured, Table, studies_of, table_of
from benchmarks.evidence.work import do, fingerprint, jobs_of, seconds_of
from benchmarks.truth import MOST, Kind, true_pairs
from diffusion_geodesics import Settings, load_model
from diffusion_geodesics.diffusion import Cost
from diffusion_geodesics.measures import Better, PooledPixels, Quantity

Data = dict[str, Any]

PLACE = Place.of(quick=False)
DATA = PLACE.read("rendered")
pytestmark = pytest.mark.skipif(DATA is None, reason="no results are committed")


@pytest.fixture
def data() -> Data:
    assert DATA is not None
    return copy.deepcopy(DATA)


def test_the_page_is_what_the_results_say(data: Data) -> None:
    assert PAGE.read_text(encoding="utf-8") == page(data, PLACE.read("digits"))


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
    monkeypatch.setattr("benchmarks.evidence.__main__.RESULTS", tmp_path / "none")
    with pytest.raises(SystemExit):
        main(["--page"])


def test_a_quick_run_has_a_place_of_its_own(tmp_path: Path) -> None:
    quick = Place.of(quick=True)
    assert not {quick.results, quick.page, quick.images} & {
        PLACE.results,
        PLACE.page,
        PLACE.images,
    }
    own = Place(tmp_path / "results", tmp_path / "page.md", tmp_path)
    assert own.read("rendered") is None
    own.write("rendered", {"α": [1.5, None]})
    assert own.read("rendered") == {"α": [1.5, None]}


def test_the_plan_has_what_the_issue_asks_for() -> None:
    full, quick = plan(False), plan(True)
    assert [s.name for s in full][:3] == ["main", "paper", "further methods"]
    assert len(full[0].cases()) >= 200
    assert full[0].count <= MOST
    assert {s.settings.level for s in full if s.along} == {0.2, 0.4, 0.6, 0.8}
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


@pytest.mark.parametrize("pairs", ["0", "30"])
def test_a_number_of_pairs_that_there_is_not_is_refused(
    pairs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--pairs", pairs])
    assert "expected 1 to 29" in capsys.readouterr().err


def test_the_fingerprint_follows_the_code(tmp_path: Path) -> None:
    file = tmp_path / "code" / "a.py"
    file.parent.mkdir()
    file.write_text("x = 1\n")
    first = fingerprint(("code",), tmp_path)
    assert first == fingerprint(("code",), tmp_path)
    file.write_text("x = 2\n")
    assert first != fingerprint(("code",), tmp_path)
    assert fingerprint(("code/a.py",), tmp_path) == fingerprint(("code",), tmp_path)


def test_a_brisk_method_is_evenly_paced_and_keeps_its_ends() -> None:
    ramp = torch.linspace(0, 1, 8).repeat(3, 8, 1)

    def show(t: torch.Tensor) -> tuple[torch.Tensor, Cost]:
        return t.float()[:, None, None, None] ** 2 * ramp, Cost(rows=len(t))

    reel = OncePaced(Rendered(show).render, note="so")
    film = reel.film(PooledPixels(), 7)
    assert film.t[0] == 0
    assert film.t[-1] == 1
    torch.testing.assert_close(film.t[3], torch.tensor(0.5).double().sqrt(), atol=0.02, rtol=0)
    assert reel.candidate is None
    assert film.cost.rows == 7
    assert Brisk(PixelBlend()).name == PixelBlend().name
    assert not Brisk(PixelBlend()).prompted


def test_a_brisk_method_denoises_the_frames_between_and_the_ends_once() -> None:
    model = load_model("embedded")
    pair = true_pairs(1, (Kind.HAIR,))[0].pair(128, prompts=False)
    stage = set_stage(model, pair.a, pair.b, Settings(frames=5, level=0.1, steps=10))
    made = [Brisk(LevelPath(f)).reel(stage, pair.name) for f in (Family.LERP, Family.SLERP)]
    assert all(isinstance(r, OncePaced) and r.quick is not None for r in made)
    films = [r.film(PooledPixels(), 5) for r in made]
    torch.testing.assert_close(films[0].frames[[0, -1]], films[1].frames[[0, -1]], rtol=0, atol=0)
    for reel, film in zip(made, films, strict=True):
        assert isinstance(reel, OncePaced)
        shown = reel.render(film.t)[0].clamp(0, 1)
        torch.testing.assert_close(film.frames, shown, rtol=0, atol=0.004)
        step = PooledPixels()(film.frames).diff(dim=0).norm(dim=1)
        assert float(step.max() / step.mean()) < 1.3
        assert film.cost.rows == 5
    elsewhere = Brisk(FullNoise()).reel(stage, pair.name)
    assert isinstance(elsewhere, OncePaced)
    assert elsewhere.quick is None


def table() -> Table:
    quantity = Quantity("truth", Better.HIGHER, "dB")
    pairs = {}
    kinds = {}
    for i in range(8):
        name = f"pair-{i}"
        kinds[name] = DETOUR[0] if i < 6 else Kind.LIGHT
        looks = np.random.default_rng(i).normal(size=(5, 4))
        pairs[name] = {
            "truth": Measured({"truth": 60.0}, looks, ""),
            "slerp": Measured({"truth": 20.0 + i}, looks + 5, ""),
            "lerp": Measured({"truth": 21.0 + (i % 2) * 2 * i}, looks, "failed" if i == 0 else ""),
        }
    return Table(["truth", "slerp", "lerp"], [quantity], pairs, kinds, 0.4)


def test_a_study_is_told_by_group_with_both_rivals() -> None:
    asked = Study("main", "What?", ("slerp", "lerp"), Settings(frames=7), 4, truth=True)
    told = studies_of(asked, table())
    assert [(s["group"], s["pairs"]) for s in told] == [
        ("all pairs", 8), ("detour", 6), ("turn", 6), ("light", 2),
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
    few = studies_of(replace(asked, name="published"), table())
    assert [s["group"] for s in few] == ["all pairs", "detour"]


@pytest.mark.slow
def test_a_pair_is_measured_once_and_found_again(tmp_path: Path) -> None:
    asked = Study("main", "What?", ("pixel",), Settings(frames=7), 1, (Kind.TURN,), truth=True)
    (job,) = jobs_of([asked], tmp_path)
    do(job)
    took = seconds_of(tmp_path, asked, job.case)
    assert took > 0
    do(job)
    assert seconds_of(tmp_path, asked, job.case) == took
    (told,) = studies_of(asked, table_of(tmp_path, asked))[:1]
    truth, faded = told["rows"]
    assert truth["values"]["coverage"]["mean"] > 0.9
    assert truth["values"]["drift"]["mean"] < 0.4
    assert faded["values"]["coverage"]["mean"] == 0
    assert faded["values"]["ghosting"]["mean"] > 0.6
