"""One report, one folder: what is in it, and that the page needs nothing else."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import os
import re
import stat
from base64 import b64decode
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from diffusion_geodesics.reporting import writer as writer_module
from diffusion_geodesics.reporting.blocks import (
    Cell,
    Fact,
    Facts,
    Film,
    FilmRow,
    Picture,
    Pictures,
    Plot,
    Section,
    Table,
    Text,
    VideoClip,
)
from diffusion_geodesics.reporting.image_formats import Gif, WebP
from diffusion_geodesics.reporting.maps import Embedding, HeatMap
from diffusion_geodesics.reporting.playback import Playback
from diffusion_geodesics.reporting.plots import (
    Interval,
    IntervalPanel,
    IntervalPlot,
    LinePlot,
    Panel,
    Trace,
)
from diffusion_geodesics.reporting.report import Banner, Report, Sheet
from diffusion_geodesics.reporting.video_formats import Mp4, ProRes, WebM
from diffusion_geodesics.reporting.writer import write
from diffusion_geodesics.runtime.cost import Cost, CostBreakdown
from diffusion_geodesics.runtime.storage import UnsavedError, check_folder
from tests.reporting.samples.common import disc
from tests.reporting.samples.jobs import JOBS, small
from tests.runtime.sandbox import run_in_child, tree

ATTACK = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)> {{ 7*7 }} ]]> --> $x$ 漢字 \x07"
VOID = {"meta", "img", "br", "hr", "link", "input", "source"}


class Page(HTMLParser):
    """Tags and attributes of a page, checking that every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += f"{data} "


def page_of(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=JOBS)
def job(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(job: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(small(job), tmp_path_factory.mktemp("runs") / job).folder


FILES = {
    "interpolation": {
        *(f"frames/{i:03d}.png" for i in range(5)),
        "comparison.png",
        "morph.mp4",
        "path.safetensors",
        "settings.toml",
        "strip.png",
    },
    "extrapolation": {
        *(f"frames/{i:03d}.png" for i in range(9)),
        "comparison.png",
        "morph.mp4",
        "path.safetensors",
        "settings.toml",
        "strip.png",
    },
    "analysis": {
        "frames.csv",
        "settings.toml",
        "strips/000.png",
        "strips/001.png",
        "windows.csv",
    },
    "distances": {
        "distances.csv",
        "distances.safetensors",
        "embedding.svg",
        "heatmap.svg",
        "settings.toml",
    },
    "comparison": {
        *(
            f"frames/{method}/pair-0/{i:03d}.png"
            for method in ("geodesic", "slerp", "lerp", "published", "fade")
            for i in range(9)
        ),
        "pairs.csv",
        "settings.toml",
        "table.tex",
    },
}


def test_the_folder_holds_what_it_says(folder: Path, job: str) -> None:
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == FILES[job] | {"report.html", "result.json"}
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert set(result["files"]) == found
    assert result["program"] == "diffusion-geodesics"


def test_the_page_is_well_formed_and_needs_no_other_file(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    assert not re.search(r"@import|url\((?!#)", text)
    for tag, name, value in page.attributes:
        if name in {"src", "href", "poster", "xlink:href", "srcset", "data"}:
            assert value.startswith(("data:", "#")), (tag, name, value[:60])
    policy = next(
        value for _, name, value in page.attributes if name == "content" and "src" in value
    )
    assert policy.startswith("default-src 'none'")


def test_identifiers_are_unique_and_references_lead_somewhere(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    named = [value for _, name, value in page.attributes if name == "id"]
    # Matplotlib names its groups alike in every picture; nothing refers to them.
    referred = re.findall(r'(?:href="#|url\(#)([^")]+)', text)
    for name in set(referred):
        assert named.count(name) == 1, name


def test_headings_go_down_one_by_one_and_pictures_say_what_they_show(folder: Path) -> None:
    page = page_of(folder)
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    alts = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    assert len(alts) == page.tags.count("img")
    assert all(alts)
    drawn = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(drawn) == page.tags.count("svg")
    assert all(drawn)
    assert {"main", "header"} <= set(page.tags)


def texts(value: object) -> list[str]:
    """Every text that the blocks of a report hold."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Section | Facts | Fact | Table | Cell | Text | Banner | Pictures | Film):
        fields = dataclasses.fields(value)
        return [
            t
            for f in fields
            if f.name not in ("tone", "file")
            for t in texts(getattr(value, f.name))
        ]
    if isinstance(value, Plot | Picture | VideoClip):
        return [value.caption]
    if isinstance(value, tuple | list):
        return [t for item in value for t in texts(item)]
    return []


def test_the_page_tells_everything(folder: Path, job: str) -> None:
    report = small(job)
    page = page_of(folder)
    words = " ".join(page.words.split()) + " ".join(value for *_, value in page.attributes)
    told = [report.title, report.lead, *report.warnings, *texts(list(report.opening))]
    told += texts(report.banner) + texts(list(report.sections))
    told += [text for name, c in report.cost.stages for text in (name, f"{c.nfe:,}")]
    told += [*report.versions.values(), "metric.strength", "a portrait of a man with brown hair"]
    for text in told:
        assert " ".join(text.split()) in words, text


def test_sums_of_the_cost_are_right(folder: Path, job: str) -> None:
    report = small(job)
    if report.cost.stages:
        words = page_of(folder).words.split()
        at = words.index("total")
        assert words[at + 1] == f"{report.cost.total.nfe:,}" == "2,262"
        assert words[at + 2] == str(report.cost.total.batches) == "116"


def test_frames_are_those_given_to_the_last_level(tmp_path: Path) -> None:
    frames = torch.rand(12, 4, 20, 30, generator=torch.Generator().manual_seed(0))
    report = Report("frames", {}, frames={"frames": frames, "deep/rgb": frames[:, :3]})
    written = write(report, tmp_path / "one")
    for name, expected in (("frames", frames), ("deep/rgb", frames[:, :3])):
        for i, frame in enumerate(expected):
            got = np.asarray(Image.open(written.folder / name / f"{i:03d}.png"))
            assert (got == (frame * 255).round().byte().permute(1, 2, 0).numpy()).all()


def test_tensors_come_back(tmp_path: Path) -> None:
    base = torch.randn(4, 6)
    tensors = {"a": base, "b": base[:2], "c": base.T, "d": torch.tensor(3), "e": base.bfloat16()}
    written = write(Report("t", {}, tensors={"path.safetensors": tensors}), tmp_path / "one")
    found = load_file(written.folder / "path.safetensors")
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_sheets_and_extra_files(tmp_path: Path) -> None:
    rows = [["a,b", 1.5, None], ['"q"', float("nan"), 3], [os.fsdecode(b"caf\xe9"), -1e-9, True]]
    report = Report(
        "s",
        {},
        sheets={"tables/a.csv": Sheet(["name", "x", "y"], rows)},
        extra_files={"a.tex": "α", "b.bin": b"\x00\xff"},
    )
    written = write(report, tmp_path / "one")
    with (written.folder / "tables" / "a.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["name", "x", "y"],
            ["a,b", "1.5", ""],
            ['"q"', "", "3"],
            ["caf\\xe9", "-1e-09", "True"],
        ]
    assert (written.folder / "a.tex").read_text(encoding="utf-8") == "α"
    assert (written.folder / "b.bin").read_bytes() == b"\x00\xff"


def test_files_may_be_read_by_whoever_may_read_the_folder(folder: Path) -> None:
    allowed = stat.S_IMODE(folder.stat().st_mode) & 0o444
    for path in folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o444 == allowed


@pytest.mark.whole
def test_two_reports_of_the_same_data_are_the_same_bytes(
    folder: Path, job: str, tmp_path: Path
) -> None:
    again = write(small(job), tmp_path / "again")
    for name in again.files:
        if not name.endswith(".safetensors") or job == "distances":  # the others are random
            assert (folder / name).read_bytes() == (again.folder / name).read_bytes(), name


def everything(text: str, name: str = "morph") -> Report:
    """A report with a text in every place that takes one."""
    t = torch.linspace(0, 1, 3)
    image = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    frames = disc(t, 16, 16, 0.1)
    panel = Panel(text, text, [Trace(text, t, t), Trace(text + "2", t, t)])
    blocks = [
        Facts([Fact(text, text, text)], text),
        Table(
            [text, Cell(text, text, hint=text)], [[text, Cell(text, text, hint=text)]], text, text
        ),
        Text([text], [text], text),
        Plot(LinePlot([panel]), text, text),
        Plot(IntervalPlot([IntervalPanel(text, [Interval(text, 1.0, 0.5, 2.0)])]), text, text),
        Plot(HeatMap(torch.rand(2, 2), [text, text], text), text, text),
        Plot(Embedding(torch.rand(2, 2), [image, image], (text, text)), text, text),
        Pictures([Picture([image], text, text)], text, text),
        Film([FilmRow(text, frames, [text] * 3), FilmRow(text, frames)], text, text, "strip.png"),
        Film([FilmRow(text, frames, [text] * 3)], text, text),
        VideoClip(frames, name, playback=Playback(hold=1), title=text, caption=text, alt=text),
    ]
    return Report(
        title=text,
        lead=text,
        banner=Banner(text, [text]),
        warnings=[text],
        opening=blocks[7:8],
        sections=[Section(text, blocks, text, text), Section(text, [], folded=True)],
        result={text: text},
        settings=text,
        sheets={"a.csv": Sheet([text], [[text]])},
        cost=CostBreakdown(((text, Cost(1, 1, 1.0)),)),
        versions={text: text},
    )


def test_text_is_shown_as_it_is_wherever_it_stands(tmp_path: Path) -> None:
    page = page_of(write(everything(ATTACK), tmp_path / "one").folder)
    assert "script" not in page.tags
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert "x" not in [value for tag, name, value in page.attributes if name == "src"]
    seen = page.words.count("<script>alert(1)</script>\"'><img src=x onerror=alert(1)> {{ 7*7 }}")
    assert seen >= 35
    assert "\x07" not in page.words


@pytest.mark.whole
@pytest.mark.parametrize(
    "text",
    [os.fsdecode(b"caf\xe9.png"), "\ud800", "مرحبا", "a\u202eb", "🙂", "_hidden", "", "x" * 5000],
)
def test_text_of_any_kind_can_be_written(tmp_path: Path, text: str) -> None:
    written = write(everything(text), tmp_path / "one")
    page_of(written.folder)
    json.loads((written.folder / "result.json").read_text(encoding="utf-8"))


def test_a_report_with_nothing_but_a_title(tmp_path: Path) -> None:
    written = write(Report("bare", {}), tmp_path / "one")
    assert written.files == ("report.html", "result.json")
    page = page_of(written.folder)
    assert "table" not in page.tags


def clip(**options: Any) -> Report:
    frames = disc(torch.linspace(0, 1, 3), 16, 16, 0.1, alpha=options.pop("alpha", False))
    playback = Playback(hold=1, **options.pop("playback", {}))
    return Report("clip", {}, opening=[VideoClip(frames, playback=playback, **options)])


@pytest.mark.parametrize(
    ("formats", "tag", "media"),
    [
        ((Mp4(), Gif()), "video", "video/mp4"),
        ((Gif(), Mp4()), "img", "image/gif"),
        ((WebM(),), "video", "video/webm"),
        ((ProRes(), WebP()), "img", "image/webp"),
        ((ProRes(),), "video", "video/mp4"),
    ],
)
def test_the_page_shows_the_first_film_that_browsers_can(
    tmp_path: Path, formats: Sequence[Any], tag: str, media: str
) -> None:
    written = write(clip(formats=formats), tmp_path / "one")
    assert {f"morph{kind.suffix}" for kind in formats} <= set(written.files)
    page = page_of(written.folder)
    (source,) = [v for t, n, v in page.attributes if (t, n) == (tag, "src")]
    assert source.startswith(f"data:{media};base64,")
    content = b64decode(source.split(",", 1)[1])
    shown = [kind for kind in formats if kind.media_type == media]
    if shown:
        assert content == (written.folder / f"morph{shown[0].suffix}").read_bytes()
    else:
        assert b"ftyp" in content[:16]


def test_a_large_film_is_shown_as_a_preview(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diffusion_geodesics.reporting.embedded.LARGEST_FILM", 100)
    written = write(clip(), tmp_path / "one")
    page = page_of(written.folder)
    (source,) = [v for t, n, v in page.attributes if (t, n) == ("video", "src")]
    content = b64decode(source.split(",", 1)[1])
    assert content != (written.folder / "morph.mp4").read_bytes()
    assert b"ftyp" in content[:16]


def test_notes_of_films_are_told_everywhere(tmp_path: Path) -> None:
    report = clip(formats=[Gif(), WebM()], playback={"fps": 40}, alpha=True)
    written = write(report, tmp_path / "one")
    assert len(written.notes) == 2
    assert "40 frames a second on average" in written.notes[0]
    assert "transparency" in written.notes[1]
    words = page_of(written.folder).words
    result = json.loads((written.folder / "result.json").read_text(encoding="utf-8"))
    assert tuple(result["film_notes"]) == written.notes
    assert all(note in words for note in written.notes)


def test_settings_are_shown_by_their_names_or_as_they_are(tmp_path: Path) -> None:
    toml = 'flag = true\nempty = ""\n[inner]\nsizes = [16, 32]\n'
    words = page_of(write(Report("s", {}, settings=toml), tmp_path / "one").folder).words
    assert re.search(r"flag\s*yes\s*empty\s*–\s*inner.sizes\s*16, 32", words)
    other = "steps: 25  # YAML"
    assert other in page_of(write(Report("s", {}, settings=other), tmp_path / "two").folder).words
    assert (tmp_path / "one" / "settings.toml").read_text() == toml


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../up", "a/../../b", ".hidden", "", "result.json", "report.html"]
)
def test_file_names_that_leave_the_folder_or_hide_files_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name for a file|two files of the report"):
        Report("r", {}, extra_files={name: "text"})


def test_two_files_of_one_name_are_refused() -> None:
    rows = [FilmRow("a", torch.rand(2, 3, 8, 8))]
    films = [Film(rows, file="strip.png"), Film(rows, file="strip.png")]
    with pytest.raises(ValueError, match=r"two files of the report are called strip\.png"):
        Report("r", {}, sections=[Section("s", films)])


@pytest.mark.parametrize(
    "make",
    [
        lambda x: FilmRow("film", x),
        lambda x: Picture([x[0]], "film"),
        lambda x: VideoClip(x, "film"),
        lambda x: Report("r", {}, frames={"film": x}),
    ],
)
def test_images_outside_the_range_are_refused(make: Any) -> None:
    for wrong in (torch.full((2, 3, 8, 8), -1.0), torch.full((2, 3, 8, 8), torch.nan)):
        with pytest.raises(ValueError, match=r"film: colours must lie in \[0, 1\]"):
            make(wrong)
    with pytest.raises(ValueError, match="3 or 4"):
        make(torch.rand(2, 2, 8, 8))


def test_an_existing_report_is_replaced_only_when_asked(tmp_path: Path) -> None:
    write(small("distances"), tmp_path / "one")
    with pytest.raises(FileExistsError):
        write(Report("r", {}), tmp_path / "one")
    check_folder(tmp_path / "one", overwrite=True)
    written = write(Report("r", {}), tmp_path / "one", overwrite=True)
    assert tree(tmp_path / "one") == list(written.files)


def test_what_json_cannot_hold_costs_no_frames(tmp_path: Path) -> None:
    report = Report("r", {"model": object()}, frames={"frames": torch.zeros(2, 3, 16, 16)})
    with pytest.raises(UnsavedError, match=r"result\.model.*what was written is in") as e:
        write(report, tmp_path / "one")
    assert tree(e.value.kept) == ["frames", "frames/000.png", "frames/001.png"]


def test_results_are_kept_when_the_page_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> str:
        raise RuntimeError("no page")

    monkeypatch.setattr(writer_module, "render", fail)
    with pytest.raises(UnsavedError, match="no page; what was written is in") as e:
        write(small("interpolation"), tmp_path / "one")
    assert {"path.safetensors", "result.json", "frames/000.png"} <= set(tree(e.value.kept))
    assert json.loads((e.value.kept / "result.json").read_text())["residual"] == 7.4e-4
    assert not (tmp_path / "one").exists()


@pytest.mark.parametrize("name", [b"caf\xe9", "漢字".encode()])
def test_folders_with_any_name(tmp_path: Path, name: bytes) -> None:
    written = write(small("interpolation"), tmp_path / os.fsdecode(name))
    assert (written.folder / "morph.mp4").stat().st_size > 0
    assert os.listdir(os.fsencode(tmp_path)) == [name]


def test_a_report_that_is_killed_keeps_the_former_one(tmp_path: Path) -> None:
    former = write(Report("former", {"number": 1}), tmp_path / "one")
    for kill_at in (2, 5, 11, 14):
        report = dataclasses.replace(small("distances"), result={"number": 2})
        killed = run_in_child(lambda r=report: write(r, tmp_path / "one", overwrite=True), kill_at)
        check_folder(tmp_path / "one", overwrite=True)
        number = json.loads((tmp_path / "one" / "result.json").read_text())["number"]
        assert killed
        assert number == 1
    assert former.folder.exists()
