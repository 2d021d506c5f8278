"""What must be known before the figures of an interpolation are believed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from diffusion_geodesics.interpolation.paths import PAIR_STEPS
from diffusion_geodesics.interpolation.result import InterpolationResult, Segment
from diffusion_geodesics.interpolation.settings import InterpolationSettings, PathName
from diffusion_geodesics.latents.settings import ScoreKind
from diffusion_geodesics.runtime.diagnostic import Diagnostic

LEAST_ENERGY = 0.75
"""Noise energy, relative to that of both ends and of slerp, below which a path is atypical."""
CODEC_LOSS = 3.0
"""dB by which a keyframe may fall behind the autoencoder before a warning."""
LARGE_ERROR = 0.05
"""Relative error bar of the length from which on it is warned about."""
DENSITY_GAIN = 0.1
"""Nats a coordinate gained over the denser end before a warning; the shrinking lerp gains more."""

_RATIO = (
    "Lengths are measured in the ratio p(x | prompt)/p(x | negative), times σ/2 and averaged over "
    "a window of time steps: α acts as α σ/2 on it, and it is no density of images."
)
SCORES = {
    ScoreKind.RATIO: (
        "Lengths are measured in the ratio p(x | prompt)/p(x | negative), which is no density of "
        "images."
    ),
    ScoreKind.SDS: (
        "Lengths are measured in p(x | prompt) smoothed over a window of time steps, the geometric "
        "mean of its levels."
    ),
    ScoreKind.NFSD: (
        "Lengths are measured in the product p(x)/p(x | negative) (p(x | prompt)/p(x))^7.5, "
        "averaged over a window of time steps, which is no density of images."
    ),
    ScoreKind.PUBLISHED: _RATIO,
    ScoreKind.PUBLISHED_RANDOM: (
        f"{_RATIO} The solver saw one random time step and fresh noise at each call; lengths are "
        "those of the fixed average."
    ),
}
"""What lengths are measured in, where it is not the density at the level."""


class AtypicalError(ValueError):
    """A path leaves the typical set of the noised density, and that was not allowed."""


def is_atypical(segment: Segment) -> bool:
    """Whether a path's noise energy falls below 0.75 of what slerp keeps."""
    own = segment.profile
    slerp = [p.least_energy for p in segment.profiles if p.name == "slerp"]
    return own.least_energy < LEAST_ENERGY * min([1.0, *slerp])


def demand_typical(segments: Sequence[Segment], settings: InterpolationSettings) -> None:
    """Refuse paths that shed noise which slerp keeps."""
    for segment in segments:
        if is_atypical(segment):
            others = [f"{p.name}: {p.least_energy:.2f}" for p in segment.references[:1]]
            raise AtypicalError(
                f"the path leaves the typical set: its noise energy falls to "
                f"{segment.profile.least_energy:.2f} of that of the ends ({', '.join(others)}), "
                f"frames would lose detail; lower the strength (now "
                f"{settings.metric.strength:g}), or set allow_atypical"
            )


def diagnose(result: InterpolationResult) -> tuple[Diagnostic, ...]:
    """Everything to know, the most important first."""
    return (
        *(d for segment in result.segments for d in _solver(result, segment)),
        *_codec(result),
        *(d for segment in result.segments for d in _typicality(result, segment)),
        *_meaning(result),
    )


def _solver(result: InterpolationResult, segment: Segment) -> Iterator[Diagnostic]:
    at = "" if len(result.segments) == 1 else f" between images {segment.first + 1} and "
    at += f"{segment.last + 1}" if at else ""
    if result.settings.path is PathName.NATURAL and segment.matches is None:
        yield Diagnostic(
            "no_features",
            "The network has no inner features to match the images by, so that the path follows no "
            "correspondences: it bends about the great circle.",
        )
    yield from _geodesic(segment, at)
    solution = segment.solution
    if solution is None:
        return
    if not solution.converged:
        yield Diagnostic(
            "not_converged",
            f"The solver did not meet its tolerance{at}: {solution.result.message}.",
            {"result": solution.result.name, "residual": float(solution.residual)},
        )
    if solution.given_up:
        levels = ", ".join(
            f"at {g.intervals - 1} points after {g.steps} steps" for g in solution.given_up
        )
        yield Diagnostic(
            "given_up",
            f"The published solver left levels early{at} ({levels}), as its authors' code does "
            "where the acceleration term outweighs the score term; the solver published-full takes "
            "all steps.",
        )
    bar = float(solution.distance_error / solution.length)
    if bar > LARGE_ERROR:
        yield Diagnostic(
            "large_error",
            f"The error bar of the length{at} is {100 * bar:.0f}% of it: the nodes do not resolve "
            "the barrier; lower the strength, or use more intervals.",
            {"relative_error": bar},
        )


def _geodesic(segment: Segment, at: str) -> Iterator[Diagnostic]:
    """On the geodesic of the pair, where it is not the path of the film."""
    solution, own = segment.geodesic, segment.beside
    if solution is None or own is None:
        return
    if not solution.converged:
        yield Diagnostic(
            "distance_not_converged",
            f"The geodesic{at} was not found in {PAIR_STEPS} steps ({solution.result.message}): "
            "its distance is an upper bound; a film along the geodesic takes more steps.",
            {"result": solution.result.name, "residual": float(solution.residual)},
        )
    bar = float(solution.distance_error / solution.length)
    if bar > LARGE_ERROR:
        yield Diagnostic(
            "distance_large_error",
            f"The error bar of the distance{at} is {100 * bar:.0f}% of it; lower the strength.",
            {"relative_error": bar},
        )
    if own.least_energy < LEAST_ENERGY:
        yield Diagnostic(
            "distance_atypical",
            f"The geodesic{at} leaves the typical set: its noise energy falls to "
            f"{own.least_energy:.2f} of that of the ends, so that its frames lose detail and its "
            "distance says little.",
            {"least_energy": own.least_energy},
        )


def _codec(result: InterpolationResult) -> Iterator[Diagnostic]:
    loss = max(c - k for c, k in zip(result.codec_psnr, result.keyframe_psnr, strict=True))
    if loss > CODEC_LOSS:
        yield Diagnostic(
            "inversion_loss",
            f"The film loses {loss:.1f} dB at the images against the autoencoder alone; more "
            "refinements, more steps or a lower noise level keep them closer.",
            {"loss": loss},
        )


def _typicality(result: InterpolationResult, segment: Segment) -> Iterator[Diagnostic]:
    own = segment.profile
    if is_atypical(segment):
        yield Diagnostic(
            "atypical",
            f"The path leaves the typical set: its noise energy falls to {own.least_energy:.2f} of "
            "that of the ends, so that frames there lose detail.",
            {"least_energy": own.least_energy},
        )
    if own.gain > DENSITY_GAIN * result.dim:
        yield Diagnostic(
            "density_gain",
            f"The path gains {own.gain:.0f} nats over its denser end: the densest latents are "
            "smooth images, not natural ones.",
            {"gain": own.gain},
        )


def _meaning(result: InterpolationResult) -> Iterator[Diagnostic]:
    prompts = result.settings.prompts.each(len(result.pictures.images))
    if len(set(prompts)) > 1:
        yield Diagnostic(
            "moving_density",
            "The prompt changes along the path, and with it the density: log densities compare "
            "neighbouring points, not the images.",
        )
    if note := SCORES.get(result.settings.metric.score):
        yield Diagnostic(
            "other_score", f"{note} The density profile shows the density at the level itself."
        )
