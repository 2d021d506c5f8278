"""What must be known before the statistics of clips are believed."""

from collections.abc import Iterator

from diffusion_geodesics.latents.domain import foreign_message
from diffusion_geodesics.runtime.diagnostic import Diagnostic
from diffusion_geodesics.video.controls import Variant
from diffusion_geodesics.video.result import ShotAnalysis, VideoResult

JITTERY = 0.5  # share of jitter in the acceleration above which bends are mostly noise


def diagnose(result: VideoResult) -> tuple[Diagnostic, ...]:
    """Everything to know, the most important first."""
    foreign = []
    for name, reasons in result.foreign.items():
        foreign.append(Diagnostic("foreign", foreign_message(name, reasons)))
    notes = [Diagnostic("clip", note) for note in result.notes]
    return (*foreign, *(d for shot in result.shots for d in _shot(shot)), *notes)


def _shot(shot: ShotAnalysis) -> Iterator[Diagnostic]:
    found = shot.measured
    good, of = found.solved
    if good < of:
        yield Diagnostic(
            "not_converged",
            f"{shot.name}: {of - good} of {of} geodesics were not found (residual up to "
            f"{found.residual:.1g}); a smaller strength makes them easier",
        )
    jitter = float(found.statistics[Variant.CLIP].jitter.nanmean())
    if jitter > JITTERY:
        yield Diagnostic(
            "jitter",
            f"{shot.name}: {100 * jitter:.0f}% of the acceleration is jitter from frame to frame, "
            "so that residual and angle say little; fit over more frames (half)",
            {"jitter": jitter},
        )
    if not found.paths:
        yield Diagnostic(
            "closed",
            f"{shot.name} ends where it began: there is no geodesic for the whole, only for its "
            "windows",
        )
