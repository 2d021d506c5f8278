"""The main job on a tiny random pipeline: what must hold whatever the weights.

Here geodesics are those of the fixed shell; `test_carried` has those of the moving frame.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import diffusion_geodesics as dg
from diffusion_geodesics.apps import Estimate, Event, Family, Interpolation, Pace, Settings
from diffusion_geodesics.apps.chart import FlatChart, shell
from diffusion_geodesics.apps.interpolation import AtypicalError
from diffusion_geodesics.apps.track import track
from diffusion_geodesics.length import interpolate_chebyshev
from diffusion_geodesics.models import StableDiffusionModel
from tests.tiny_pipelines import tiny_pipeline

QUICK = Settings(steps=8, level=0.5, frames=5, tol=1e-3, carried=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusionModel:
    pipe = tiny_pipeline(tmp_path_factory.mktemp("tokenizer"))
    return StableDiffusionModel.from_pipeline(pipe)


@pytest.fixture(scope="module")
def images() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    noise = torch.rand(2, 3, 8, 8, generator=generator)
    smooth = torch.nn.functional.interpolate(noise, size=(48, 40), mode="bicubic").clamp(0, 1)
    return smooth[0], smooth[1]


@pytest.fixture(scope="module")
def done(model: StableDiffusionModel, images: tuple[Tensor, Tensor]) -> Interpolation:
    return dg.interpolate(model, *images, QUICK)


def test_a_morph_has_every_figure(done: Interpolation) -> None:
    assert done.frames.shape == (5, 3, *done.inputs.shape[2:])
    assert 0 <= float(done.frames.min()) <= float(done.frames.max()) <= 1
    assert done.times[0] == 0
    assert done.times[-1] == 1
    assert bool((done.times.diff() > 0).all())
    assert done.solution is not None
    assert done.solution.result is dg.Result.converged
    assert float(done.solution.residual) < 1e-3
    assert done.log_density[0] == 0
    assert [t.name for t in done.tracks] == ["geodesic", "slerp", "lerp"]
    assert done.lengths["geodesic"] <= done.lengths["slerp"] * (1 + 1e-6)
    assert done.lengths["geodesic"] <= done.lengths["lerp"] * (1 + 1e-6)
    assert done.distance is not None
    assert math.isfinite(done.distance)


def test_the_ends_are_the_images_as_the_model_reproduces_them(
    model: StableDiffusionModel, images: tuple[Tensor, Tensor], done: Interpolation
) -> None:
    finer = dg.interpolate(model, *images, QUICK, frames=2)
    for end, best in zip(finer.endpoint_psnr, finer.codec_psnr, strict=True):
        assert end > best - 0.5
    pixels = dg.interpolate(model, *images, QUICK, frames=2, keep_pixels=True)
    torch.testing.assert_close(pixels.frames, pixels.inputs.to(pixels.frames))
    assert pixels.endpoint_psnr == pytest.approx(
        dg.interpolate(model, *images, QUICK, frames=2).endpoint_psnr
    )


def test_rows_are_counted(
    model: StableDiffusionModel, images: tuple[Tensor, Tensor], done: Interpolation
) -> None:
    stages = dict(done.ledger.stages)
    assert 2 * 4 <= stages["invert"].rows <= 2 * 4 * (1 + QUICK.refinements)
    assert stages["decode"].rows == 5 * 4
    assert stages["compare"].rows == 5 * 4
    assert done.solution is not None
    assert stages["solve"].rows == done.solution.score_evals
    assert stages["measure"].rows == 33 + 33 + 33  # slerp; lerp on the sphere, and as it is
    ratio = dg.interpolate(model, *images, QUICK, prompt_a="ab", estimate=Estimate.RATIO)
    assert ratio.solution is not None
    assert ratio.ledger["solve"].rows == 2 * ratio.solution.score_evals
    bump = dg.interpolate(model, *images, QUICK, prompt_a="ab", guidance=2.0, compare=False)
    assert bump.compared is None
    assert bump.ledger["compare"].rows == 0
    assert bump.ledger["decode"].rows == (5 + 3) * 4  # no unconditional half at the ends


def test_it_is_deterministic(
    model: StableDiffusionModel, images: tuple[Tensor, Tensor], done: Interpolation
) -> None:
    again = dg.interpolate(model, *images, QUICK)
    torch.testing.assert_close(again.frames, done.frames, rtol=0, atol=0)
    assert again.lengths == done.lengths


def test_exchanging_the_images_reverses_the_path(
    model: StableDiffusionModel, images: tuple[Tensor, Tensor], done: Interpolation
) -> None:
    back = dg.interpolate(model, images[1], images[0], QUICK, pace=Pace.PARAMETER, tol=1e-5)
    forth = dg.interpolate(model, *images, QUICK, pace=Pace.PARAMETER, tol=1e-5)
    torch.testing.assert_close(back.frames.flip(0), forth.frames, rtol=0, atol=2e-3)
    assert back.distance == pytest.approx(forth.distance, rel=1e-3)


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("flat", [False, True])
def test_every_family_runs(
    model: StableDiffusionModel, images: tuple[Tensor, Tensor], family: Family, flat: bool
) -> None:
    morph = dg.interpolate(model, *images, QUICK, family=family, flat=flat, frames=3)
    assert morph.film.name == family.value
    assert morph.compared is not None
    assert morph.compared.name != family.value
    assert (morph.solution is not None) == (family is Family.GEODESIC)
    ends = morph.chart.latent(torch.tensor([0.0, 1.0]), morph.path(torch.tensor([0.0, 1.0])))
    assert bool(torch.isfinite(ends).all())


def test_without_strength_the_geodesic_is_slerp(
    model: StableDiffusionModel, images: tuple[Tensor, Tensor]
) -> None:
    plain = dg.interpolate(model, *images, QUICK, strength=0.0, pace=Pace.PARAMETER)
    slerp = dg.interpolate(
        model, *images, QUICK, strength=0.0, family=Family.SLERP, pace=Pace.PARAMETER
    )
    torch.testing.assert_close(plain.frames, slerp.frames, rtol=0, atol=1e-4)
    assert plain.lengths["geodesic"] == pytest.approx(slerp.lengths["slerp"], rel=1e-6)


def test_paces_space_the_frames_as_they_say(
    model: StableDiffusionModel, images: tuple[Tensor, Tensor]
) -> None:
    from diffusion_geodesics.apps.pacing import frame_times

    morph = dg.interpolate(model, *images, QUICK, strength=20.0, allow_atypical=True)
    assert morph.solution is not None
    track, profile = morph.tracks[0], morph.solution.profile
    even = frame_times(Pace.PARAMETER, 9, track, profile)
    torch.testing.assert_close(even, torch.linspace(0, 1, 9, dtype=torch.float64))
    metric = frame_times(Pace.METRIC, 9, track, profile)
    walked = interpolate_chebyshev(profile.t, profile.arc_length, metric)
    steps = walked.diff()
    assert float(steps.max() / steps.min()) < 1.01
    seen = frame_times(Pace.PERCEPTUAL, 9, track, profile)
    fine = torch.cat([torch.linspace(float(a), float(b), 40) for a, b in pairwise(seen)])
    clean = interpolate_chebyshev(track.t, track.clean, fine.double())
    hops = clean.diff(dim=0).norm(dim=1).reshape(-1)
    groups = torch.stack([hops[i * 40 : i * 40 + 39].sum() for i in range(8)])
    assert float(groups.max() / groups.min()) < 1.05


def test_the_output_folder(done: Interpolation, tmp_path: Path) -> None:
    written = done.save(tmp_path / "run")
    result = json.loads((written.folder / "result.json").read_text())
    for key in (
        "result residual length distance distance_error log_density endpoint_psnr settings model "
        "versions cost times"
    ).split():
        assert key in result, key
    assert set(result["length"]) == {"geodesic", "lerp", "slerp"}
    assert {"rows", "solver_rows", "calls", "seconds", "stages"} <= set(result["cost"])
    assert result["cost"]["rows"] == done.ledger.total.rows
    assert result["cost"]["solver_rows"] == done.ledger["solve"].rows > 0
    assert len(result["log_density"]) == len(done.frames)
    assert set(result["model"]) >= {"id", "hash"}
    tensors = load_file(written.folder / "path.safetensors")
    assert tensors["latents"].shape == (33, done.dim)
    assert {"strip.png", "morph.mp4", "report.html", "frames/004.png"} <= set(written.files)
    with pytest.raises(FileExistsError):
        done.save(tmp_path / "run")
    done.save(tmp_path / "run", overwrite=True)


def test_a_path_that_leaves_the_typical_set_is_refused(
    model: StableDiffusionModel, images: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diffusion_geodesics.apps.interpolation.LEAST_ENERGY", 2.0)
    with pytest.raises(AtypicalError, match="--allow-atypical"):
        dg.interpolate(model, *images, QUICK)
    morph = dg.interpolate(model, *images, QUICK, allow_atypical=True)
    assert any("typical set" in w for w in morph.warnings)


def test_a_length_with_a_large_error_bar_is_warned_about(done: Interpolation) -> None:
    assert done.solution is not None
    unsure = replace(done.solution, distance_error=0.3 * done.solution.length)
    assert any("error bar" in w for w in replace(done, solution=unsure).warnings)
    assert not any("error bar" in w for w in done.warnings)


def test_progress_and_cancelling(
    model: StableDiffusionModel, images: tuple[Tensor, Tensor]
) -> None:
    seen: list[Event] = []
    dg.interpolate(model, *images, QUICK, on_event=seen.append)
    stages = list(dict.fromkeys(e.stage for e in seen))
    assert stages == ["encode", "invert", "solve", "measure", "decode", "compare"]

    def cancel(event: Event) -> None:
        if event.stage == "solve":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dg.interpolate(model, *images, QUICK, on_event=cancel)


def test_bad_input(model: StableDiffusionModel, images: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(ValueError, match="identical"):
        dg.interpolate(model, images[0], images[0])
    with pytest.raises(ValueError, match="frames"):
        dg.interpolate(model, *images, frames=1)
    with pytest.raises(ValueError, match="prompt"):
        dg.interpolate(model, *images, guidance=3.0)
    with pytest.raises(ValueError, match="prompt"):
        dg.interpolate(model, *images, estimate=Estimate.RATIO)
    with pytest.raises(ValueError, match="level"):
        dg.interpolate(model, *images, level=0.0)
    with pytest.raises(ValueError, match="expected \\(3, height, width\\)"):
        dg.interpolate(model, torch.zeros(8, 8), images[1])
    with pytest.raises(TypeError, match="framez"):
        dg.interpolate(model, *images, framez=3)


def test_densities_along_any_path_of_an_exact_score_agree(done: Interpolation) -> None:
    generator = torch.Generator().manual_seed(2)
    a, b = torch.randn(2, 12, generator=generator, dtype=torch.float64)
    b = 1.4 * b
    density = dg.Gaussian(torch.linspace(-1, 1, 12, dtype=torch.float64), 0.9)
    chart = shell(a, b)
    corners = chart.coordinates(torch.tensor([0.0, 1.0]), torch.stack([a, b]))
    solution = dg.geodesic(
        chart.score(density), corners[0], corners[1], alpha=0.1, manifold=chart.manifold
    )
    now = torch.zeros((), dtype=torch.float64)
    exact = float(density.log_prob(now, b) - density.log_prob(now, a))
    on_shell = track("geodesic", chart, solution.path, solution.profile, (0.8, 0.6))
    assert float(on_shell.log_density[-1]) == pytest.approx(exact, abs=1e-6)
    line, flat = dg.Line(a, b), FlatChart()
    profile = dg.measure(dg.Conformal(density, 0.0), line)
    straight = track("lerp", flat, line, profile, (0.8, 0.6))
    assert float(straight.log_density[-1]) == pytest.approx(exact, abs=1e-9)
    torch.testing.assert_close(straight.norm, line(straight.t).norm(dim=-1))
    ends = [float(t.log_density[-1]) for t in done.tracks]
    assert done.density_disagreement == max(ends) - min(ends)


def test_charts_keep_both_ends_and_the_chain_rule() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 12, generator=generator, dtype=torch.float64)
    b = 1.7 * b
    chart = shell(a, b)
    ends = torch.stack([a, b])
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(chart.latent(t, chart.coordinates(t, ends)), ends)
    density = dg.Gaussian(torch.linspace(-1, 1, 12, dtype=torch.float64), 0.7)
    y = chart.manifold.project(torch.randn(12, generator=generator, dtype=torch.float64))
    y.requires_grad_(True)
    at = torch.tensor(0.3, dtype=torch.float64)
    value = density.log_prob(at, chart.scale(at) * y)
    (gradient,) = torch.autograd.grad(value, y)
    torch.testing.assert_close(chart.score(density)(at, y.detach()), gradient)
    torch.testing.assert_close(FlatChart().score(density)(at, y.detach()), density(at, y.detach()))
