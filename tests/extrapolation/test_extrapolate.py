"""The whole extrapolation, of a model whose every answer is known."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.clips import ClipError, TensorClip
from diffusion_geodesics.extrapolation.diagnostics import diagnose
from diffusion_geodesics.extrapolation.directions import (
    ClipVelocity,
    Direction,
    GivenVector,
    Past,
    RandomTangent,
    Towards,
    TowardsPrompt,
)
from diffusion_geodesics.extrapolation.extrapolate import extrapolate, last_frames
from diffusion_geodesics.extrapolation.result import ExtrapolationResult
from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings
from diffusion_geodesics.ivp import RayResult
from diffusion_geodesics.runtime.run import Event
from diffusion_geodesics.runtime.settings import SettingsError
from tests.gaussian_model import gaussian_model, picture

MODEL = gaussian_model()
QUICK = ExtrapolationSettings.of(
    frames=3,
    steps=6,
    level=0.5,
    refinements=2,
    ray_steps=4,
    intervals=8,
    stop=False,
    film_only=True,
)
A, B = picture(1), picture(2)


def run(
    direction: Direction, start: Tensor | TensorClip = A, **changes: Any
) -> ExtrapolationResult:
    return extrapolate(MODEL, start, direction, QUICK, **changes)


def moving(count: int) -> TensorClip:
    return TensorClip(torch.stack([torch.lerp(A, B, 0.02 * k) for k in range(count)]))


@pytest.mark.parametrize(
    ("direction", "clip"),
    [
        (Towards(B), False),
        (Towards(B, straight=True), False),
        (Past(B), False),
        (TowardsPrompt("abc"), False),
        (RandomTangent(3), False),
        (GivenVector(torch.linspace(-1, 1, 768).reshape(3, 16, 16)), False),
        (ClipVelocity(3), True),
        (ClipVelocity(5, bend=True), True),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, Direction) else "",
)
def test_every_direction_gives_a_film(direction: Direction, clip: bool) -> None:
    done = run(direction, moving(6) if clip else A)
    assert done.frames.shape == (3, 3, 16, 16)
    assert done.ray.completed
    assert float(done.times[-1]) == done.launch.t_max
    assert done.ray.alpha * done.dim == pytest.approx(direction.strength)
    assert done.settings.metric.strength == direction.strength
    assert done.direction == direction.description()
    assert done.costs["decode"].nfe == 3 * 3
    assert done.costs["ray"].nfe > 0
    assert done.straight_frames is None
    first = torch.lerp(A, B, 0.1) if clip else (B if isinstance(direction, Past) else A)
    error = (done.frames[0] - first).square().mean().sqrt()
    assert float(error) < 0.03, "the film begins at the start"
    assert float(done.log_density[0]) == 0
    assert float(done.growth[0]) == 1


@pytest.mark.whole
def test_a_ray_towards_an_image_arrives_there() -> None:
    done = run(Towards(B), frames=5, ray_steps=8, refinements=8)
    assert done.arrival is not None
    assert done.arrival.miss <= done.arrival.allowed < 0.1 * done.arrival.chord
    assert float((done.frames[-1] - B).square().mean().sqrt()) < 0.03
    assert run(Towards(B, straight=True)).arrival is None, "no boundary solution to hold it to"
    assert run(Towards(B), t_max=0.5).arrival is None, "it ends before"


@pytest.mark.whole
def test_without_strength_it_is_the_straight_continuation() -> None:
    bent = run(Towards(B), strength=30.0, film_only=False)
    assert bent.straight_frames is not None
    assert bent.straight_ray is not None
    assert bent.straight_ray.alpha == 0
    assert bent.costs["compare"].nfe > 0
    straight = run(Towards(B), strength=0.0, film_only=False)
    assert straight.straight_frames is None, "there is nothing to compare with"
    assert len(bent.straight_frames) == 3
    assert float((bent.straight_frames[0] - bent.frames[0]).abs().max()) < 1e-5
    assert float((bent.straight_frames[-1] - bent.frames[-1]).abs().max()) > 1e-3


@pytest.mark.whole
def test_random_directions_follow_their_seed() -> None:
    one, same, other = (run(RandomTangent(s)).frames for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.whole
def test_a_random_score_has_no_growth_and_no_error() -> None:
    options: dict[str, Any] = {"prompt": "abc", "integrator": "published", "alpha": 0.1}
    options["score"] = "published-random"
    done = run(RandomTangent(3), **options)
    assert math.isnan(done.ray.error)
    assert done.final_growth == "not known"
    assert done.costs["ray"].nfe == 1 + 2 * (4 * 4 + 1) + len(done.ray.t)
    assert "other_score" in [w.code for w in done.warnings]
    assert torch.equal(run(RandomTangent(3), **options).frames, done.frames)
    options["score"] = "published"
    fixed = run(RandomTangent(3), **options)
    assert fixed.ray.error > 0
    assert not torch.equal(fixed.frames, done.frames)


@pytest.mark.whole
def test_the_prompt_becomes_another_one_along_the_ray() -> None:
    still = run(RandomTangent(3), prompt="abc", strength=30.0)
    done = run(RandomTangent(3), prompt="abc", end_prompt="abcdefgh", strength=30.0)
    assert torch.equal(still.frames[0], done.frames[0])
    changed = (done.frames - still.frames).abs().amax((1, 2, 3))
    assert float(changed[2]) > float(changed[1]) > 1e-3
    assert not torch.allclose(still.ray.latents[-1], done.ray.latents[-1])
    assert "moving_density" in [w.code for w in done.warnings]
    same = run(RandomTangent(3), prompt="abc", end_prompt="abc", strength=30.0)
    assert_close(same.frames, still.frames)


def test_an_even_motion_of_latents_is_continued_evenly() -> None:
    """In flat space, without strength: each frame goes on by the same step."""
    done = run(ClipVelocity(3), moving(5), flat=True, t_max=2.0, frames=3)
    steps = done.ray.latents[done.ray.frames].diff(dim=0)
    assert_close(steps, done.launch.velocity.expand(2, -1), rtol=1e-6, atol=1e-8)
    assert done.direction_settings == {"last": 3, "bend": False}


def test_only_the_frames_after_the_last_cut_are_taken() -> None:
    dark = 0.2 * torch.stack([torch.lerp(A, B, 0.02 * k) for k in range(6)])
    light = 1 - 0.2 * torch.stack([torch.lerp(B, A, 0.02 * k) for k in range(4)])
    clip = TensorClip(torch.cat([dark, light]), "cut")
    found = last_frames(MODEL, clip, 3, QUICK)
    assert_close(found.images, light[1:])
    assert found.names == tuple(f"cut, frame {k}" for k in (7, 8, 9))
    with pytest.raises(ClipError, match="has 4 frames after its last cut"):
        last_frames(MODEL, clip, 5, QUICK)


def test_it_reports_its_stages_and_their_cost_adds_up() -> None:
    events: list[Event] = []
    done = extrapolate(MODEL, A, Towards(B), QUICK, observer=events.append)
    names = list(dict.fromkeys(e.stage for e in events))
    assert names == ["encode", "invert", "solve", "ray", "decode"]
    stages = [cost for _, cost in done.costs.stages]
    assert sum(c.nfe for c in stages) == done.costs.total.nfe
    steps = [e for e in events if e.stage == "solve" and e.done and not e.total]
    assert steps
    assert all("residual" in e.figures for e in steps)


def test_an_observer_that_raises_cancels_it() -> None:
    def stop(event: Event) -> None:
        if event.stage == "ray":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extrapolate(MODEL, A, RandomTangent(), QUICK, observer=stop)


@pytest.mark.whole
def test_remedies_are_named_in_the_result_and_its_warnings() -> None:
    done = run(RandomTangent(), ascent_steps=1, ascent_size=0.05)
    assert done.applied[0] == "after each frame 1 steps of 0.05 σ²s towards higher density"
    assert "corrections moved the latent by" in done.applied[1]
    codes = [w.code for w in done.warnings]
    assert "remedies" in codes
    assert run(RandomTangent()).applied == ()
    again = run(Towards(B), reestimate=1)
    assert again.applied == ("direction estimated anew every 1 frames",)
    assert again.arrival is not None


def test_bad_input_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="zero"):
        run(GivenVector(torch.zeros(768)))
    with pytest.raises(ValueError, match=r"has 7 numbers.*has 768"):
        run(GivenVector(torch.ones(7)))
    with pytest.raises(ValueError, match="not finite"):
        run(GivenVector(torch.full((768,), math.nan)))
    with pytest.raises(ValueError, match="identical"):
        run(Towards(A))
    with pytest.raises(ValueError, match="known once"):
        run(Past(B), reestimate=2)
    with pytest.raises(ClipError, match="2 frames"):
        run(ClipVelocity(3), TensorClip(torch.stack([A, A])))
    with pytest.raises(ValueError, match="start is a clip"):
        run(RandomTangent(), TensorClip(torch.stack([A, B])))
    with pytest.raises(ValueError, match="got a start of type Tensor for the velocity of a clip"):
        run(ClipVelocity(3))


def test_settings_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(SettingsError, match="keep_norm is for flat space"):
        ExtrapolationSettings.of(keep_norm=True)
    for wrong in (
        {"frames": 1}, {"t_max": 0.0}, {"level": 0.0}, {"band": 1.0}, {"ray_steps": 1},
        {"ascent_steps": 1, "ascent_size": 0.0}, {"halvings": -1},
    ):  # fmt: skip
        with pytest.raises(SettingsError, match=f"^{list(wrong)[-1]} is"):
            ExtrapolationSettings.of(**wrong)


@pytest.fixture(scope="module")
def plain() -> ExtrapolationResult:
    return run(Towards(B), strength=0.0)


def codes(result: ExtrapolationResult) -> list[str]:
    return [d.code for d in diagnose(result)]


def test_a_ray_that_leaves_the_data_is_told_from_one_that_does_not() -> None:
    """A straight line in flat space leaves a Gaussian, sooner or later."""
    short, long = (
        run(RandomTangent(0), strength=0.0, flat=True, stop=False, t_max=t_max)
        for t_max in (0.02, 3.0)
    )
    assert "drift" not in codes(short)
    (drift,) = [d for d in long.warnings if d.code == "drift"]
    assert 0.02 < float(str(drift.data["t"])) <= 3


def test_nothing_is_said_where_nothing_is_the_matter(plain: ExtrapolationResult) -> None:
    good = replace(plain, codec_psnr=40.0, settings=plain.settings.updated(band=0.99))
    steady = replace(good.ray, noise_energy=torch.ones_like(good.ray.noise_energy), error=0.0)
    assert codes(replace(good, ray=steady)) == []


def test_each_thing_to_know_is_said_with_its_numbers(plain: ExtrapolationResult) -> None:
    ray = plain.ray
    early = replace(ray, result=RayResult.left_typical_set)
    (first, *_) = diagnose(replace(plain, ray=early))
    assert first.code == "ended_early"
    assert first.data["result"] == "left_typical_set"
    assert first.data["asked"] == plain.t_asked
    thin = replace(ray, noise_energy=0.1 * ray.noise_energy)
    assert "atypical" in codes(replace(plain, ray=replace(thin, noise_energy=torch.cat(
        [ray.noise_energy[:1], 0.1 * ray.noise_energy[1:]]
    ))))  # fmt: skip
    edge = 0.125 * plain.dim
    fallen = torch.linspace(0, -2 * edge, len(ray.t), dtype=ray.log_density.dtype)
    down = replace(plain, ray=replace(ray, log_density=fallen))
    (drift,) = [d for d in diagnose(down) if d.code == "drift"]
    assert drift.data["t"] == float(ray.t[fallen < -edge][0])
    assert drift.data["log_density"] == pytest.approx(-2 * edge, rel=1e-5)
    risen = replace(ray, log_density=-fallen)
    assert "drift" not in codes(replace(plain, ray=risen)), "smooth frames lose noise energy"
    wild = replace(ray, growth=torch.full_like(ray.growth, 1e5))
    assert "growth" in codes(replace(plain, ray=wild))
    rough = replace(ray, error=0.5 * float(ray.arc[-1]))
    found = {d.code: d for d in diagnose(replace(plain, ray=rough))}
    assert found["integration_error"].data["relative_error"] == pytest.approx(0.5)
    assert "use more ray steps" in str(found["integration_error"])
    stuck = run(Towards(B), strength=300.0, max_steps=1, tol=1e-9)
    assert "not_converged" in [d.code for d in stuck.warnings]
