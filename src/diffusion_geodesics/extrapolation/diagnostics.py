"""What must be known before the figures of an extrapolation are believed."""

from __future__ import annotations

from collections.abc import Iterator

from diffusion_geodesics.extrapolation.result import ExtrapolationResult
from diffusion_geodesics.latents.settings import ScoreKind
from diffusion_geodesics.runtime.diagnostic import Diagnostic

LARGE_GROWTH = 1e4
"""Growth factor from which on a ray does not hit what it aims at."""
DRIFT = 0.125
"""Nats a coordinate by which the log density may fall along a ray before a warning. Noise alone
makes that of d coordinates vary by √(d/2)."""
UNSURE = 0.01
"""Error of the end point, relative to the arc, from which on it is warned about."""


def diagnose(result: ExtrapolationResult) -> tuple[Diagnostic, ...]:
    """Everything to know, the most important first."""
    return (
        *_ray(result),
        *_drift(result),
        *_score(result),
        *_numbers(result),
        *_images(result),
    )


def _ray(result: ExtrapolationResult) -> Iterator[Diagnostic]:
    ray = result.ray
    if not ray.completed:
        yield Diagnostic(
            "ended_early",
            f"The ray ended at {float(ray.t[-1]):.3g} of {result.t_asked:.3g} "
            f"({result.launch.unit}): {ray.result.message}.",
            {"t": float(ray.t[-1]), "asked": result.t_asked, "result": ray.result.name},
        )
    low, high = result.typical
    energy = ray.noise_energy
    outside = ((energy < low) | (energy > high)).nonzero()[:, 0]
    if ray.completed and len(outside):
        yield Diagnostic(
            "atypical",
            f"The ray is outside the typical set from t = {float(ray.t[outside[0]]):.3g} on "
            f"(noise energy {float(energy[outside].min()):.2f} to "
            f"{float(energy[outside].max()):.2f}; typical {low:.2f} to {high:.2f}): frames there "
            "are not what the model knows.",
            {"t": float(ray.t[outside[0]])},
        )


def _score(result: ExtrapolationResult) -> Iterator[Diagnostic]:
    score = result.settings.metric.score
    if score is not ScoreKind.LEVEL:
        random = score is ScoreKind.PUBLISHED_RANDOM
        noise = " It met fresh noise at each call, so that its error is not known." * random
        yield Diagnostic(
            "other_score",
            f"The ray bends by the {score.value} score; density and noise energy are shown for the "
            f"density at the level itself.{noise}",
            {"score": score.value},
        )
    if result.settings.prompts.end_prompt is not None:
        yield Diagnostic(
            "moving_density",
            "The prompt changes along the ray; density and noise energy are shown for that of the "
            "start.",
        )


def _drift(result: ExtrapolationResult) -> Iterator[Diagnostic]:
    """Where the density falls away from that of the start, which noise energy does not show."""
    ray, most = result.ray, DRIFT * result.dim
    low = (ray.log_density < -most).nonzero()[:, 0]
    if not len(low):
        return
    first, least = float(ray.t[low[0]]), float(ray.log_density.min())
    yield Diagnostic(
        "drift",
        f"From t = {first:.3g} on the log density is more than {most:.0f} nats below that of the "
        f"start (down to {least:.0f}): the ray leaves what the model knows, and frames there are "
        "washed out or torn; use a smaller t_max or strength.",
        {"t": first, "log_density": least},
    )


def _numbers(result: ExtrapolationResult) -> Iterator[Diagnostic]:
    ray, solution = result.ray, result.launch.solution
    growth = float(result.growth.max())
    if growth >= LARGE_GROWTH:
        yield Diagnostic(
            "growth",
            f"Small errors grow {growth:.1g} times along the ray: it is one of many that begin "
            "alike; use a smaller strength or t_max.",
            {"growth": growth},
        )
    if ray.error > UNSURE * float(ray.arc[-1]):
        share = ray.error / float(ray.arc[-1])
        yield Diagnostic(
            "integration_error",
            f"The end point is known to {100 * share:.0f}% of the ray's length only; use more ray "
            "steps.",
            {"relative_error": share},
        )
    if solution is not None and not solution.converged:
        yield Diagnostic(
            "not_converged",
            "The boundary solution that gives the velocity did not converge: "
            f"{solution.result.message}.",
            {"result": solution.result.name},
        )


def _images(result: ExtrapolationResult) -> Iterator[Diagnostic]:
    if result.applied:
        yield Diagnostic("remedies", f"Remedies were applied: {'; '.join(result.applied)}.")
