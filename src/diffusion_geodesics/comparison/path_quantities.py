"""What is measured along a path of latents, with the score of the model: density and length."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.bvp.euler_lagrange import evaluate, evaluate_ends
from diffusion_geodesics.latents.coordinates import Coordinates
from diffusion_geodesics.latents.geometry import Geometry
from diffusion_geodesics.latents.profile import LatentPath, measure_paths
from diffusion_geodesics.measures import Better, Quantity

NODES = 33
DECEIVES = "density is not naturalness: smooth images are dense, and paths can shed their noise"
PATH_QUANTITIES = (
    Quantity(
        "log p min",
        Better.NEITHER,
        "lowest log density along the path, in nats, less the mean of both ends",
        DECEIVES,
    ),
    Quantity("log p middle", Better.NEITHER, "the same at the middle frame", DECEIVES),
    Quantity("log p mean", Better.NEITHER, "the same, mean over the frames between", DECEIVES),
    Quantity(
        "length",
        Better.NEITHER,
        "length under the metric of the run, relative to the start; of paths on the shell (or in "
        "flat space, where the metric is) only: others have none that compares",
        "it is what a geodesic minimises",
    ),
    Quantity(
        "residual",
        Better.NEITHER,
        "relative Euler-Lagrange residual of the metric of the run, on 33 nodes",
    ),
    Quantity(
        "noise energy",
        Better.NEITHER,
        "lowest noise energy σ|s|/√d, relative to the lower one of both ends; well below 1 the "
        "path has left the typical set",
    ),
    Quantity("norm", Better.NEITHER, "lowest norm of a latent, relative to the mean of both ends"),
)


def path_scores(
    geometry: Geometry,
    reference: Coordinates,
    path: LatentPath | None,
    t: Float[Tensor, " frames"],
) -> dict[str, float]:
    """Every path quantity; NaN for no path at this noise level."""
    if path is None:
        return {q.name: math.nan for q in PATH_QUANTITIES}
    (found,) = measure_paths(geometry, reference, path)
    level = 0.5 * float(found.log_density[0] + found.log_density[-1])
    inner = found.log_density_at(t)[1:-1] - level
    grid = torch.linspace(0, 1, NODES, dtype=torch.float64)
    nodes = reference.coordinates(grid, path.latent(grid))
    connection = geometry.connection(reference)
    state = evaluate(connection, evaluate_ends(connection, nodes), nodes)
    return {
        "log p min": float(found.log_density.min()) - level,
        "log p middle": float(inner[len(inner) // 2]),
        "log p mean": float(inner.mean()),
        "length": found.length if found.comparable else math.nan,
        "residual": float(state.residual[0]),
        "noise energy": found.least_energy,
        "norm": float(found.norm.min() / found.norm[[0, -1]].mean()),
    }
