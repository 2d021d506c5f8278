"""What must be known before distances and densities of images are believed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from diffusion_geodesics.distances import DistanceMatrix, EndsMean, MetamorphosisMatrix
from diffusion_geodesics.likelihood import FlowResult, LogDensity
from diffusion_geodesics.runtime.diagnostic import Diagnostic

LARGE_ERROR = 0.05  # relative error bar of a distance from which on it is warned about
COARSE = 0.25  # the same for metamorphoses
FEW_SAMPLES = 8  # samples of the trace below which their spread says little of the error


def short_names(names: Sequence[str]) -> list[str]:
    """File names without folders and endings, numbered where several are the same."""
    stems = [Path(name).stem or name for name in names]
    seen = Counter(stems)
    return [f"{stem} ({i + 1})" if seen[stem] > 1 else stem for i, stem in enumerate(stems)]


def largest_share(matrix: DistanceMatrix | MetamorphosisMatrix) -> float:
    """The largest error bar relative to its distance."""
    values, errors = matrix.values, matrix.errors
    return float(torch.where(values > 0, errors / values, 0).max())


def diagnose_distances(matrix: DistanceMatrix, names: Sequence[str]) -> tuple[Diagnostic, ...]:
    """Everything to know about distances."""
    return tuple(_distances(matrix, short_names(names)))


def _distances(matrix: DistanceMatrix, names: Sequence[str]) -> Iterator[Diagnostic]:
    if matrix.failed:
        some = [f"{names[i]} and {names[j]}" for i, j in matrix.failed[:3]]
        listed = ", ".join(some) + (", ..." if len(matrix.failed) > 3 else "")
        yield Diagnostic(
            "not_converged",
            f"No geodesic was found for {len(matrix.failed)} of {len(matrix.pairs)} pairs "
            f"({listed}); their values are upper bounds.",
            {"pairs": [list(pair) for pair in matrix.failed]},
        )
    if (share := largest_share(matrix)) > LARGE_ERROR:
        message = f"Error bars reach {100 * share:.0f}% of a distance."
        yield Diagnostic("large_error", message, {"relative_error": share})
    if isinstance(matrix.reference, EndsMean):
        yield Diagnostic(
            "own_reference",
            "Every pair has its own reference density, so that distances of different pairs have "
            "different units and need not obey the triangle inequality.",
        )


def diagnose_metamorphoses(matrix: MetamorphosisMatrix) -> tuple[Diagnostic, ...]:
    """Everything to know about metamorphosis distances."""
    if (share := largest_share(matrix)) <= COARSE:
        return ()
    message = (
        f"Metamorphoses of one segment and of two differ by up to {100 * share:.0f}% of a distance."
    )
    return (Diagnostic("large_error", message, {"relative_error": share}),)


def diagnose_densities(density: LogDensity) -> tuple[Diagnostic, ...]:
    """Everything to know about log densities."""
    found: list[Diagnostic] = []
    if density.result is not FlowResult.converged:
        found.append(Diagnostic("not_converged", f"No density was found: {density.result.value}."))
    trace = density.trace
    if not trace.exact and trace.count < FEW_SAMPLES:
        found.append(
            Diagnostic(
                "few_probes",
                f"The standard error comes from {trace.count} samples and may be far too small; "
                f"take at least {3 * FEW_SAMPLES} probes.",
                {"samples": trace.count},
            )
        )
    return tuple(found)
