"""Geodesic distances between images: all pairs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.distances import (
    CommonMean,
    DistanceMatrix,
    EndsMean,
    Progress,
    distance_matrix,
)
from diffusion_geodesics.image_sets.diagnostics import diagnose_distances
from diffusion_geodesics.image_sets.settings import DistanceSettings, ReferenceName
from diffusion_geodesics.images import ImageSource
from diffusion_geodesics.latents.choices import solver_of
from diffusion_geodesics.latents.encode import encode, invert
from diffusion_geodesics.latents.geometry import shared_geometry
from diffusion_geodesics.latents.memory import SOLVER_COPIES, demand_memory
from diffusion_geodesics.latents.pictures import Pictures, load_pictures
from diffusion_geodesics.manifold import Flat, Manifold, Sphere
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.models.info import ModelInfo
from diffusion_geodesics.runtime.cost import CostBreakdown
from diffusion_geodesics.runtime.diagnostic import Diagnostic
from diffusion_geodesics.runtime.run import Observer, Run


@final
@dataclass(frozen=True, eq=False)
class DistancesResult:
    """Distances between images, and what they were computed from."""

    settings: DistanceSettings
    model: ModelInfo
    pictures: Pictures
    """The images."""
    latents: Float[Tensor, "images dim"]
    """At the noise level."""
    manifold: Manifold
    """Where they were compared."""
    matrix: DistanceMatrix
    """The distances."""
    costs: CostBreakdown
    """By stage, of this run."""
    warnings: tuple[Diagnostic, ...] = ()
    """What must be known before the figures are believed."""

    @property
    def dim(self) -> int:
        """Coordinates of a latent."""
        return self.latents.shape[1]


def image_distances(
    model: DiffusionModel,
    images: Sequence[ImageSource],
    settings: DistanceSettings | None = None,
    *,
    resume: Path | None = None,
    observer: Observer | None = None,
    **changes: Any,
) -> DistancesResult:
    """Geodesic distances of all pairs of images.

    Args:
        model: from :func:`diffusion_geodesics.load_model`.
        images: at least two; paths, Pillow images, or tensors (3, height, width) in [0, 1].
        settings: every choice.
        resume: a file that keeps finished pairs; a run that was killed continues from it.
        observer: told of progress; an exception that it raises cancels the run.
        **changes: single settings by name.

    Raises:
        ImageError: an image that cannot be used.
        ValueError: fewer than two images, two that are the same, or a file to resume from that
            belongs to another computation.

    Cost: the inversion, and some 200 to 600 network evaluations a pair.
    """
    settings = (settings or DistanceSettings()).updated(**changes)
    run = Run(observer)
    pictures = load_pictures(model, images, settings.framing, least=2)
    solve, count = settings.solve, len(pictures.images)
    paths = min(settings.batch, count * (count - 1) // 2) * solve.starts * max(solve.intervals)
    demand_memory(model, pictures.size, images=count, latents=SOLVER_COPIES * paths + 4 * count)
    noised = invert(run, encode(run, model, pictures, settings.prompts.prompts), settings.inversion)
    latents = noised.latents
    geometry = shared_geometry(noised, settings.metric, solve.seed)
    radius = float(latents.norm(dim=1).mean())
    manifold = Flat() if settings.metric.flat else Sphere(radius)
    with run.stage("solve", total=0) as stage:

        def show(progress: Progress) -> None:
            figures = {}
            if progress.step is not None:
                figures["residual"] = float(progress.step.residual.max())
            stage(progress.done, progress.of, **figures)

        matrix = distance_matrix(
            geometry.score,
            latents,
            alpha=geometry.alpha,
            manifold=manifold,
            solver=solver_of(solve),
            reference=EndsMean() if settings.reference is ReferenceName.ENDS else CommonMean(),
            tol=solve.tol,
            max_steps=solve.max_steps,
            starts=solve.starts,
            seed=solve.seed,
            batch=settings.batch,
            resume=resume,
            identity=f"{model.hash} {settings.prompts!r} {settings.metric!r} {noised.level!r}",
            callback=show,
        )
    result = DistancesResult(settings, model.info, pictures, latents, manifold, matrix, run.costs)
    about = diagnose_distances(result.matrix, pictures.names)
    return replace(result, warnings=(*noised.notes, *about))
