"""What result.json holds about an analysis of clips, besides what every job writes."""

from __future__ import annotations

from diffusion_geodesics.video.result import ShotAnalysis, VideoResult
from diffusion_geodesics.video.statistics import Statistics

LIMITS = ("least_psnr", "greatest_denoising", "least_energy", "greatest_energy")


def video_record(result: VideoResult, units: str) -> dict[str, object]:
    """All values; ``units`` says what the intervals of the summary are over."""
    return {
        "summary": {
            variant.value: {
                name: {"mean": i.mean, "low": i.low, "high": i.high, "count": i.count}
                for name, i in found.items()
            }
            for variant, found in result.summary.items()
        },
        "units": units,
        "claims": [{"claim": c.claim, "found": c.found, "holds": c.holds} for c in result.claims],
        "out_of_domain": {name: list(reasons) for name, reasons in result.foreign.items()},
        "domain": [
            {
                "limits": dict(zip(LIMITS, domain.limits, strict=True)),
                "own_psnr": domain.own.psnr,
                "own_denoising": domain.own.denoising,
                "own_energy": domain.own.energy,
            }
            for domain in dict.fromkeys(shot.domain for shot in result.shots)
        ],
        "parts": [_shot(shot) for shot in result.shots],
    }


def _shot(shot: ShotAnalysis) -> dict[str, object]:
    found, known = shot.measured, shot.known
    (solved, of), ends = found.solved, shot.frames[found.starts].T.tolist()
    statistics = {
        variant.value: {name: getattr(values, name) for name in Statistics.names()}
        for variant, values in found.statistics.items()
    }
    curves = ("length", "t", "log_density", "noise_energy")
    whole = {path.name: {name: getattr(path, name) for name in curves} for path in found.paths}
    energy = float(known.energy.median())
    return {
        "clip": shot.clip,
        "part": shot.number,
        "ended": shot.ended,
        "frames": shot.frames,
        "times": shot.times,
        "windows": [{"first": first, "last": last} for first, last in ends],
        "statistics": statistics,
        "log_density": found.log_density,
        "noise_energy": found.noise_energy,
        "whole": whole,
        "log_density_disagreement": shot.density_disagreement,
        "geodesics": {"solved": solved, "of": of, "greatest_residual": found.residual},
        "known": {"psnr": known.psnr, "denoising": known.denoising, "energy": energy},
        "radius": shot.radius,
        "norm_variation": float(shot.norms.std() / shot.norms.mean()),
        "sigma": shot.sigma,
        "alpha": shot.alpha,
        "dim": shot.dim,
    }
