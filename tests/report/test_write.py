"""One run, one folder: what is in it, and that the page needs nothing else."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import stat
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from diffusion_geodesics.report import Gif, Mp4, Run, Video, WebM, WebP, write_run
from diffusion_geodesics.report import write as write_module
from tests.report.sample import sample_run

ATTACK = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
VOID = {"meta", "img", "br", "hr", "link", "input", "source"}


class Page(HTMLParser):
    """Tags and attributes of a page, checking that every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
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


@pytest.fixture(scope="module")
def run() -> Run:
    return sample_run(n=5, height=40, width=30)


@pytest.fixture(scope="module")
def folder(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "one", run).folder


def test_the_folder_holds_what_it_says(folder: Path) -> None:
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {
        *(f"frames/{i:03d}.png" for i in range(5)),
        "comparison.png",
        "morph.mp4",
        "path.safetensors",
        "report.html",
        "result.json",
        "strip.png",
    }
    result = json.loads((folder / "result.json").read_text())
    assert set(result["files"]) == found
    assert result["program"] == "diffusion-geodesics"
    assert result["residual"] == 7.4e-4
    assert result["distance"] is None  # infinite


def test_frames_are_the_films_to_the_last_level(folder: Path, run: Run) -> None:
    for i, frame in enumerate(run.films[0].frames):
        got = np.asarray(Image.open(folder / "frames" / f"{i:03d}.png"))
        assert (got == (frame * 255).round().byte().permute(1, 2, 0).numpy()).all()


def test_tensors_come_back(folder: Path, run: Run) -> None:
    tensors = load_file(folder / "path.safetensors")
    assert tensors.keys() == run.tensors.keys()
    for name, tensor in run.tensors.items():
        assert torch.equal(tensors[name], tensor)


def test_files_may_be_read_by_whoever_may_read_the_folder(folder: Path) -> None:
    for path in folder.rglob("*"):
        assert (
            stat.S_IMODE(path.stat().st_mode) & 0o444 == stat.S_IMODE(folder.stat().st_mode) & 0o444
        )


def test_the_page_is_well_formed_and_needs_no_other_file(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert not re.search(r"@import|url\((?!#)", text)
    for tag, name, value in page.attributes:
        if name in {"src", "href", "poster", "xlink:href"}:
            assert value.startswith(("data:", "#")), (tag, name, value[:60])


def test_the_page_embeds_the_very_files(folder: Path) -> None:
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    embedded = [b64decode(v.split(",", 1)[1]) for _, name, v in page.attributes if name == "src"]
    for name in ("morph.mp4", "strip.png", "comparison.png"):
        assert (folder / name).read_bytes() in embedded
    assert len(embedded) == 5  # the two images as well


def test_the_page_tells_everything(folder: Path, run: Run) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert run.title in text
    assert run.status in text
    for fact in run.facts:
        assert fact.value in text
    for warning in run.warnings:
        assert warning in text
    assert "1,262" in text  # evaluations of all stages
    assert "video.fps" in text
    assert text.count("<svg") == 3
    assert "went to more nodes" in text


def test_settings_are_told_in_words(tmp_path: Path) -> None:
    settings = {"sizes": (16, 32), "none": None, "empty": "", "flag": True, "in": {"one": 1.5}}
    run = dataclasses.replace(sample_run(n=2, height=16, width=16), settings=settings)
    text = (write_run(tmp_path / "one", run).folder / "report.html").read_text(encoding="utf-8")
    for name, value in {"sizes": "16, 32", "none": "–", "empty": "–", "flag": "yes"}.items():
        assert f'<th scope="row">{name}</th><td>{value}</td>' in text
    assert '<th scope="row">in.one</th><td>1.5</td>' in text


def test_text_of_the_run_is_escaped(tmp_path: Path) -> None:
    run = sample_run(n=2, height=16, width=16, title=ATTACK, prompt=ATTACK)
    run = dataclasses.replace(
        run,
        status=ATTACK,
        reference=ATTACK,
        warnings=(ATTACK,),
        facts=(dataclasses.replace(run.facts[0], label=ATTACK, value=ATTACK, note=ATTACK),),
        films=tuple(dataclasses.replace(film, name=ATTACK) for film in run.films),
        curves=tuple(dataclasses.replace(curve, name=ATTACK) for curve in run.curves),
        cost=(dataclasses.replace(run.cost[0], stage=ATTACK),),
        settings={ATTACK: {ATTACK: ATTACK}},
        versions={ATTACK: ATTACK},
    )
    page = Page((write_run(tmp_path / "one", run).folder / "report.html").read_text("utf-8"))
    assert "script" not in page.tags
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]


def test_a_run_with_nothing_but_a_film_is_reported(tmp_path: Path) -> None:
    full = sample_run(n=2, height=16, width=16)
    bare = Run(
        title="bare",
        first=full.first,
        last=full.last,
        films=full.films[:1],
        curves=(),
        result={},
        tensors={},
    )
    written = write_run(tmp_path / "one", bare)
    assert "comparison.png" not in written.files
    Page((written.folder / "report.html").read_text(encoding="utf-8"))


def test_every_format_can_be_asked_for_and_the_first_is_embedded(tmp_path: Path) -> None:
    video = Video(least_height=1, formats=(Gif(), Mp4(), WebM(), WebP()))
    written = write_run(tmp_path / "one", sample_run(n=3, height=16, width=16, video=video))
    assert {"morph.gif", "morph.mp4", "morph.webm", "morph.webp"} <= set(written.files)
    page = Page((written.folder / "report.html").read_text(encoding="utf-8"))
    assert "video" not in page.tags
    sources = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    gif = b64decode(sources[1].split(",", 1)[1])
    assert Image.open(io.BytesIO(gif)).format == "GIF"


def test_a_second_run_needs_leave_to_replace_the_first(tmp_path: Path) -> None:
    run = sample_run(n=2, height=16, width=16)
    write_run(tmp_path / "one", run)
    with pytest.raises(FileExistsError):
        write_run(tmp_path / "one", run)
    write_run(tmp_path / "one", sample_run(n=3, height=16, width=16), overwrite=True)
    assert len(list((tmp_path / "one" / "frames").iterdir())) == 3


def test_two_runs_of_the_same_data_are_the_same_bytes(tmp_path: Path) -> None:
    run = sample_run(n=3, height=16, width=16)
    first, second = (write_run(tmp_path / name, run) for name in ("one", "two"))
    assert first.files == second.files
    for name in first.files:
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes(), name


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, MemoryError])
def test_an_interrupted_run_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def fail(*args: object, **kwargs: object) -> str:
        raise error("midway")

    monkeypatch.setattr(write_module, "render_html", fail)
    with pytest.raises(error):
        write_run(tmp_path / "runs" / "one", sample_run(n=2, height=16, width=16))
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_json_cannot_hold_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    run = dataclasses.replace(sample_run(n=2, height=16, width=16), result={"model": object()})
    with pytest.raises(TypeError, match="result.model"):
        write_run(tmp_path / "one", run)
    assert list(tmp_path.iterdir()) == []
