"""What the figures of clips amount to: means with intervals, and claims that hold or do not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch

from diffusion_geodesics.latents.domain import Familiarity
from diffusion_geodesics.measures import Interval, bootstrap_mean
from diffusion_geodesics.models.info import ModelInfo
from diffusion_geodesics.runtime.cost import CostBreakdown
from diffusion_geodesics.video.claims import by_clips, claims, interval, shown, summarise, units
from diffusion_geodesics.video.controls import Variant
from diffusion_geodesics.video.diagnostics import diagnose
from diffusion_geodesics.video.geodesics import EndsPath
from diffusion_geodesics.video.result import Claim, ShotAnalysis, VideoResult, counted
from diffusion_geodesics.video.settings import VideoSettings
from diffusion_geodesics.video.shot import Measured
from diffusion_geodesics.video.statistics import Bends, Statistics
from tests.video.scenes import MODEL

SMALL, LARGE = (0.10, 0.12, 0.11, 0.13), (0.50, 0.52, 0.55, 0.51)


def statistics(values: tuple[float, ...]) -> Statistics:
    column = torch.tensor(values, dtype=torch.float64)
    return Statistics(**dict.fromkeys(Statistics.names(), column))


def path(name: str, middle: float) -> EndsPath:
    """A path whose log density is ``middle`` above that of both its ends."""
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    height = torch.where((t > 0.1) & (t < 0.9), middle, 0.0).double()
    return EndsPath(name, t, height, torch.ones(9), torch.zeros(2, 3), 1.0)


DENSE = {"geodesic": 2.0, "slerp": -0.1, "lerp": -3.0}
"""Log densities in the middle, as the paper has them."""


def shot(
    clip: str,
    values: Mapping[Variant, tuple[float, ...]],
    *,
    middles: Mapping[str, float] | None = None,
    solved: tuple[int, int] = (4, 4),
    psnr: float = 40.0,
) -> ShotAnalysis:
    """A shot with given statistics, one number a window, the same for all of them."""
    middles = DENSE if middles is None else middles
    three = torch.ones(3)
    windows = len(next(iter(values.values())))
    measured = Measured(
        starts=torch.zeros(2, windows, dtype=torch.long),
        statistics={v: statistics(x) for v, x in values.items()},
        bends=Bends(three, three, three, three, torch.tensor(0.0)),
        log_density=torch.zeros(3),
        noise_energy=three,
        paths=tuple(path(n, m) for n, m in middles.items()),
        solved=solved,
        residual=0.5,
    )
    return ShotAnalysis(
        clip=clip,
        number=0,
        frames=torch.arange(3),
        times=torch.arange(3) / 25,
        ended="",
        measured=measured,
        norms=three,
        steps=torch.ones(2),
        known=Familiarity(torch.full((3,), psnr), three),
        strips=(),
        radius=1.0,
        sigma=1.0,
        alpha=0.1,
        dim=3,
        half=1,
    )


Values = dict[Variant, tuple[float, ...]]
CONTROLS: tuple[Variant, ...] = (Variant.SHUFFLED, Variant.RANDOM)


VALUES: Values = {Variant.CLIP: SMALL, Variant.SLOW: SMALL, Variant.FAST: LARGE} | dict.fromkeys(
    CONTROLS, LARGE
)
"""Closer to geodesics than the controls, and closer when slow."""


def good(clip: str = "a") -> ShotAnalysis:
    return shot(clip, VALUES)


def verdicts(*shots: ShotAnalysis) -> list[bool | None]:
    return [c.holds for c in claims(shots)]


def test_claims_hold_where_intervals_are_apart() -> None:
    assert verdicts(good()) == [True] * 7


def test_claims_are_refuted_where_they_are_apart_the_other_way() -> None:
    values: Values = {Variant.CLIP: LARGE, Variant.SLOW: LARGE, Variant.FAST: SMALL}
    middles = {"geodesic": -2.0, "slerp": 0.0, "lerp": 3.0}
    bad = shot("a", values | dict.fromkeys(CONTROLS, SMALL), middles=middles)
    assert verdicts(bad) == [False] * 7


def test_nothing_is_decided_where_intervals_overlap() -> None:
    all_alike: Values = dict.fromkeys(
        (Variant.CLIP, Variant.SLOW, Variant.FAST, *CONTROLS), (0.1, 0.9, 0.4, 0.6)
    )
    one = shot("a", all_alike, middles={"geodesic": 1.0, "slerp": 0.0, "lerp": -1.0})
    other = shot("b", all_alike, middles={"geodesic": -1.0, "slerp": 0.0, "lerp": 1.0})
    assert verdicts(one, other) == [None] * 7


def test_a_clip_that_ends_where_it_began_makes_no_claim_of_density() -> None:
    assert len(claims([shot("a", VALUES, middles={})])) == 5


def test_verdicts_are_put_in_words() -> None:
    said = [Claim("c", "f", holds).verdict for holds in (True, False, None)]
    assert said == ["holds here", "the opposite here", "not decided here"]


def test_with_few_clips_windows_are_what_is_resampled_and_with_five_clips() -> None:
    few = [shot(f"clip {k}", {Variant.CLIP: SMALL}) for k in range(4)]
    assert not by_clips(few)
    assert units(few, Variant.CLIP, "length").tolist() == [*SMALL] * 4
    many = [*few, shot("clip 4", {Variant.CLIP: (0.3, math.nan, math.nan, 0.5)})]
    assert by_clips(many)
    mean = sum(SMALL) / 4
    assert units(many, Variant.CLIP, "length") == pytest.approx([mean] * 4 + [0.4])
    assert units(many, Variant.LERP, "length").size == 0
    found = interval(many, Variant.CLIP, "length", seed=3)
    assert found == bootstrap_mean(units(many, Variant.CLIP, "length"), seed=3)


def test_the_summary_has_every_statistic_of_every_variant_that_is_there() -> None:
    found = summarise([good()], 0)
    assert set(found) == {Variant.CLIP, Variant.SLOW, Variant.FAST, *CONTROLS}
    assert set(found[Variant.CLIP]) == set(Statistics.names())
    assert found[Variant.CLIP]["residual"].mean == pytest.approx(0.115)


def test_intervals_are_shown_short() -> None:
    assert shown(Interval(1.2345, 1.1, 1.31, 5)) == "1.23 [1.1, 1.31]"
    assert shown(Interval(1.2345, math.nan, math.nan, 1)) == "1.23"
    assert shown(Interval(math.nan, math.nan, math.nan, 0)) == "–"


def test_each_thing_to_know_is_said_foreign_clips_first() -> None:
    shots = (
        good("a"),
        shot("b", {Variant.CLIP: (0.6, 0.8)}, solved=(3, 4)),
        shot("c", VALUES, middles={}),
        shot("d", VALUES, psnr=10.0),
    )
    result = VideoResult(
        settings=VideoSettings(),
        model=ModelInfo.of(MODEL),
        sources=("",),
        shots=shots,
        notes=("a note",),
        summary={},
        claims=(),
        costs=CostBreakdown(),
    )
    assert list(result.foreign) == ["d"]
    assert result.counted == shots[:3]
    found = diagnose(result)
    assert [d.code for d in found] == ["foreign", "not_converged", "jitter", "closed", "clip"]
    assert "Foreign to the model" in found[0].message
    assert "reproduces them at 10.0 dB" in found[0].message
    assert "1 of 4 geodesics were not found (residual up to 0.5)" in found[1].message
    assert found[2].data["jitter"] == pytest.approx(0.7)
    assert found[3].message.startswith("c ends where it began")


def test_foreign_shots_do_not_count_unless_all_are() -> None:
    known, other = good(), shot("b", VALUES, psnr=10.0)
    assert counted((known, other)) == (known,)
    assert counted((other,)) == (other,)


def test_the_disagreement_of_densities_is_the_spread_of_their_ends() -> None:
    found = good()
    assert found.density_disagreement == 0
    off = replace(found.measured, log_density=torch.tensor([0.0, 0.0, 0.25]))
    assert replace(found, measured=off).density_disagreement == 0.25
    assert shot("a", VALUES, middles={}).density_disagreement is None
