"""Clips against geodesics: exact cases of the measures, then the whole on a tiny pipeline."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import diffusion_geodesics as dg
from diffusion_geodesics.apps import Event
from diffusion_geodesics.apps.analyze import (
    Analysis,
    AnalysisSettings,
    Domain,
    Familiarity,
    Variant,
    analyze,
    bootstrap_mean,
)
from diffusion_geodesics.apps.analyze.curves import arc_length, at_arc_length, random_paths
from diffusion_geodesics.apps.analyze.figures import bends
from diffusion_geodesics.apps.analyze.ground import Ground, log_density
from diffusion_geodesics.apps.analyze.local_fit import local_fit
from diffusion_geodesics.apps.analyze.part import measure_part
from diffusion_geodesics.apps.analyze.summary import Interval
from diffusion_geodesics.apps.analyze.variants import shuffled, slowed, window_index, windows
from diffusion_geodesics.apps.events import ignore
from diffusion_geodesics.cli.analyze import analyze as command
from diffusion_geodesics.cli.analyze import parse_moment
from diffusion_geodesics.clips import ClipError, FrameNumber, Reading, Seconds, TensorClip
from diffusion_geodesics.models import StableDiffusionModel
from tests.tiny_pipelines import tiny_pipeline

SHARED = Path(__file__).parents[1].parent / "shared" / "data" / "clips"
QUICK = AnalysisSettings(steps=5, level=0.4, window=7, half=1, shown=2, max_steps=20)
SPHERE = dg.Sphere(3.0)


def ground(alpha: float = 0.3, dim: int = 6) -> Ground:
    mean = torch.zeros(dim, dtype=torch.float64)
    mean[0] = 1.5
    return Ground(dg.Gaussian(mean, 1.0), alpha, SPHERE, 1.0)


def ends(dim: int = 6) -> tuple[Tensor, Tensor]:
    x = torch.randn(2, dim, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    return SPHERE.project(x[0]), SPHERE.project(x[1])


def test_local_fits_are_exact_for_parabolas_and_tell_jitter() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b, c = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    t = torch.arange(9, dtype=torch.float64)[:, None]
    for half in (1, 2, 3):
        fit = local_fit(a + b * t + 0.5 * c * t**2, half)
        torch.testing.assert_close(fit.acceleration, c.expand_as(fit.acceleration))
        torch.testing.assert_close(fit.velocity, b + c * t[half : 9 - half])
    assert float(local_fit(a + c * t**2, 2).jitter) < 1e-12
    noise = torch.randn(400, 50, generator=generator, dtype=torch.float64)
    assert float(local_fit(noise, 2).jitter) == pytest.approx(1.0, abs=0.1)
    with pytest.raises(ValueError, match="at least 7"):
        local_fit(t[:6], 3)


def test_a_geodesic_is_one_and_a_great_arc_is_not() -> None:
    start, end = ends()
    here = ground()
    solution = dg.geodesic(here.score, start, end, alpha=here.alpha, manifold=SPHERE, tol=1e-6)
    rho: list[float] = []
    for n in (17, 33):
        points = solution.path(torch.linspace(0, 1, n, dtype=torch.float64))
        found = bends(here, points[:, None], here.scores(points)[:, None], SPHERE, 1)
        rho.append(float((found.wrong.square().sum() / found.asked.square().sum()).sqrt()))
    assert rho[1] < 0.02
    assert rho[1] < 0.5 * rho[0]
    arc = dg.GreatArc(start, end)(torch.linspace(0, 1, 33, dtype=torch.float64))
    found = bends(here, arc[:, None], here.scores(arc)[:, None], SPHERE, 1)
    assert float(found.residual.mean()) == pytest.approx(1.0, abs=0.05)
    back = bends(here, arc.flip(0)[:, None], here.scores(arc.flip(0))[:, None], SPHERE, 1)
    torch.testing.assert_close(back.residual.flip(0), found.residual)


def test_log_density_is_exact_for_a_gaussian() -> None:
    here = ground()
    points = torch.randn(12, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = log_density(points, here.scores(points))
    exact = here.score.log_prob(torch.zeros(12), points)  # type: ignore[attr-defined]
    torch.testing.assert_close(found, exact - exact[0])


def test_curves_by_length() -> None:
    t = torch.linspace(0, 1, 40, dtype=torch.float64) ** 2
    line = torch.stack([3 * t, 4 * t], -1)[:, None]
    assert float(arc_length(line)[-1]) == pytest.approx(5.0)
    even = at_arc_length(line, torch.tensor([[0.0], [0.5], [1.0]], dtype=torch.float64))
    expected = torch.tensor([[0.0, 0.0], [1.5, 2.0], [3.0, 4.0]], dtype=torch.float64)
    torch.testing.assert_close(even[:, 0], expected)


def test_random_paths_have_the_length_and_the_ends() -> None:
    start, end = (x.expand(3, -1) for x in ends(40))
    length = 3.0 * arc_length(torch.stack([start, end]))[-1]
    paths = random_paths(start, end, length, 17, SPHERE, 0)
    torch.testing.assert_close(arc_length(paths)[-1], length, rtol=1e-6, atol=0)
    torch.testing.assert_close(paths[[0, -1]], torch.stack([start, end]))
    torch.testing.assert_close(paths.norm(dim=-1), torch.full((17, 3), 3.0).double())
    torch.testing.assert_close(random_paths(start, end, length, 17, SPHERE, 0), paths)
    assert not torch.allclose(random_paths(start, end, length, 17, SPHERE, 1), paths)


@pytest.mark.parametrize(
    ("count", "size", "stride"), [(7, 7, 1), (13, 7, 1), (30, 7, 2), (8, 7, 1)]
)
def test_windows_cover_everything(count: int, size: int, stride: int) -> None:
    index = window_index(count, size, stride)
    assert int(index.min()) == 0
    assert int(index.max()) == count - 1
    assert bool((index.diff(dim=0) == stride).all())
    covered = torch.zeros(count, dtype=torch.bool)
    for column in index.T.tolist():
        covered[column[0] : column[-1] + 1] = True
    assert bool(covered.all())
    assert window_index(6, 7).shape == (7, 0)


def test_controls_keep_the_ends_and_the_points() -> None:
    points = SPHERE.project(
        torch.randn(13, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    )
    own = windows(points, points, 7)
    mixed = shuffled(own, 0)
    torch.testing.assert_close(mixed.points[[0, -1]], own.points[[0, -1]])
    torch.testing.assert_close(mixed.points.sort(0).values, own.points.sort(0).values)
    assert not torch.equal(mixed.points, own.points)
    slow = slowed(own.points, SPHERE)
    torch.testing.assert_close(slow[::2], own.points[:4], rtol=0, atol=1e-9)


def test_a_geodesic_as_a_clip_beats_its_controls() -> None:
    start, end = ends(40)
    here = ground(0.05, 40)
    solution = dg.geodesic(here.score, start, end, alpha=0.05, manifold=SPHERE, tol=1e-5)
    points = solution.path(torch.linspace(0, 1, 17, dtype=torch.float64))
    found = measure_part(here, points, AnalysisSettings(half=1, tol=1e-4), ignore)
    clip = found.figures[Variant.CLIP]
    assert float(clip.length) == pytest.approx(1.0, abs=2e-3)
    assert float(clip.deviation) < 1e-3
    assert float(clip.residual) < 0.05
    for variant in (Variant.SHUFFLED, Variant.SLERP, Variant.LERP):
        assert float(found.figures[variant].deviation) > float(clip.deviation)
        assert float(found.figures[variant].residual) > float(clip.residual)
    for name in ("residual", "length", "deviation", "speed"):
        here_and_back = (getattr(found.figures[v], name) for v in (Variant.CLIP, Variant.REVERSED))
        torch.testing.assert_close(*here_and_back, rtol=1e-4, atol=1e-4)
    assert Variant.FAST not in found.figures
    slerp = found.figures[Variant.SLERP]
    assert float(slerp.length) >= 1 - 1e-4
    assert {p.name for p in found.paths} == {"geodesic", "slerp", "lerp"}
    total = float(here.score.log_prob(torch.zeros(2), points[[0, -1]]).diff())  # type: ignore[attr-defined]
    for path in found.paths:
        assert float(path.log_density[-1]) == pytest.approx(total, abs=1e-4)


def test_a_clip_that_ends_where_it_began_has_windows_all_the_same() -> None:
    turn = torch.linspace(0, 2 * math.pi, 25, dtype=torch.float64)[:, None]
    points = torch.cat([3 * turn.cos(), 3 * turn.sin(), torch.zeros(25, 4).double()], 1)
    found = measure_part(ground(), points, AnalysisSettings(window=7), ignore)
    assert found.paths == ()
    assert bool(torch.isfinite(found.figures[Variant.CLIP].deviation).all())
    with pytest.raises(ClipError, match="ends where it began"):
        measure_part(ground(), points, AnalysisSettings(window=25), ignore)


def test_intervals_are_those_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(2.0, 1.0, 400)
    found = bootstrap_mean(values)
    assert found.low < found.mean < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 / 20, rel=0.15)
    assert bootstrap_mean([1.0, math.nan]).mean == 1.0
    assert bootstrap_mean([]).count == 0
    assert Interval(1, 0, 2, 3).below(Interval(4, 3, 5, 3))
    assert not Interval(1, 0, 2, 3).below(Interval(2, 1.5, 5, 3))


def test_the_domain_is_that_of_the_models_own_images() -> None:
    def some(mean: float, width: float) -> Tensor:
        return mean + width * torch.linspace(-1, 1, 16)

    domain = Domain(Familiarity(some(36, 1), some(0.26, 0.02), some(0.94, 0.03)))
    assert domain.strange(Familiarity(some(31, 1), some(0.25, 0.02), some(0.87, 0.03))) == ()
    far = domain.strange(Familiarity(some(21, 1), some(0.7, 0.02), some(1.45, 0.03)))
    assert len(far) == 3
    assert "dB" in far[0]
    nothing = torch.full((3,), math.nan)
    assert len(domain.strange(Familiarity(nothing, nothing, nothing))) == 3


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusionModel:
    pipe = tiny_pipeline(tmp_path_factory.mktemp("tokenizer"))
    return StableDiffusionModel.from_pipeline(pipe)


def moving(n: int = 9, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(2, 3, 6, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(noise, size=(40, 40), mode="bicubic").clamp(0, 1)
    return torch.lerp(smooth[0], smooth[1], torch.linspace(0, 1, n)[:, None, None, None])


@pytest.fixture(scope="module")
def done(model: StableDiffusionModel) -> Analysis:
    return analyze(model, TensorClip(moving(14), "moving"), QUICK)


def test_every_control_is_there(done: Analysis) -> None:
    (part,) = done.parts
    assert list(part.figures) == list(Variant)
    assert part.frames.tolist() == list(range(14))
    assert part.starts.tolist() == [[0, 4, 7], [6, 10, 13]]
    assert len(done.claims) == 7
    assert [f.name for f in part.films] == ["clip", "geodesic", "lerp"]
    assert done.ledger.total.rows > 0
    stages = dict(done.ledger.stages)
    assert 14 * 2 <= stages["invert"].rows <= 14 * 2 * (1 + QUICK.refinements)
    assert stages["decode"].rows == 2 * 2 * 2


def test_it_is_deterministic_and_saved(
    done: Analysis, model: StableDiffusionModel, tmp_path: Path
) -> None:
    again = analyze(model, TensorClip(moving(14), "moving"), QUICK)
    assert again.summary[Variant.RANDOM] == done.summary[Variant.RANDOM]
    written = done.save(tmp_path / "run")
    assert {"report.html", "result.json", "windows.csv", "frames.csv"} <= set(written.files)
    result = json.loads((written.folder / "result.json").read_text())
    assert set(result["summary"]) == {v.value for v in done.parts[0].figures}
    assert result["cost"]["rows"] == done.ledger.total.rows


def test_cuts_and_length_make_parts(model: StableDiffusionModel) -> None:
    plain = AnalysisSettings(
        steps=5, level=0.4, window=5, half=1, shown=0, controls=False, max_steps=10, longest=8
    )
    first, second = 0.3 * moving(8), 1 - 0.2 * moving(11, seed=5)
    seen: list[Event] = []
    clip = TensorClip(torch.cat([first, second]), "cut")
    found = analyze(model, clip, plain, on_event=seen.append)
    assert [p.frames.tolist() for p in found.parts] == [list(range(8)), list(range(8, 16))]
    assert "cut before frame 8" in found.parts[0].ended
    assert "as many as are analysed" in found.parts[1].ended
    assert any("3 frames from number 16 on were left out" in note for note in found.notes)
    assert found.claims == ()
    assert {"invert", "solve"} <= {e.stage for e in seen}


def test_bad_input(model: StableDiffusionModel) -> None:
    with pytest.raises(ClipError, match="no clip"):
        analyze(model, [], QUICK)
    with pytest.raises(ClipError, match="gives 3 frames"):
        analyze(model, TensorClip(moving(3)), QUICK)
    with pytest.raises(ClipError, match="does not move"):
        analyze(model, TensorClip(moving(1).expand(8, -1, -1, -1)), QUICK)
    with pytest.raises(ClipError, match="no frame in the range"):
        analyze(model, TensorClip(moving(8)), QUICK, reading=Reading(start=Seconds(9)))
    for name, value in {"window": 3, "level": 0.0, "half": 0, "shown": 1, "longest": 5}.items():
        with pytest.raises(ValueError, match=name):
            AnalysisSettings(**{name: value})


def test_places_in_a_clip_and_one_line_for_what_is_none(tmp_path: Path) -> None:
    assert parse_moment("2.5s") == Seconds(2.5)
    assert parse_moment("60f") == FrameNumber(60)
    assert parse_moment(None) is None
    with pytest.raises(ValueError, match="such as 2.5"):
        parse_moment("soon")
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(ClipError, match="is empty"):
        command([tmp_path / "empty.mp4"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared clips are not here")
@pytest.mark.parametrize("path", sorted(SHARED.glob("*.mp4")), ids=lambda p: p.stem)
def test_every_shared_clip_runs_to_a_report_that_says_it_is_foreign(
    path: Path, tmp_path: Path
) -> None:
    done = analyze(dg.load_model("embedded", device="cpu"), path, reading=Reading(stride=4))
    assert set(done.strange) == {p.name for p in done.parts}
    assert done.claims == ()
    page = done.save(tmp_path / "run").folder / "report.html"
    assert "Out of the model" in page.read_text()
