"""Every method on every pair: measured alike, and resumable pair by pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.comparison.at_level import AtLevel
from diffusion_geodesics.comparison.baselines import LatentLerp, OtherProgram, PixelBlend
from diffusion_geodesics.comparison.compare import CodecFeatures, compare
from diffusion_geodesics.comparison.method import Context, Method
from diffusion_geodesics.comparison.pairs import Pair
from diffusion_geodesics.comparison.rendered import Renderable, Rendered
from diffusion_geodesics.comparison.result import ComparisonResult
from diffusion_geodesics.diffusion import NonFiniteError
from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.interpolation.paths import Geodesic, Natural
from diffusion_geodesics.interpolation.settings import PathName
from diffusion_geodesics.latents.settings import Metric, Solve
from diffusion_geodesics.measures import Better, Measure, PooledPixels, Quantity, Strip
from diffusion_geodesics.runtime.run import Event
from diffusion_geodesics.runtime.settings import SettingsError
from tests.comparison.scenes import MODEL, QUICK, fade, pair, write_strip
from tests.correspondence.scenes import function_model
from tests.gaussian_model import picture

PAIRS = [pair("one", 1), pair("two", 3)]
SOLVE = Solve(max_steps=20, intervals=(8,))
METHODS: Sequence[Method] = (PixelBlend(), AtLevel(), AtLevel(Geodesic(Metric(), SOLVE)))


@pytest.fixture(scope="module")
def done() -> ComparisonResult:
    return compare(MODEL, PAIRS, METHODS, QUICK)


def test_every_method_has_every_quantity_on_every_pair(done: ComparisonResult) -> None:
    assert list(done.methods) == ["pixel blend", "slerp", "geodesic"]
    assert done.baseline == "slerp"
    assert [p.name for p in done.pairs] == ["one", "two"]
    for name in ("end PSNR", "end SSIM", "ghosting", "feature length", "NFE"):
        assert all(math.isfinite(v) for m in done.methods for v in done.values(m, name)), name
    assert done.mean("pixel blend", "ghosting").mean == pytest.approx(1.0, abs=1e-3)
    assert min(done.values("pixel blend", "end PSNR")) > 55, "rounded to 256 levels"
    assert math.isnan(done.mean("pixel blend", "log p min").mean)


def test_the_geodesic_is_no_longer_than_slerp_and_nearer_to_the_equation(
    done: ComparisonResult,
) -> None:
    for k in range(2):
        lengths = {m: done.values(m, "length")[k] for m in ("slerp", "geodesic")}
        residuals = {m: done.values(m, "residual")[k] for m in ("slerp", "geodesic")}
        assert lengths["geodesic"] <= lengths["slerp"]
        assert residuals["geodesic"] < 0.1 * residuals["slerp"]


def test_costs_are_those_of_inversion_path_and_frames(done: ComparisonResult) -> None:
    """Three rungs; three frames, each a network evaluation a rung."""
    frames = 3 * 3
    for k in range(2):
        slerp, geodesic = (done.values(m, "NFE")[k] for m in ("slerp", "geodesic"))
        inversion = slerp - frames
        assert 2 * 3 <= inversion <= 2 * 3 * (1 + QUICK.inversion.refinements)
        assert geodesic > slerp + 65, "and the solver's"
        assert done.values("pixel blend", "NFE")[k] == 0


def test_win_rates_are_against_slerp(done: ComparisonResult) -> None:
    ghost = next(q for q in done.measured if q.name == "ghosting")
    assert done.wins("slerp", ghost) is None
    blend = done.wins("pixel blend", ghost)
    assert blend is not None
    assert (blend.mean, blend.count) == (0.0, 2)
    length = next(q for q in done.measured if q.name == "length")
    assert done.wins("geodesic", length) is None, "lengths do not rank"


def test_length_and_density_are_those_of_interpolate(done: ComparisonResult) -> None:
    for k, one in enumerate(PAIRS):
        morph = interpolate(
            MODEL, [one.a, one.b], path=PathName.GEODESIC, strength=1.0, steps=6, level=0.5,
            refinements=6, intervals=8, max_steps=20, frames=3, allow_atypical=True,
        )  # fmt: skip
        (segment,) = morph.segments
        profiles = {p.name: p for p in segment.profiles}
        found = done.pairs[k].outcomes
        assert found["geodesic"].scores["length"] == pytest.approx(
            profiles["geodesic"].length, rel=1e-6
        )
        for name, points in (("slerp", 1e-9), ("geodesic", 1e-3)):  # measured at 33 or 65 points
            scores, profile = found[name].scores, profiles[name]
            assert scores["length"] == pytest.approx(profile.length, rel=1e-6)
            assert scores["noise energy"] == pytest.approx(profile.least_energy, rel=points)


def test_several_pairs_are_compared_as_one_by_one(done: ComparisonResult) -> None:
    for k, one in enumerate(PAIRS):
        alone = compare(MODEL, [one], METHODS, QUICK)
        for method in done.methods:
            assert torch.equal(
                alone.pairs[0].outcomes[method].frames, done.pairs[k].outcomes[method].frames
            )
            for q in done.quantities:
                if q.name != "seconds":
                    assert alone.values(method, q.name) == pytest.approx(
                        done.values(method, q.name)[k : k + 1], nan_ok=True, rel=1e-9
                    )


@pytest.mark.whole
def test_a_stopped_comparison_goes_on_where_it_was(done: ComparisonResult, tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if event.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(MODEL, PAIRS, METHODS, QUICK, resume=tmp_path / "kept", observer=stop)
    kept = list((tmp_path / "kept").rglob("*.safetensors"))
    assert len(kept) == 1
    stamp = kept[0].stat().st_mtime_ns
    again = compare(MODEL, PAIRS, METHODS, QUICK, resume=tmp_path / "kept")
    assert kept[0].stat().st_mtime_ns == stamp
    for method in done.methods:
        for q in done.quantities:
            if q.name != "seconds":
                assert again.values(method, q.name) == pytest.approx(
                    done.values(method, q.name), nan_ok=True, rel=1e-12
                )
        for mine, theirs in zip(again.pairs, done.pairs, strict=True):
            assert_close(mine.outcomes[method].frames, theirs.outcomes[method].frames)
    compare(MODEL, PAIRS, METHODS, QUICK, level=0.3, resume=tmp_path / "kept")
    assert len(list((tmp_path / "kept").rglob("*.safetensors"))) == 4, (
        "other settings, other results"
    )
    kept[0].write_bytes(b"damaged")
    with pytest.raises(ValueError, match="is damaged"):
        compare(MODEL, PAIRS, METHODS, QUICK, resume=tmp_path / "kept")


def test_progress_is_told_pair_by_pair() -> None:
    events: list[Event] = []
    compare(MODEL, PAIRS, [PixelBlend()], QUICK, observer=events.append)
    assert [(e.done, e.total, e.detail) for e in events if e.stage == "pairs"] == [
        (0, 2, "one"), (1, 2, "two"), (2, 2, ""),
    ]  # fmt: skip


@dataclass(frozen=True)
class Jump(Method):
    """From one image to the other at once."""

    @property
    def name(self) -> str:
        return "jump"

    def path(self, context: Context, pair: str) -> Renderable:
        return Rendered(lambda t: context.images[(t > 0.5).long()])


@dataclass(frozen=True)
class Broken(Method):
    @property
    def name(self) -> str:
        return "broken"

    def path(self, context: Context, pair: str) -> Renderable:
        raise NonFiniteError("got NaN")


def test_a_new_method_is_one_small_class() -> None:
    found = compare(MODEL, PAIRS[:1], [Jump(), PixelBlend()], QUICK)
    assert found.values("jump", "ghosting") == [0.0]
    assert found.values("jump", "largest step") == [2.0]
    assert found.baseline is None


def test_one_bad_path_does_not_end_the_run() -> None:
    found = compare(MODEL, PAIRS[:1], [Broken(), PixelBlend()], QUICK)
    outcome = found.pairs[0].outcomes["broken"]
    assert outcome.failed
    assert outcome.note == "failed: got NaN"
    assert float(outcome.frames.abs().max()) == 0
    assert math.isnan(found.mean("broken", "ghosting").mean)
    assert any("broken, on 1 of 1 pairs: failed" in str(w) for w in found.warnings)


def test_prompts_of_a_pair_replace_those_of_the_settings() -> None:
    a, b = picture(1), picture(2)
    own = compare(MODEL, [Pair("p", a, b, "abc", "x")], [AtLevel()], QUICK, prompt="zzzzzz")
    same = compare(MODEL, [Pair("p", a, b)], [AtLevel()], QUICK, prompt=("abc", "x"))
    half = compare(MODEL, [Pair("p", a, b, None, "x")], [AtLevel()], QUICK, prompt="abc")
    other = compare(MODEL, [Pair("p", a, b)], [AtLevel()], QUICK, prompt="zzzzzz")
    frames = [r.pairs[0].outcomes["slerp"].frames for r in (own, same, half, other)]
    assert torch.equal(frames[0], frames[1])
    assert torch.equal(frames[0], frames[2])
    assert not torch.equal(frames[0], frames[3])


@dataclass(frozen=True)
class Brightness(Measure):
    """The mean of the middle frame, less a number that belongs to the pair."""

    less: float

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        return (Quantity("brightness", Better.NEITHER, "mean of the middle frame"),)

    def __call__(self, strip: Strip) -> dict[str, float]:
        return {"brightness": float(strip.frames[1].mean()) - self.less}


def test_further_measures_may_know_the_pair() -> None:
    means = {p.name: 0.5 * (p.a + p.b).mean() for p in PAIRS}  # type: ignore[operator]
    found = compare(
        MODEL, PAIRS, [PixelBlend()], QUICK, further=lambda p: [Brightness(float(means[p.name]))]
    )
    assert found.values("pixel blend", "brightness") == pytest.approx([0.0, 0.0], abs=2e-3)


def test_a_strip_of_another_program_is_ranked(tmp_path: Path) -> None:
    one = PAIRS[0]
    write_strip(tmp_path / "theirs", fade(picture(1), picture(2)))
    methods = [AtLevel(), OtherProgram("theirs", tmp_path / "theirs")]
    found = compare(MODEL, [one], methods, QUICK)
    assert found.values("theirs", "ghosting")[0] > 0.99
    assert found.values("theirs", "end PSNR")[0] > 50
    ghost = next(q for q in found.measured if q.name == "ghosting")
    assert found.wins("theirs", ghost) is not None


def test_features_are_latents_of_the_autoencoder() -> None:
    codec = MODEL.codec(16, 16)
    images = torch.stack([picture(1), picture(2)])
    assert torch.equal(CodecFeatures(codec)(images), codec.encode(images))


def test_images_are_matched_where_the_network_has_features() -> None:
    """The natural path warps them; its ends stay those of the level."""
    first, last = picture(1, 16, 24), picture(2, 16, 24)
    methods = [AtLevel(), AtLevel(Natural(Metric(strength=0.0)))]
    found = compare(
        function_model(), [Pair("p", first, last)], methods,
        steps=6, level=0.4, refinements=6, frames=3, size=(16, 24),
    )  # fmt: skip
    natural, slerp = (found.pairs[0].outcomes[m] for m in ("natural", "slerp"))
    assert natural.note == ""
    assert_close(natural.frames[[0, 2]], slerp.frames[[0, 2]], rtol=0, atol=1.01 / 255)
    assert not torch.equal(natural.frames[1], slerp.frames[1])
    without = compare(MODEL, PAIRS[:1], [AtLevel(Natural())], QUICK)
    assert without.pairs[0].outcomes["natural"].note.startswith("no features to match")


def test_bad_comparisons_are_refused() -> None:
    one = PAIRS[0]
    with pytest.raises(ValueError, match="at least one"):
        compare(MODEL, [], [AtLevel()], QUICK)
    with pytest.raises(ValueError, match="method slerp twice"):
        compare(MODEL, [one], [AtLevel(), AtLevel()], QUICK)
    with pytest.raises(ValueError, match="pair one twice"):
        compare(MODEL, [one, one], [AtLevel()], QUICK)
    with pytest.raises(ValueError, match="needs a prompt"):
        compare(MODEL, [one], [AtLevel(guidance=2.0)], QUICK)
    with pytest.raises(SettingsError, match="^frames is 2"):
        compare(MODEL, [one], [AtLevel()], QUICK, frames=2)
    with pytest.raises(ValueError, match="none of the methods"):
        compare(MODEL, [one], [AtLevel()], QUICK, truth="truth")
    with pytest.raises(ValueError, match="identical"):
        compare(MODEL, [Pair("p", picture(1), picture(1))], [LatentLerp()], QUICK)
    assert PooledPixels().name == "pixels averaged to 32x32"
