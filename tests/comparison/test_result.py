"""What scores of methods on pairs amount to."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.comparison.diagnostics import diagnose
from diffusion_geodesics.comparison.result import (
    ComparisonResult,
    Outcome,
    PairResult,
    plain_features,
)
from diffusion_geodesics.measures import Better, PooledPixels, Quantity, Skipped
from tests.comparison.scenes import fade
from tests.gaussian_model import picture

GOOD = Quantity("good", Better.HIGHER, "more is better")
BAD = Quantity("bad", Better.LOWER, "less is better")
SIZE = Quantity("size", Better.NEITHER, "a number")
ABSENT = Quantity("absent", Better.HIGHER, "nobody has it")


def shown(seed: int, rough: float = 0.0, count: int = 6) -> torch.Tensor:
    noise = torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
    return (picture(seed, 32, 32)[None] + rough * noise).clamp(0, 1)


def pair(name: str, scores: dict[str, dict[str, float]], notes: str = "") -> PairResult:
    ends = torch.stack([picture(1, 32, 32), picture(2, 32, 32)])
    outcomes = {m: Outcome(shown(k), s, notes) for k, (m, s) in enumerate(scores.items())}
    return PairResult(name, ends, outcomes)


def result(pairs: list[PairResult], **more: object) -> ComparisonResult:
    methods = list(pairs[0].outcomes)
    known = ComparisonResult(methods, [GOOD, BAD, SIZE, ABSENT], pairs, "slerp", "pixels")
    return replace(known, **more)  # type: ignore[arg-type]


def scores(good: float, bad: float, size: float = 0.0) -> dict[str, float]:
    return {"good": good, "bad": bad, "size": size}


TABLE = [
    pair("a", {"slerp": scores(1, 1), "new": scores(2, 2)}),
    pair("b", {"slerp": scores(2, 5), "new": scores(2, 3)}),
    pair("c", {"slerp": scores(3, 1), "new": scores(9, 0)}),
    pair("d", {"slerp": scores(math.nan, 1), "new": scores(9, 2)}),
]


def test_means_and_win_rates_are_over_pairs_that_have_both() -> None:
    found = result(TABLE)
    assert found.values("new", "good") == [2, 2, 9, 9]
    assert found.mean("new", "good").mean == 5.5
    assert found.mean("slerp", "good").count == 3
    won = found.wins("new", GOOD)
    assert won is not None
    assert (won.mean, won.count) == (2.5 / 3, 3)
    won = found.wins("new", BAD)
    assert won is not None
    assert (won.mean, won.count) == (2 / 4, 4)
    assert found.wins("new", SIZE) is None, "it does not rank"
    assert found.wins("slerp", GOOD) is None, "against itself"
    assert found.wins("new", ABSENT) is None
    assert result(TABLE, baseline=None).wins("new", GOOD) is None
    assert [q.name for q in found.measured] == ["good", "bad", "size"]
    assert math.isnan(found.values("unknown", "good")[0])


def test_disagreement_is_the_spread_of_the_frames_between() -> None:
    """Two strips that differ by d in every pixel are d/2 from their mean."""
    ends = torch.stack([torch.zeros(3, 32, 32), torch.ones(3, 32, 32)])
    strips = [fade(ends[0], ends[1], 5), (fade(ends[0], ends[1], 5) + 0.1).clamp(0, 1)]
    found = PairResult("p", ends, {str(k): Outcome(s, {}) for k, s in enumerate(strips)})
    assert found.disagreement == pytest.approx(0.05, rel=1e-5)
    assert PairResult("p", ends, {"0": Outcome(strips[0], {})}).disagreement == 0
    failed = {"0": Outcome(strips[0], {}), "1": Outcome(strips[1], {}, "broken", failed=True)}
    assert PairResult("p", ends, failed).disagreement == 0
    shorter = {"0": Outcome(strips[0], {}), "1": Outcome(strips[0][[0, 2, 4]], {})}
    assert PairResult("p", ends, shorter).disagreement == pytest.approx(0, abs=1e-6)


def test_pairs_are_listed_by_disagreement() -> None:
    ends = torch.stack([torch.zeros(3, 32, 32), torch.ones(3, 32, 32)])

    def apart(name: str, gap: float) -> PairResult:
        strips = (fade(ends[0], ends[1], 5), (fade(ends[0], ends[1], 5) + gap).clamp(0, 1))
        return PairResult(name, ends, {str(k): Outcome(s, {}) for k, s in enumerate(strips)})

    pairs = [apart("near", 0.05), apart("far", 0.3), apart("also near", 0.05)]
    found = result(pairs, methods=["0", "1"])
    assert [p.name for p in found.by_disagreement()] == ["far", "also near", "near"]


def test_two_sample_test_and_inception_distances_over_all_pairs() -> None:
    pairs = [
        PairResult(
            f"{k}",
            torch.stack([picture(k, 32, 32), picture(k + 50, 32, 32)]),
            {
                "truth": Outcome(shown(k), {}),
                "same": Outcome(shown(k), {}),
                "rough": Outcome(shown(k, 0.1), {}),
            },
        )
        for k in range(12)
    ]
    done = ComparisonResult(
        ["truth", "same", "rough"], [], pairs, None, "x", inception=PooledPixels(), truth="truth"
    )
    named, sets = done.sets()
    assert [(q.name, q.better) for q in named] == [
        ("FID", Better.LOWER), ("KID", Better.LOWER), ("C2ST", Better.LOWER),
    ]  # fmt: skip
    assert sets["rough"]["C2ST"] > 0.95
    assert sets["same"]["C2ST"] <= 0.5
    assert math.isnan(sets["truth"]["C2ST"])
    assert sets["same"]["FID"] < sets["rough"]["FID"]
    assert sets["same"]["KID"] < sets["rough"]["KID"]
    again = done.sets()[1]["rough"]
    assert again == sets["rough"]
    assert replace(done, inception=None, truth=None).sets() == ((), {m: {} for m in done.methods})


def test_plain_features_are_pixels_and_the_energy_of_gradients() -> None:
    ramp = torch.linspace(0, 1, 32).expand(1, 3, 32, 32).double()
    found = plain_features(ramp)
    assert found.shape == (1, 3 * 16 * 16 + 4 * 64)
    pixels = ramp.unflatten(3, (16, 2)).mean(4)[:, :, ::2]
    assert_close(torch.from_numpy(found[:, : 3 * 256]), pixels.flatten(1))
    energy = np.exp(found[0, 3 * 256 :]).reshape(4, 64) - 1e-6
    step = 1 / 31
    np.testing.assert_allclose(energy[0], step**2, rtol=1e-3)
    np.testing.assert_allclose(energy[1], 0, atol=1e-12)
    np.testing.assert_allclose(energy[2], (2 * step) ** 2, rtol=1e-3)


def test_what_must_be_known_is_said() -> None:
    few = {d.code: str(d) for d in diagnose(result(TABLE))}
    assert few == {"few_pairs": "4 pairs do not rank methods; take 20 or more."}
    assert "1 pair does not rank" in str(diagnose(result(TABLE[:1]))[0])
    many = [replace(TABLE[0], name=str(k)) for k in range(20)]
    assert diagnose(result(many)) == ()
    noted = [pair("a", {"slerp": scores(1, 1)}, "out of steps"), *many[:19]]
    skipped = [Skipped("PPL", "no network", "install it")]
    found = {d.code: str(d) for d in diagnose(result(noted, skipped=skipped))}
    assert found == {
        "method": "slerp, on 1 of 20 pairs: out of steps.",
        "not_measured": "Not measured: PPL.",
    }
