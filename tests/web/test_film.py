"""What the page shows of a film."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from diffusion_geodesics.correspondence import Matches
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.latents.playback import FormatName
from diffusion_geodesics.models import load_model
from diffusion_geodesics.runtime.run import Event
from diffusion_geodesics.runtime.settings import SettingsError
from diffusion_geodesics.web.film import FilmOutcome, api_settings, film_settings, film_work
from diffusion_geodesics.web.job import Job, State, StoppedError
from diffusion_geodesics.web.match_lines import lines
from diffusion_geodesics.web.pictures import Entry, added

SMALL = {"frames": 3, "steps": 4, "level": 0.5, "max_steps": 2}


@pytest.fixture(scope="module")
def made(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> FilmOutcome:
    entries, _ = added((), [str(folder / "a.png"), str(folder / "b.png")])
    settings = film_settings(InterpolationSettings.of(**SMALL, format="gif"), entries)
    work = film_work(entries, settings, tmp_path_factory.mktemp("film"))
    return work(load_model(folder / "model"), lambda event: None)


@pytest.mark.whole
def test_an_mp4_is_made_whatever_was_asked_for(made: FilmOutcome) -> None:
    assert Path(made.film).read_bytes()[4:8] == b"ftyp"
    names = [Path(file).name for file in made.files]
    assert names[:2] == ["morph.gif", "morph.mp4"]
    formats = film_settings(InterpolationSettings.of(format="gif"), ()).playback.format
    assert formats == (FormatName.MP4, FormatName.GIF)


def test_the_zips_hold_the_frames_and_everything(made: FilmOutcome) -> None:
    files = {Path(file).name: file for file in made.files}
    with zipfile.ZipFile(files["frames.zip"]) as frames:
        assert sum(n.endswith(".png") for n in frames.namelist()) == 3
    with zipfile.ZipFile(io.BytesIO(Path(files["everything.zip"]).read_bytes())) as everything:
        names = set(everything.namelist())
        settings = everything.read("settings.toml").decode()
    assert {"result.json", "path.safetensors", "inputs/000.png", "report.html"} <= names
    assert '"inputs/000.png"' in settings  # no path of the server


def test_the_page_has_every_frame_and_those_of_slerp(made: FilmOutcome) -> None:
    strip = re.findall(r'<button.*?data-other="(\d)".*?alt="([^"]*)"', made.viewer, re.DOTALL)
    assert [other for other, _ in strip] == ["0", "1", "2"]
    assert strip[0][1] == "1 of 3, t = 0.00"
    assert 'max="2"' in made.viewer
    assert "slerp" in made.viewer
    assert "<svg" in made.plots
    (record,) = (json.loads(Path(f).read_text()) for f in made.files if f.endswith(".json"))
    assert [image["source"] for image in record["images"]] == ["1. a.png", "2. b.png"]
    assert made.command.startswith("geodesic interpolate a.png b.png -o out")
    assert 'aria-label="lines between picture 1 and picture 2' in made.matches


def test_a_film_stops_at_the_next_step(folder: Path, tmp_path: Path) -> None:
    entries, _ = added((), [str(folder / "a.png"), str(folder / "b.png")])
    job = Job(film_work(entries, InterpolationSettings.of(**SMALL), tmp_path))
    after: list[str] = []

    def load(observer: Any) -> Any:
        observe = job.observe

        def watching(event: Event) -> None:
            if job.look().stages.get("invert"):
                job.stop()
                after.append(event.stage)
            observe(event)

        job.observe = watching  # type: ignore[method-assign]
        return load_model(folder / "model")

    job.run(load)
    assert job.look().state is State.STOPPED
    assert len(after) == 1
    assert not (tmp_path / "run").exists()


def test_settings_of_programs() -> None:
    assert api_settings({}) == InterpolationSettings()
    assert api_settings({"preset": "slerp", "frames": 5}).film.frames == 5
    for wrong in ({"cache": "/tmp"}, {"framez": 3}, {"preset": "nature"}, {"frames": "many"}):
        with pytest.raises(SettingsError):
            api_settings(wrong)


def test_lines_join_what_corresponds() -> None:
    """A shift by a tenth of the edge: places in both pictures are that far apart."""
    displacement = torch.zeros(16, 24, 2)
    displacement[..., 0] = 0.1  # half edges to each side
    found = lines(Matches(displacement).displacement, 80, 120)
    assert found
    for x1, y1, x2, y2 in found:
        assert (x2 - x1, y2 - y1) == pytest.approx((8, 0))
        assert 0 <= x1 < x2 <= 120


def test_lines_that_leave_a_picture_are_left_out() -> None:
    displacement = torch.full((8, 8, 2), 3.0)
    assert lines(displacement, 64, 64) == []


def test_a_stopped_error_is_not_an_error_of_the_job() -> None:
    assert not issubclass(StoppedError, ValueError)
    assert Entry("/tmp/x/a.png", "").name == "a.png"
