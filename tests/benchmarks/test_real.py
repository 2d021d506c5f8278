"""The benchmark of real films: its statistic on known curves, the page on made-up results, and the
networks and one window where the data are."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks import rife
from benchmarks.evidence.methods import PacedPath
from benchmarks.real import betweens, films, rendered, rendered_tables
from benchmarks.real.__main__ import IDENTITY, LANDMARKS, main
from benchmarks.real.betweens import (
    HOLD,
    TRUTH,
    Judge,
    at_true_steps,
    measure_window,
    studies,
    study,
)
from benchmarks.real.clips import (
    Points,
    controls,
    deviation,
    equal_lengths,
    equal_times,
    noise_of,
    steps_of,
)
from benchmarks.real.film import PLACES, Window, anchors, head_film, windows
from benchmarks.real.networks import Identity, Landmarks
from benchmarks.real.page import PAGE, page, reading
from benchmarks.record import RESULTS, Data
from diffusion_geodesics.diffusion import noise_scale
from diffusion_geodesics.images import load_image
from diffusion_geodesics.latents.encode import ModelParts, carry_up
from diffusion_geodesics.manifold import Sphere
from diffusion_geodesics.measures.shift_tolerant import shift_tolerant_lpips
from diffusion_geodesics.runtime.run import Run
from examples.faces import FACE, face_model
from training.clips import Motion

pytestmark = pytest.mark.whole


def line(a: Tensor, b: Tensor, count: int = 33) -> Tensor:
    return torch.lerp(a, b, torch.linspace(0, 1, count, dtype=torch.float64)[:, None])


def arc(angle: float, count: int, dim: int = 2) -> Tensor:
    t = torch.linspace(0, angle, count, dtype=torch.float64)
    return torch.nn.functional.pad(torch.stack([t.cos(), t.sin()], 1), (0, dim - 2))


@pytest.mark.parametrize("speed", [1.0, 3.0])
def test_deviation_of_known_curves(speed: float) -> None:
    """It does not change with the speed along the curve, nor with scale."""
    t = torch.linspace(0, 1, 2001, dtype=torch.float64)[:, None] ** speed
    half = torch.cat([(math.pi * t).cos(), (math.pi * t).sin()], 1)
    for x, expected in ((half, 0.2301), (line(half[0], half[-1], 9), 0.0)):
        for scale in (1.0, 5.0):
            chord = line(x[0], x[-1])
            assert deviation(scale * x, scale * chord, 0.0) == pytest.approx(expected, abs=2e-3)


def test_noise_is_taken_out() -> None:
    """Of deviation and length: with noise as large as the steps they are those without it."""
    generator = torch.Generator().manual_seed(0)
    x = arc(1.5, 40, dim=2000)
    size = float(x.diff(dim=0).norm(dim=1).mean())
    noisy = x + size * 2000**-0.5 * torch.randn(x.shape, generator=generator, dtype=x.dtype)
    found = noise_of(noisy)
    assert found == pytest.approx(size**2, rel=0.15)
    chord = line(x[0], x[-1])
    clean = deviation(x, chord, 0.0)
    assert deviation(noisy, line(noisy[0], noisy[-1]), size**2) == pytest.approx(clean, rel=0.1)
    assert deviation(noisy, line(noisy[0], noisy[-1]), 0.0) < 0.8 * clean
    assert float(steps_of(noisy, size**2).sum()) == pytest.approx(1.5, rel=0.1)


def test_windows_of_equal_length_and_time() -> None:
    steps = torch.tensor([1.0] * 8 + [4.0] * 4)
    assert equal_lengths(steps, 4.0) == [(0, 4), (4, 8)]  # the fast part is too coarse
    assert equal_times(18) == [(0, 8), (8, 16)]
    assert [w.between for w in windows(120, (5, 13), 1)] == [[1, 2, 3], [3, 6, 9]]


def test_controls_keep_the_ends_and_order_what_they_say() -> None:
    x = arc(1.0, 9, dim=6)
    points = Points(x, Sphere(1.0), None, 0.0)  # type: ignore[arg-type]
    found = controls(x, points, seed=0)
    for name, y in found.items():
        torch.testing.assert_close(y[[0, -1]], x[[0, -1]], msg=name)
    assert steps_of(found["random smooth"], 0.0).sum() == pytest.approx(
        float(steps_of(x, 0.0).sum()), rel=0.01
    )
    assert sorted(found["shuffled"][:, 1].tolist()) == sorted(x[:, 1].tolist())
    assert steps_of(found["halves reversed"], 0.0).sum() > 1.5


def made_up() -> Data:
    """Results in which the morph beats both baselines in everything and the geodesic loses."""

    def scores(offset: float, number: int) -> dict[str, float]:
        own = offset + 0.01 * number
        return {
            q.name: own if q.better.value == "higher" else 50 - own for q in betweens.QUANTITIES
        }

    offsets = {
        TRUTH: 9.0,
        HOLD: 0.0,
        "lerp": 2.0,
        "slerp": 2.5,
        "geodesic 1": 1.0,
        "natural 0": 4.0,
        rife.NAME: 3.0,
    }
    rows = [
        {"window": f"{length}-{k}", "length": length, "film": f"film {k % 2}", "seconds": 3.0,
         "scores": {m: scores(offset, k) for m, offset in offsets.items()}}
        for length in (5, 9) for k in range(6)
    ]  # fmt: skip
    curves = ("clip", "five frames", "halves reversed", "shuffled",
              "random smooth", "slerp")  # fmt: skip
    found = [
        {"kind": kind, "first": 8 * k, "last": 8 * k + 8, "speed": 1.0 + k, "apart": 0.01,
         **{of: {c: 0.1 + 0.01 * n + 0.02 * k for n, c in enumerate(curves)}
            for of in ("deviation", "from slerp", "length")}}
        for kind in ("equal time", "equal length") for k in range(8)
    ]  # fmt: skip
    return {
        "studies": studies(rows),
        "windows": rows,
        "films": study("five films", rows, films.QUANTITIES),
        "film windows": rows,
        "clips": {"frames": 80, "noise": 0.7, "step": 11.0, "rows": found},
        "rendered": heads(),
        "settings": {"rendered": rendered.SETTINGS.as_nested()},
    }


def heads() -> list[Data]:
    """Rendered clips of which only turns are nearer to geodesics where they are fast."""

    def row(deviation: float) -> Data:
        own = {c: deviation + 0.01 * n for n, c in enumerate(rendered_tables.CURVES)}
        length = dict.fromkeys(own, 2.0)
        return {
            "noise": 1.0,
            "step": 8.0,
            "speed": 1.0,
            "deviation": own,
            "from slerp": own,
            "length": length,
        }

    return [
        {"actor": k, "motion": motion.value, "plain": speeds, "noise removed": speeds,
         "seconds": 2.0}
        for k in range(4) for motion in Motion
        for slow in (0.2 if motion is Motion.TURN else 0.1,)
        for speeds in ({"slow": row(slow), "fast": row(0.15), "jerky": row(0.15)},)
    ]  # fmt: skip


def test_the_page_says_what_intervals_decide() -> None:
    found = made_up()
    said = reading(found["studies"][0])
    every = "truth, face, ST-LPIPS, landmarks, identity"
    for method, verdict in (("Natural 0", "better"), ("Geodesic 1", "worse")):
        both = "; ".join(f"against {b} {verdict} in {every}" for b in ("slerp", "lerp", rife.NAME))
        assert f"{method}: {both}." in said
    assert not [line for line in said if TRUTH in line or HOLD in line]
    text = page(found)
    assert (
        "Windows of equal time, the film: deviation over its own length of the slower half 0.13"
        in text
    )
    assert "of the faster 0.21" in text
    assert "slow is nearer" in text
    nearer = "the slow one is nearer to its geodesic than the fast one in"
    assert f"Rendered clips, turn: {nearer} 0% [0, 0] of the motions over its own length" in text
    assert f"Rendered clips, light: {nearer} 100% [100, 100]" in text
    assert "turn 0.25 [0.25, 0.25]" in text
    assert "was not installed" not in text
    undecided = copy.deepcopy(found)
    for row in undecided["clips"]["rows"]:
        row["deviation"] = dict.fromkeys(row["deviation"], 0.2 + 0.1 * (row["first"] // 8 % 2))
    assert "slow is nearer" not in page(undecided)
    assert "the intervals overlap" in page(undecided)


@pytest.mark.skipif(not (RESULTS / "real.json").is_file(), reason="no results are committed")
def test_the_page_is_what_the_results_say() -> None:
    found = json.loads((RESULTS / "real.json").read_text(encoding="utf-8"))
    assert PAGE.read_text(encoding="utf-8") == page(found)


def test_it_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(data=tmp_path, kept=tmp_path / "kept")
    told = capsys.readouterr().out
    assert told.count("\n") == 1
    assert "missing in" in told
    assert LANDMARKS in told
    assert list(tmp_path.iterdir()) == []


def portrait(folder: Path) -> Tensor:
    """The astronaut's, as the face model knows faces, (1, 3, 184, 184)."""
    image = load_image(folder / "photos" / "astronaut.png")
    left, top, right, bottom = FACE
    return image[None, :, top:bottom, left:right]


def test_one_window_where_the_data_are(shared_data: Path) -> None:
    """The networks find the face, in its place, and itself in its mirror image; and frames of a
    window are measured, the truth's nearest."""
    face = portrait(shared_data)
    landmarks, identity = Landmarks(shared_data / LANDMARKS), Identity(shared_data / IDENTITY)
    points, logit = landmarks(torch.cat([face, torch.zeros_like(face)]))
    assert logit[0] > 10 > 0 > logit[1]
    torch.testing.assert_close(anchors(points)[0], PLACES, atol=0.03, rtol=0)
    both = identity(torch.cat([face, face.flip(3)]))
    assert both.shape == (2, 128)
    assert both.diff(dim=0).norm() < 0.35
    small = interpolate(face, (40, 40), mode="area").mean(1, keepdim=True).expand(-1, 3, -1, -1)
    film = torch.cat([small.roll(k, 3) for k in (0, 0, 1, 1, 2)])
    judge = Judge(landmarks, identity, shift_tolerant_lpips(shared_data / "weights"))
    settings = betweens.SETTINGS.updated(steps=4, refinements=0)
    row, frames = measure_window(
        face_model(shared_data), film, Window(0, 5), judge, ("slerp",), settings
    )
    assert list(frames)[:4] == ["true frames", TRUTH, HOLD, "slerp"]
    assert (rife.NAME in frames) == rife.installed()
    assert row["nfe"]["slerp"] > 0
    truth = {name: scores["truth"] for name, scores in row["scores"].items()}
    assert truth[TRUTH] > truth["slerp"]


def test_frames_are_taken_where_the_film_has_gone_as_far() -> None:
    """A path that rushes is taken early: where it shows what the film shows."""

    def grey(level: Tensor) -> Tensor:
        return level.float()[:, None, None, None].expand(-1, 3, 4, 4)

    true = grey(torch.tensor([0.0, 0.1, 0.2, 0.6, 1.0]))
    rushing = PacedPath(lambda t: grey(t**0.5))
    found = at_true_steps(rushing, true, [1, 2, 3])
    assert found[:, 0, 0, 0].tolist() == pytest.approx([0.1, 0.2, 0.6], abs=0.09)


def test_frames_of_the_film_have_noise_only_with_start_noise(shared_data: Path) -> None:
    """The figures of docs/models.md, of every twelfth frame."""
    film = head_film(shared_data, Landmarks(shared_data / LANDMARKS))[::12]
    model = face_model(shared_data)
    parts, null = ModelParts.of(Run(), model, (40, 40)), model.encode_prompt("")
    clean = parts.codec.encode(film).double()
    for start, low, high in ((0.0, 0.03, 0.11), (0.04, 0.75, 0.78)):
        inversion = betweens.SETTINGS.updated(start_noise=start).inversion
        level = parts.level(inversion)
        up = carry_up(parts, clean, null, inversion)
        found = noise_scale(clean, up, level.a, level.sigma)
        assert float(found.min()) == pytest.approx(low, abs=0.006)
        assert float(found.max()) == pytest.approx(high, abs=0.006)
