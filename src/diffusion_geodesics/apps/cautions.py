"""What must be known before an interpolation's figures are believed, in plain words."""

from __future__ import annotations

from diffusion_geodesics.apps.interpolation import Interpolation, is_atypical
from diffusion_geodesics.apps.settings import Estimate
from diffusion_geodesics.apps.telling import POOR_CODEC

CODEC_LOSS = 3.0
"""dB by which an end point may fall behind the autoencoder before a warning."""
LARGE_ERROR = 0.05
"""Relative error bar of the length from which on it is warned about."""
DENSITY_GAIN = 0.1
"""Nats a coordinate gained over the denser end before a warning; the shrinking lerp gains more."""

_RATIO = (
    "Lengths are measured in the ratio p(x | prompt)/p(x | negative), times σ/2 and averaged over "
    "a window of time steps: α acts as α σ/2 on it, and it is no density of images."
)
ESTIMATES = {
    Estimate.RATIO: (
        "Lengths are measured in the ratio p(x | prompt)/p(x | negative), which is no density of "
        "images."
    ),
    Estimate.SDS: (
        "Lengths are measured in p(x | prompt) smoothed over a window of time steps, the geometric "
        "mean of its levels."
    ),
    Estimate.NFSD: (
        "Lengths are measured in the product p(x)/p(x | negative) (p(x | prompt)/p(x))^7.5, "
        "averaged over a window of time steps, which is no density of images."
    ),
    Estimate.PUBLISHED: _RATIO,
    Estimate.PUBLISHED_RANDOM: (
        f"{_RATIO} The solver saw one random time step and fresh noise at each call; lengths are "
        "those of the fixed average."
    ),
}
"""Whose lengths are measured, where it is not the density at the level."""


def warnings_of(done: Interpolation) -> tuple[str, ...]:
    """What must be known before the figures are believed."""
    found: list[str] = []
    if done.settings.carries and done.matches is None:
        found.append(
            "The network has no inner features to match the images by, so the path is not carried "
            "along correspondences: it bends about the great circle."
        )
    if done.solution is not None and not done.solution.converged:
        found.append(f"The solver did not meet its tolerance: {done.solution.result.message}.")
    if done.solution is not None and done.solution.given_up:
        levels = ", ".join(
            f"at {g.intervals - 1} points after {g.steps} steps" for g in done.solution.given_up
        )
        found.append(
            f"The published solver gave levels up early ({levels}), as its authors' code does "
            "where the acceleration term outweighs the score term; --solver published-full takes "
            "all steps."
        )
    if done.solution is not None:
        bar = float(done.solution.distance_error / done.solution.length)
        if bar > LARGE_ERROR:
            found.append(
                f"The error bar of the length is {100 * bar:.0f}% of it: the nodes do not resolve "
                "the barrier; lower the strength, or use more intervals."
            )
    if (worst := min(done.codec_psnr)) < POOR_CODEC:
        found.append(
            f"The model's autoencoder reproduces the images at {worst:.1f} dB only: they are "
            "unlike what it was trained on, and frames and densities say little about them."
        )
    loss = max(c - e for c, e in zip(done.codec_psnr, done.endpoint_psnr, strict=True))
    if loss > CODEC_LOSS:
        found.append(
            f"The ends of the film lose {loss:.1f} dB against the autoencoder alone; more "
            "refinements, more steps or a lower noise level keep them closer."
        )
    own = done.tracks[0]
    slerp = next((t for t in done.tracks if t.name == "slerp"), own)
    if is_atypical(own, slerp):
        found.append(
            f"The path leaves the typical set: its noise energy falls to {own.least_energy:.2f} of "
            "that of the ends, so frames there lose detail."
        )
    if own.gain > DENSITY_GAIN * done.dim:
        found.append(
            f"The path gains {own.gain:.0f} nats over its denser end: the densest latents are "
            "smooth images, not natural ones."
        )
    first, last = done.settings.prompts
    if first != last:
        found.append(
            "The prompt changes along the path, and with it the density: log densities compare "
            "neighbouring points, not the two ends."
        )
    if done.model_caveat:
        found.append(
            f"About the model's score: {done.model_caveat}. Lengths, distances and log densities "
            "are then those of a vector field, not of a probability density."
        )
    if note := ESTIMATES.get(done.settings.estimate, ""):
        found.append(f"{note} The density profile shows the density at the level itself.")
    return tuple(found)
