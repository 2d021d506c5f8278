"""An interpolation in words, figures and files."""

from __future__ import annotations

import torch

from diffusion_geodesics.apps.interpolation import Interpolation, PathFilm
from diffusion_geodesics.apps.track import Track
from diffusion_geodesics.apps.versions import versions
from diffusion_geodesics.bvp import Solution
from diffusion_geodesics.report import Convergence, Curve, Fact, Film, Run, StageCost, Video

POOR_CODEC = 22.0
"""dB below which the autoencoder does not know such images."""


def run_of(done: Interpolation, video: Video) -> Run:
    """Everything that is written about an interpolation."""
    own = done.film.name
    status = "no geodesic was solved for" if done.solution is None else _status(done.solution)
    return Run(
        title=f"A {own} morph" if own != "geodesic" else "A density geodesic",
        first=done.inputs[0],
        last=done.inputs[1],
        films=tuple(_film(f) for f in (done.film, done.compared) if f is not None),
        curves=tuple(_curve(t) for t in done.tracks),
        reference="the first image",
        result=result_of(done),
        tensors=_tensors(done),
        status=status,
        facts=_facts(done),
        warnings=done.warnings,
        convergence=None if done.solution is None else _convergence(done),
        typical=_typical(done),
        cost=tuple(
            StageCost(name, cost.rows, cost.calls, cost.seconds)
            for name, cost in done.ledger.stages
        ),
        settings={
            **done.settings.as_dict(),
            "image a": f"{done.sources[0]} ({done.framing[0]})",
            "image b": f"{done.sources[1]} ({done.framing[1]})",
        },
        versions=versions(),
        video=video,
    )


def result_of(done: Interpolation) -> dict[str, object]:
    """The contents of result.json."""
    solution = done.solution
    height, width = done.inputs.shape[2:]
    return {
        "result": None if solution is None else solution.result.name,
        "message": None if solution is None else solution.result.message,
        "residual": None if solution is None else float(solution.residual),
        "iterations": None if solution is None else solution.iterations,
        "given_up": []
        if solution is None
        else [{"intervals": g.intervals, "steps": g.steps} for g in solution.given_up],
        "length": done.lengths,
        "distance": done.distance,
        "distance_error": None
        if solution is None or done.distance is None
        else float(solution.distance_error),
        "carried": None if done.matches is None else {"moved": done.matches.moved},
        "log_density": done.log_density.tolist(),
        "log_density_reference": "the first frame; natural logarithms, at the noise level",
        "log_density_disagreement": done.density_disagreement,
        "times": done.times.tolist(),
        "endpoint_psnr": list(done.endpoint_psnr),
        "codec_psnr": list(done.codec_psnr),
        "typicality": {
            t.name: {
                "least_noise_energy": t.least_energy,
                "density_gain": t.gain,
                "least_norm": float(t.norm.min()),
            }
            for t in done.tracks
        },
        "alpha": done.alpha,
        "dim": done.dim,
        "cost": done.ledger.as_dict(),
        "settings": done.settings.as_dict(),
        "images": [
            {"source": source, "framing": note}
            for source, note in zip(done.sources, done.framing, strict=True)
        ],
        "size": [int(height), int(width)],
        "model": {
            "id": done.model_id,
            "hash": done.model_hash,
            "device": done.device,
            "dtype": done.dtype,
            "caveat": done.model_caveat,
        },
        "warnings": list(done.warnings),
        "versions": versions(),
    }


def _status(solution: Solution) -> str:
    evals = f"{solution.iterations} iterations, residual {float(solution.residual):.1e}"
    return f"{solution.result.name.replace('_', ' ')}: {solution.result.message} ({evals})"


def _film(film: PathFilm) -> Film:
    return Film(film.name, film.frames.float().cpu().clamp(0, 1), film.times.cpu())


def _curve(track: Track) -> Curve:
    return Curve(
        track.name,
        track.t.cpu(),
        track.log_density.cpu(),
        track.norm.cpu(),
        track.noise_energy.cpu(),
    )


def _typical(done: Interpolation) -> tuple[float, float]:
    ends = done.tracks[0].noise_energy[[0, -1]]
    return 0.75 * float(ends.min()), 1.25 * float(ends.max())


def _convergence(done: Interpolation) -> Convergence | None:
    steps = done.solution.steps if done.solution is not None else ()
    if len(steps) < 2:
        return None
    return Convergence(
        torch.stack([s.residual.min() for s in steps]).double().cpu(),
        torch.stack([s.length.min() for s in steps]).double().cpu(),
        torch.tensor([s.intervals for s in steps]),
        done.settings.tol,
    )


def _facts(done: Interpolation) -> tuple[Fact, ...]:
    lengths = done.lengths
    own = done.tracks[0]
    facts = [
        Fact(
            "Model",
            done.model_id,
            "; ".join(
                filter(
                    None,
                    (f"weights {done.model_hash[:12]}, on {done.device}", done.model_caveat),
                )
            ),
        ),
        Fact(
            "Length",
            f"{lengths[own.name]:.5g}",
            ", ".join(f"{n} {v:.5g}" for n, v in lengths.items() if n != own.name),
        ),
    ]
    if done.matches is not None:
        facts.append(
            Fact(
                "Carried by",
                f"{100 * done.matches.moved:.1f}% of the edge",
                "mean way that matching places of both images are apart; the geodesic bends about "
                "the path that follows them, which is longer than slerp and has no distance",
            )
        )
    if done.solution is not None and done.distance is not None:
        error = float(done.solution.distance_error)
        facts.append(
            Fact(
                "Distance",
                f"{done.distance:.5g} ± {error:.1g}",
                f"strength α·d = {done.alpha * done.dim:.3g}, α = {done.alpha:.3g}, d = {done.dim}",
            )
        )
    facts += [
        Fact(
            "Log density, lowest",
            f"{float(own.log_density.min()):+.1f} nats",
            ", ".join(
                f"{t.name} {float(t.log_density.min()):+.1f}" for t in done.tracks if t is not own
            )
            + "; relative to the first frame, at the noise level",
        ),
        Fact(
            "Log density, error",
            f"{done.density_disagreement:.1f} nats",
            "by how much the paths disagree on log p at the second image; an exact score gives 0",
        ),
        Fact(
            "Noise energy, lowest",
            f"{own.least_energy:.2f}",
            ", ".join(f"{t.name} {t.least_energy:.2f}" for t in done.tracks if t is not own)
            + "; relative to the ends",
        ),
        Fact(
            "Ends reproduced at",
            f"{done.endpoint_psnr[0]:.1f} and {done.endpoint_psnr[1]:.1f} dB",
            f"the autoencoder alone: {done.codec_psnr[0]:.1f} and {done.codec_psnr[1]:.1f} dB",
        ),
        Fact(
            "Cost",
            f"{done.ledger.total.rows} network rows",
            f"{done.ledger.total.calls} calls, {done.ledger.total.seconds:.1f} s",
        ),
    ]
    return tuple(facts)


def _tensors(done: Interpolation) -> dict[str, torch.Tensor]:
    t = torch.linspace(0, 1, 33, dtype=torch.float64)
    coordinates = done.path(t)
    matches = {} if done.matches is None else {"matches": done.matches.displacement}
    return {
        **matches,
        "t": t,
        "path": coordinates,
        "latents": done.chart.latent(t, coordinates),
        "frame_t": done.times,
    }
