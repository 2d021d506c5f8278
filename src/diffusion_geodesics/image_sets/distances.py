"""Distances between images under one metric or several: all pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import Latents
from diffusion_geodesics.distances import (
    CommonMean,
    DistanceMatrix,
    EndsMean,
    MetamorphosisMatrix,
    Progress,
    distance_matrix,
)
from diffusion_geodesics.image_sets.diagnostics import (
    diagnose_distances,
    diagnose_metamorphoses,
)
from diffusion_geodesics.image_sets.matrices import (
    Matrix,
    euclidean_distances,
    latent_distances,
    metamorphosis_distances,
)
from diffusion_geodesics.image_sets.settings import (
    DistanceSettings,
    MetricName,
    ReferenceName,
    metamorphosis_file,
)
from diffusion_geodesics.images import ImageSource
from diffusion_geodesics.latents.choices import solver_of
from diffusion_geodesics.latents.encode import (
    ModelParts,
    Noised,
    encode,
    geometry_dtype,
    invert,
)
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
class DensityDistances:
    """Distances of the density, and where they were measured."""

    latents: Float[Tensor, "images dim"]
    """At the noise level."""
    manifold: Manifold
    """Where they were joined by geodesics."""
    matrix: DistanceMatrix
    """The distances."""

    @property
    def dim(self) -> int:
        """Coordinates of a latent."""
        return self.latents.shape[1]


@final
@dataclass(frozen=True, eq=False)
class DistancesResult:
    """Distances between images, and what they were computed from."""

    settings: DistanceSettings
    model: ModelInfo
    pictures: Pictures
    """The images."""
    matrices: Mapping[MetricName, Matrix]
    """The distances under every metric that was measured, the one asked for first; Euclidean ones
    are always there."""
    solved: DensityDistances | None
    """What is known of those of the density; None where they were not asked for."""
    costs: CostBreakdown
    """By stage, of this run."""
    warnings: tuple[Diagnostic, ...] = ()
    """What must be known before the figures are believed."""

    @property
    def matrix(self) -> Matrix:
        """The distances under the metric asked for; of all metrics, the density's."""
        return next(iter(self.matrices.values()))

    @property
    def density(self) -> DensityDistances:
        """The density's distances; `ValueError` where they were not asked for."""
        if self.solved is None:
            raise ValueError(_absent(MetricName.DENSITY, self.matrices))
        return self.solved

    @property
    def metamorphosis(self) -> MetamorphosisMatrix:
        """The metamorphosis distances; `ValueError` where they were not asked for."""
        found = self.matrices.get(MetricName.METAMORPHOSIS)
        if not isinstance(found, MetamorphosisMatrix):
            raise ValueError(_absent(MetricName.METAMORPHOSIS, self.matrices))
        return found


def _absent(asked: MetricName, known: Mapping[MetricName, Matrix]) -> str:
    there = ", ".join(name.value for name in known)
    return f"measured: {there}; expected {asked.value}: run with metric {asked.value} or all"


def image_distances(
    model: DiffusionModel,
    images: Sequence[ImageSource],
    settings: DistanceSettings | None = None,
    *,
    resume: Path | None = None,
    observer: Observer | None = None,
    **changes: Any,
) -> DistancesResult:
    """Distances of all pairs of images, under the metric of the settings or under all.

    Args:
        model: from :func:`diffusion_geodesics.load_model`.
        images: at least two; paths, Pillow images, or tensors (3, height, width) in [0, 1].
        settings: every choice.
        resume: a file that keeps finished pairs, those of metamorphoses in another beside it; a run
            that was killed continues from them.
        observer: told of progress; an exception that it raises cancels the run.
        **changes: single settings by name.

    Raises:
        ImageError: an image that cannot be used.
        ValueError: fewer than two images, two that are the same, or a file to resume from that
            belongs to another computation.

    Cost: for the density the inversion, and some 200 to 600 network evaluations a pair; for latents
    every image is encoded; none for the other metrics.
    """
    settings = (settings or DistanceSettings()).updated(**changes)
    run, chosen = Run(observer), settings.distance.metric
    pictures = load_pictures(model, images, settings.framing, least=2)
    found: dict[MetricName, Matrix] = {}
    solved = clean = None
    notes: tuple[Diagnostic, ...] = pictures.warnings
    if MetricName.DENSITY in chosen.measured:
        noised = _noised(run, model, pictures, settings)
        solved = _solved(run, model, noised, settings, resume)
        notes = (*noised.notes, *diagnose_distances(solved.matrix, pictures.names))
        clean = noised.encoded.clean
        found[MetricName.DENSITY] = solved.matrix
    if MetricName.METAMORPHOSIS in chosen.measured:
        matrix = _metamorphoses(run, model, pictures, settings, resume)
        found[MetricName.METAMORPHOSIS] = matrix
        notes = (*notes, *diagnose_metamorphoses(matrix))
    if MetricName.LATENT in chosen.measured:
        clean = _clean(run, model, pictures) if clean is None else clean
        found[MetricName.LATENT] = latent_distances(clean)
    found[MetricName.EUCLIDEAN] = euclidean_distances(pictures.images)
    return DistancesResult(settings, model.info, pictures, found, solved, run.costs, notes)


def _clean(run: Run, model: DiffusionModel, pictures: Pictures) -> Latents:
    with run.stage("encode"):
        clean = ModelParts.of(run, model, pictures.size).codec.encode(pictures.images)
    return clean.to(geometry_dtype(clean.device))


def _metamorphoses(
    run: Run,
    model: DiffusionModel,
    pictures: Pictures,
    settings: DistanceSettings,
    resume: Path | None,
) -> MetamorphosisMatrix:
    gpu = model.device.type == "cuda"
    images = pictures.images.to(model.device) if gpu else pictures.images
    beside = None if resume is None else metamorphosis_file(resume)
    with run.stage("metamorphosis", total=len(images) * (len(images) - 1) // 2) as stage:
        return metamorphosis_distances(images, settings.distance, resume=beside, callback=stage)


def _noised(
    run: Run, model: DiffusionModel, pictures: Pictures, settings: DistanceSettings
) -> Noised:
    solve, count = settings.solve, len(pictures.images)
    paths = min(settings.batch, count * (count - 1) // 2) * solve.starts * max(solve.intervals)
    demand_memory(model, pictures.size, images=count, latents=SOLVER_COPIES * paths + 4 * count)
    return invert(run, encode(run, model, pictures, settings.prompts.prompts), settings.inversion)


def _solved(
    run: Run,
    model: DiffusionModel,
    noised: Noised,
    settings: DistanceSettings,
    resume: Path | None,
) -> DensityDistances:
    solve, latents = settings.solve, noised.latents
    radius = float(latents.norm(dim=1).mean())
    manifold = Flat() if settings.metric.flat else Sphere(radius)
    geometry = shared_geometry(noised, settings.metric, solve.seed)
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
    return DensityDistances(latents, manifold, matrix)
