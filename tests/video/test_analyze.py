"""The analysis of clips as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.clips import ClipError, TensorClip
from diffusion_geodesics.models import load_model
from diffusion_geodesics.runtime.run import Event
from diffusion_geodesics.runtime.settings import SettingsError
from diffusion_geodesics.video.analyze import analyze
from diffusion_geodesics.video.controls import Variant
from diffusion_geodesics.video.result import VideoResult
from diffusion_geodesics.video.settings import VideoSettings
from tests.video.scenes import DATA, MODEL, moving

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "clips"
QUICK = VideoSettings.of(steps=40, level=0.4, window=7, half=1, shown=2, max_steps=20, strength=0.3)


@pytest.fixture(scope="module")
def done() -> VideoResult:
    return analyze(MODEL, TensorClip(moving(14), "moving"), QUICK)


def test_every_control_is_there(done: VideoResult) -> None:
    (shot,) = done.shots
    assert list(shot.measured.statistics) == list(Variant)
    assert shot.frames.tolist() == list(range(14))
    assert shot.measured.starts.tolist() == [[0, 4, 7], [6, 10, 13]]
    assert len(done.claims) == 7
    assert [f.name for f in shot.strips] == ["clip", "geodesic", "lerp"]
    assert [len(f.images) for f in shot.strips] == [2, 2, 2]
    assert set(done.summary) == set(Variant)
    assert done.sources == ("",)


def test_the_models_own_images_are_not_foreign(done: VideoResult) -> None:
    assert done.foreign == {}
    assert done.counted == done.shots


def test_costs_are_counted_stage_by_stage(done: VideoResult) -> None:
    rungs = 16
    assert 14 * rungs <= done.costs["invert"].nfe <= 14 * rungs * (1 + QUICK.inversion.refinements)
    assert done.costs["decode"].nfe == 2 * 2 * rungs
    assert done.costs["measure"].nfe > 0
    assert done.costs.total.nfe == sum(c.nfe for _, c in done.costs.stages)


def test_log_densities_are_those_of_the_gaussian(done: VideoResult) -> None:
    """The inverted latents are brought to one sphere; the closed form is taken there."""
    (shot,) = done.shots
    schedule = MODEL.denoiser(16, 16).schedule
    a, sigma = schedule.coefficients(schedule.timestep(40, 0.4))
    assert shot.sigma == sigma
    for path in shot.measured.paths:
        x = path.points[[0, -1]]
        log_p = -0.5 * ((x - a * DATA.mean).square() / DATA.variance(a, sigma)).sum(-1)
        total = float(log_p[1] - log_p[0])
        assert x.norm(dim=-1).tolist() == pytest.approx([shot.radius] * 2, rel=1e-6)
        assert float(path.log_density[-1]) == pytest.approx(total, rel=1e-3, abs=0.05)
        assert float(shot.measured.log_density[-1]) == pytest.approx(total, rel=1e-3, abs=0.05)
    assert shot.density_disagreement == pytest.approx(0, abs=0.1)
    assert float(shot.norms.square().mean().sqrt()) == pytest.approx(shot.radius)
    assert shot.alpha * shot.dim == pytest.approx(0.3)


def test_it_is_deterministic(done: VideoResult) -> None:
    again = analyze(MODEL, TensorClip(moving(14), "moving"), QUICK)
    assert again.summary == done.summary


def test_several_clips_are_analysed_as_one_by_one(done: VideoResult) -> None:
    clips = [TensorClip(moving(14), "moving"), TensorClip(moving(9, seed=3), "other")]
    both = analyze(MODEL, clips, QUICK, shown=0)
    assert [s.clip for s in both.shots] == ["moving", "other"]
    own = done.shots[0].measured.statistics[Variant.CLIP]
    assert_close(both.shots[0].measured.statistics[Variant.CLIP].deviation, own.deviation)
    assert both.shots[0].strips == ()


def test_cuts_and_length_make_shots() -> None:
    first, second = 0.3 * moving(8), 1 - 0.2 * moving(11, seed=5)
    seen: list[Event] = []
    clip = TensorClip(torch.cat([first, second]), "cut")
    found = analyze(
        MODEL, clip, QUICK.updated(window=5, shown=0, controls=False, longest=8, max_steps=10),
        observer=seen.append,
    )  # fmt: skip
    assert [p.frames.tolist() for p in found.shots] == [list(range(8)), list(range(8, 16))]
    assert "cut before frame 8" in found.shots[0].ended
    assert "as many as are analysed" in found.shots[1].ended
    assert [s.name for s in found.shots] == ["cut, part 1", "cut, part 2"]
    assert any("3 frames from number 16 on were left out" in note for note in found.notes)
    assert any("left out" in str(w) for w in found.warnings if w.code == "clip")
    assert found.claims == ()
    assert {"read", "domain", "invert", "solve", "measure"} <= {e.stage for e in seen}


def test_images_of_another_kind_are_foreign_and_nothing_is_claimed_of_them() -> None:
    stripes = torch.linspace(0, 1, 9)[:, None, None, None] * torch.ones(9, 3, 16, 16)
    stripes[:, :, ::2] = 1 - stripes[:, :, ::2]
    found = analyze(MODEL, TensorClip(stripes, "stripes"), QUICK, shown=0)
    assert set(found.foreign) == {"stripes"}
    assert found.claims == ()
    assert found.counted == found.shots, "what there is is counted all the same"
    assert found.warnings[0].code == "foreign"


def test_bad_input() -> None:
    with pytest.raises(ClipError, match="no clip"):
        analyze(MODEL, [], QUICK)
    with pytest.raises(ClipError, match="gives 3 frames"):
        analyze(MODEL, TensorClip(moving(3)), QUICK)
    with pytest.raises(ClipError, match="does not move"):
        analyze(MODEL, TensorClip(moving(2)[:1].expand(8, -1, -1, -1)), QUICK)
    with pytest.raises(ClipError, match="no frame in the range"):
        analyze(MODEL, TensorClip(moving(8)), QUICK, start="9")


def test_a_file_that_is_no_clip_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(ClipError, match="is empty"):
        analyze(MODEL, tmp_path / "empty.mp4", QUICK)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("window", {"window": 3}),
        ("window", {"window": 6, "half": 3}),
        ("level", {"level": 0.0}),
        ("half", {"half": 0}),
        ("shown", {"shown": 1}),
        ("longest", {"longest": 9, "window": 10}),
        ("stride", {"stride": 0}),
    ],
)
def test_settings_out_of_range_are_refused(name: str, given: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=f"^{name} is"):
        VideoSettings.of(**given)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared clips are not here")
@pytest.mark.parametrize("path", sorted(SHARED.glob("*.mp4")), ids=lambda p: p.stem)
def test_every_shared_clip_is_analysed_and_called_foreign(path: Path) -> None:
    done = analyze(load_model("embedded", device="cpu"), path, stride=4)
    assert set(done.foreign) == {shot.name for shot in done.shots}
    assert done.claims == ()
