"""An extrapolation in words, figures and files."""

from __future__ import annotations

from diffusion_geodesics.apps.extrapolate.extrapolation import Extrapolation
from diffusion_geodesics.apps.extrapolate.march import March
from diffusion_geodesics.apps.extrapolate.terrain import Terrain
from diffusion_geodesics.apps.telling import POOR_CODEC
from diffusion_geodesics.apps.versions import versions
from diffusion_geodesics.report import Fact, Film, StageCost, Video
from diffusion_geodesics.report.analysis_data import Trace
from diffusion_geodesics.report.rays import RayReport

LARGE_GROWTH = 1e4
"""Growth factor from which on a ray does not hit what it aims at."""
UNSURE = 0.01
"""Error of the end point, relative to the arc, from which on it is warned about."""


def applied(done: Extrapolation) -> tuple[str, ...]:
    """The remedies that were applied, in words."""
    remedies, march = done.settings.remedies, done.march
    told: list[str] = []
    if march.halvings:
        told.append(
            f"strength halved {march.halvings} times, to {march.alpha * done.dim:.3g}, because the "
            "ray left the typical set"
        )
    if remedies.keep_norm:
        told.append("norm of the start restored after each frame")
    if remedies.reestimate:
        told.append(f"direction estimated anew every {remedies.reestimate} frames")
    if remedies.ascent is not None:
        told.append(
            f"after each frame {remedies.ascent.steps} steps of {remedies.ascent.size:g} σ²s "
            "towards higher density"
        )
    if march.corrected:
        told.append(f"corrections moved the latent by {march.corrected:.3g} in all")
    return tuple(told)


def warnings_of(done: Extrapolation) -> tuple[str, ...]:
    """What must be known before the figures are believed."""
    march, found = done.march, list[str]()
    solution = done.launch.solution
    if not march.ended:
        asked = done.settings.reach or done.launch.reach
        found.append(
            f"The ray ended at {float(march.t[-1]):.3g} of {asked:.3g} ({done.launch.unit}): "
            f"{march.result.message}."
        )
    low, high = typical(done)
    outside = ((march.energy < low) | (march.energy > high)).nonzero()[:, 0]
    if march.ended and len(outside):
        found.append(
            f"The ray is outside the typical set from t = {float(march.t[outside[0]]):.3g} on "
            f"(noise energy {float(march.energy[outside].min()):.2f} to "
            f"{float(march.energy[outside].max()):.2f}; typical {low:.2f} to {high:.2f}): frames "
            "there are not what the model knows."
        )
    if float(done.growth.max()) >= LARGE_GROWTH:
        found.append(
            f"Small errors grow {float(done.growth.max()):.1g} times along the ray: it is one of "
            "many that begin alike; use a smaller strength or reach."
        )
    if march.error > UNSURE * float(march.arc[-1]):
        found.append(
            f"The end point is known to {100 * march.error / float(march.arc[-1]):.0f}% of the "
            "ray's length only; use more ray steps."
        )
    if solution is not None and not solution.converged:
        found.append(
            f"The boundary solution that gives the velocity did not converge: "
            f"{solution.result.message}."
        )
    if done.codec_psnr < POOR_CODEC:
        found.append(
            f"The model's autoencoder reproduces the images at {done.codec_psnr:.1f} dB only: they "
            "are unlike what it was trained on, and frames and densities say little about them."
        )
    if applied(done):
        found.append(f"Remedies were applied: {'; '.join(applied(done))}.")
    return tuple(found)


def typical(done: Extrapolation) -> tuple[float, float]:
    """Noise energies regarded as typical."""
    return Terrain.typical(float(done.march.energy[0]), done.settings.band)


def ray_report(done: Extrapolation, video: Video | None) -> RayReport:
    """Everything that is written about an extrapolation."""
    whole = float(done.march.t[-1]) or 1.0
    films = [Film("geodesic", done.frames.cpu(), (done.times / whole).cpu().clamp(0, 1))]
    if done.straight is not None and done.straight_march is not None:
        times = done.straight_march.t[done.straight_march.frames] / whole
        films.append(Film("straight", done.straight.cpu(), times.cpu().clamp(0, 1)))
    marches = {"geodesic": done.march}
    if done.straight_march is not None:
        marches["straight"] = done.straight_march
    unit = done.launch.unit
    return RayReport(
        title="A density ray",
        direction=done.direction.told(),
        unit=unit,
        starts=tuple(done.pictures.images),
        start_names=done.pictures.sources,
        films=tuple(films),
        captions=tuple(f"t = {t:.2f}" for t in done.times.tolist()),
        density=_traces(marches, "log_density"),
        norm=_traces(marches, "norm"),
        energy=_traces(marches, "energy"),
        growth=_traces(marches, "growth"),
        typical=typical(done),
        applied=applied(done),
        result=result_of(done),
        tensors={
            "t": done.march.t,
            "latents": done.march.latents,
            "frame_t": done.times,
            "start": done.launch.x,
            "velocity": done.launch.velocity,
        },
        status=f"{done.march.result.name.replace('_', ' ')}: {done.march.result.message}",
        facts=_facts(done),
        warnings=done.warnings,
        cost=tuple(StageCost(n, c.rows, c.calls, c.seconds) for n, c in done.ledger.stages),
        settings={
            "direction": done.direction.told(),
            **done.settings.as_dict(),
            **{f"image {i}": s for i, s in enumerate(done.pictures.sources)},
        },
        versions=versions(),
        video=video or Video(there_and_back=False),
    )


def result_of(done: Extrapolation) -> dict[str, object]:
    """The contents of result.json."""
    march, solution, landing = done.march, done.launch.solution, done.arrival
    height, width = done.pictures.images.shape[2:]
    index = march.frames
    return {
        "result": march.result.name,
        "message": march.result.message,
        "direction": done.direction.told(),
        "unit": done.launch.unit,
        "reach": float(march.t[-1]),
        "reach_asked": done.settings.reach or done.launch.reach,
        "times": done.times.tolist(),
        "log_density": done.log_density.tolist(),
        "log_density_reference": "the first frame; natural logarithms, at the noise level",
        "log_density_error": march.density_error,
        "norm": march.norm[index].tolist(),
        "noise_energy": march.energy[index].tolist(),
        "growth": done.growth.tolist(),
        "arc": march.arc[index].tolist(),
        "error": march.error,
        "applied": list(done.applied),
        "corrected": march.corrected,
        "arrival": None
        if landing is None
        else {"miss": landing.miss, "chord": landing.chord, "allowed": landing.allowed},
        "boundary_solution": None
        if solution is None
        else {"result": solution.result.name, "residual": float(solution.residual)},
        "codec_psnr": done.codec_psnr,
        "alpha": march.alpha,
        "dim": done.dim,
        "sigma": done.sigma,
        "cost": done.ledger.as_dict(),
        "settings": done.settings.as_dict(),
        "images": list(done.pictures.sources),
        "framing": list(done.pictures.notes),
        "size": [int(height), int(width)],
        "model": {
            "id": done.model_id,
            "hash": done.model_hash,
            "device": done.device,
            "dtype": done.dtype,
        },
        "warnings": list(done.warnings),
        "versions": versions(),
    }


def _traces(marches: dict[str, March], name: str) -> tuple[Trace, ...]:
    return tuple(
        Trace(label, march.t.tolist(), [round(v, 4) for v in getattr(march, name).tolist()])
        for label, march in marches.items()
    )


def _facts(done: Extrapolation) -> tuple[Fact, ...]:
    march, total = done.march, done.ledger.total
    lowest, low = float(march.log_density.min()), float(march.energy.min())
    facts = [
        Fact("Model", done.model_id, f"weights {done.model_hash[:12]}, on {done.device}"),
        Fact("Went", f"{float(march.t[-1]):.3g}", f"in units of {done.launch.unit}"),
        Fact(
            "Log density at the end",
            f"{float(march.log_density[-1]):+.1f} nats",
            f"lowest {lowest:+.1f}; relative to the start, at the noise level; ± "
            f"{march.density_error:.1g}",
        ),
        Fact(
            "Noise energy",
            f"{low:.2f} to {float(march.energy.max()):.2f}",
            "typical {:.2f} to {:.2f}".format(*typical(done)),
        ),
        Fact(
            "Norm at the end", f"{float(march.norm[-1]):.1f}", f"start {float(march.norm[0]):.1f}"
        ),
        Fact(
            "Growth of small errors",
            f"{float(done.growth[-1]):.3g}",
            f"1 in flat space; strength α·d = {march.alpha * done.dim:.3g}, d = {done.dim}",
        ),
    ]
    if done.arrival is not None:
        landing = done.arrival
        facts.append(
            Fact(
                "Misses the second image by",
                f"{100 * landing.miss / landing.chord:.2g}% of the chord",
                f"{100 * landing.allowed / landing.chord:.2g}% is allowed by the growth factor",
            )
        )
    facts.append(
        Fact("Cost", f"{total.rows} network rows", f"{total.calls} calls, {total.seconds:.1f} s")
    )
    return tuple(facts)
