"""What result.json holds about an interpolation."""

from __future__ import annotations

from diffusion_geodesics.bvp import Solution
from diffusion_geodesics.interpolation.result import InterpolationResult, Segment
from diffusion_geodesics.runtime.versions import versions


def interpolation_result(result: InterpolationResult) -> dict[str, object]:
    """The contents of result.json."""
    height, width = result.pictures.size
    places = result.strip.timeline
    return {
        "job": "interpolate",
        "path": result.settings.path.value,
        "length": result.lengths,
        "distance": result.distance,
        "distance_error": result.distance_error,
        "log_density": result.log_density.tolist(),
        "log_density_reference": "the first image; natural logarithms, at the noise level",
        "times": result.times.tolist(),
        "keyframes": list(places.keyframes),
        "loop": result.settings.film.loop,
        "segments": [_segment(segment) for segment in result.segments],
        "keyframe_psnr": list(result.keyframe_psnr),
        "codec_psnr": list(result.codec_psnr),
        "alpha": result.alpha,
        "dim": result.dim,
        "cost": result.costs.as_dict(),
        "settings": result.settings.as_nested(),
        "images": [
            {"source": source, "framing": note}
            for source, note in zip(result.pictures.names, result.pictures.notes, strict=True)
        ],
        "size": [height, width],
        "model": result.model.as_dict(),
        "warnings": [warning.as_dict() for warning in result.warnings],
        "versions": versions(),
    }


def _segment(segment: Segment) -> dict[str, object]:
    return {
        "images": [segment.first, segment.last],
        "length": segment.lengths,
        "distance": segment.distance,
        "distance_error": segment.distance_error,
        "log_density_disagreement": segment.density_disagreement,
        "moved": None if segment.matches is None else segment.matches.moved,
        "solver": None if segment.solution is None else _solver(segment.solution),
        "typicality": {
            p.name: {
                "least_noise_energy": p.least_energy,
                "density_gain": p.gain,
                "least_norm": float(p.norm.min()),
            }
            for p in segment.profiles
        },
    }


def _solver(solution: Solution) -> dict[str, object]:
    return {
        "result": solution.result.name,
        "message": solution.result.message,
        "residual": float(solution.residual),
        "iterations": solution.iterations,
        "given_up": [{"intervals": g.intervals, "steps": g.steps} for g in solution.given_up],
    }
