"""The report of densities of images."""

from diffusion_geodesics.image_sets.densities import DensitiesResult
from diffusion_geodesics.image_sets.diagnostics import short_names
from diffusion_geodesics.reporting.blocks import (
    Fact,
    Facts,
    Picture,
    Pictures,
    Plot,
    Section,
    Table,
)
from diffusion_geodesics.reporting.jobs import common
from diffusion_geodesics.reporting.plots import Interval, IntervalPanel, IntervalPlot
from diffusion_geodesics.reporting.report import Report
from diffusion_geodesics.runtime.jsonable import to_json

ERRORS = ("log_prob", "standard_error", "solver_error")


def densities_report(result: DensitiesResult) -> Report:
    """Everything that is written about log densities."""
    found, rows = result.density, result.rows()
    images, inputs = common.sources(result.pictures)
    names = short_names(result.pictures.names)
    cells = [
        [name, *(f"{row[c]:.2f}" for c in ERRORS), f"{row['bits_per_dim']:.4f}"]
        for name, row in zip(names, rows, strict=True)
    ]
    means, errors = found.log_prob.tolist(), found.standard_error.tolist()
    intervals = [Interval(n, m, m - e, m + e) for n, m, e in zip(names, means, errors, strict=True)]
    shown = [
        Picture([image], f"{name}: {mean:.1f} nats")
        for image, name, mean in zip(
            common.clamped(result.pictures.images), names, means, strict=True
        )
    ]
    facts = [common.model_fact(result.model), common.cost_fact(result.costs)]
    facts.insert(1, Fact("Noise to signal", f"{found.sigma:.3g}", "σ of the noised density"))
    drawn = IntervalPlot([IntervalPanel("log p, nats, ± one standard error", intervals)])
    head = ("image", "log p, nats", "standard error", "solver error", f"bits {result.bits}")
    return common.job_report(
        "density",
        result,
        _density_values(result),
        {"images": images},
        title="Densities of images",
        lead=f"Log densities of the noised images in absolute terms; {found.result.value}.",
        sections=(
            Section("", [Facts(facts)]),
            Section("Log densities", [Pictures(shown), Plot(drawn), Table(head, cells)]),
        ),
        frames=inputs,
    )


def density_json(result: DensitiesResult) -> str:
    """Everything about log densities, as JSON."""
    return to_json(common.record("density", result, _density_values(result)))


def _density_values(result: DensitiesResult) -> dict[str, object]:
    found = result.density
    return {
        "densities": result.rows(),
        "bits": result.bits,
        **common.values_of(found, "bin_width dim"),
        "noise_to_signal": found.sigma,
        "noise_to_signal_at_the_end": found.sigma_max,
        "trace": repr(found.trace),
        "derivative": repr(found.derivative),
        "result": found.result.name,
        "message": found.result.value,
        "steps": {"accepted": found.steps[0], "rejected": found.steps[1]},
    }
