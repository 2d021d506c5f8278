"""Geodesic distances between images: all pairs, an embedding, a report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from diffusion_geodesics.apps.events import Event, OnEvent, ignore
from diffusion_geodesics.apps.gallery import Gallery, Place, hang
from diffusion_geodesics.apps.job import ImageSource
from diffusion_geodesics.bvp import PreconditionedFlow
from diffusion_geodesics.diffusion import Cost, Ledger, LevelScore
from diffusion_geodesics.distance import (
    CommonMean,
    DistanceMatrix,
    Progress,
    Reference,
    distance_matrix,
)
from diffusion_geodesics.manifold import Flat, Manifold, Sphere
from diffusion_geodesics.models import DiffusionModel

if TYPE_CHECKING:
    from diffusion_geodesics.report import Written


@dataclass(frozen=True)
class DistanceSettings:
    """Settings of :func:`distances`.

    Args:
        place: prompt, noise level and size.
        strength: α · dim, the dimension-free strength of the metric.
        alpha: α itself, in place of ``strength``.
        flat: measure in flat space; by default on the sphere of the latents' mean norm, onto which
            they are projected.
        reference: what densities are relative to; the mean over all images makes it a metric.
        tol: relative residual at which the solver stops.
        max_steps: steps of the solver on its finest level.
        intervals: the solver's levels.
        starts: initial paths tried for each pair.
        seed: of the random directions of further starts.
        batch: pairs solved at once; a killed run loses at most one batch.

    Raises:
        ValueError: a value out of its range.
    """

    place: Place = field(default_factory=Place)
    strength: float = 1.0
    alpha: float | None = None
    flat: bool = False
    reference: Reference = field(default_factory=CommonMean)
    tol: float = 1e-3
    max_steps: int = 34
    intervals: tuple[int, ...] = (16,)
    starts: int = 1
    seed: int = 0
    batch: int = 16

    def __post_init__(self) -> None:
        strength = self.strength if self.alpha is None else self.alpha
        if not 0 <= strength < 1e9:
            raise ValueError(f"the metric's strength is {strength}; expected a finite number ≥ 0")
        if self.starts < 1 or self.batch < 1:
            raise ValueError(
                f"starts is {self.starts} and batch {self.batch}; expected at least 1 of each"
            )

    def alpha_for(self, dim: int) -> float:
        """α for latents of ``dim`` coordinates."""
        return self.strength / dim if self.alpha is None else self.alpha

    def as_dict(self) -> dict[str, object]:
        """Every setting, ready for JSON."""
        return {
            **self.place.as_dict(),
            "strength": self.strength,
            "alpha": self.alpha,
            "flat": self.flat,
            "reference": type(self.reference).__name__,
            "tol": self.tol,
            "max_steps": self.max_steps,
            "intervals": list(self.intervals),
            "starts": self.starts,
            "seed": self.seed,
            "batch": self.batch,
        }


@dataclass(frozen=True)
class Distances:
    """Distances between images, and what they were computed from.

    Args:
        gallery: images and latents.
        matrix: the distances; a :class:`DistanceMatrix`.
        manifold: where the latents were compared.
        settings: all choices.
        model_id, model_hash: of the model.
        device, dtype: where its networks ran and in which precision.
        ledger: cost by stage, of this run.
    """

    gallery: Gallery
    matrix: DistanceMatrix
    manifold: Manifold
    settings: DistanceSettings
    model_id: str
    model_hash: str
    device: str
    dtype: str
    ledger: Ledger

    @property
    def dim(self) -> int:
        """Coordinates of a latent."""
        return self.gallery.latents.shape[1]

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Written:
        """Write one folder: distances.csv, result.json, heatmap.svg, embedding.svg,
        distances.safetensors, report.html; all of it or nothing."""
        from diffusion_geodesics.apps.distances_told import report_of
        from diffusion_geodesics.report.distances import write_distances

        return write_distances(folder, report_of(self), overwrite=overwrite)


def distances(
    model: DiffusionModel,
    images: Sequence[ImageSource],
    settings: DistanceSettings | None = None,
    *,
    resume: Path | None = None,
    on_event: OnEvent = ignore,
) -> Distances:
    """Geodesic distances of all pairs of images.

    Args:
        model: from :func:`diffusion_geodesics.load_model`.
        images: at least two; paths, Pillow images, or tensors (3, height, width) in [0, 1].
        settings: every choice.
        resume: a file that keeps finished pairs; a run that was killed continues from it.
        on_event: told of progress; raise in it to cancel.

    Raises:
        ImageError: an image that cannot be used.
        ValueError: fewer than two images, two that are the same, or a file to resume from that
            belongs to another computation.

    Cost: the inversion, and some 200 to 600 network rows a pair.
    """
    settings = DistanceSettings() if settings is None else settings
    gallery = hang(model, images, settings.place, least=2, on_event=on_event)
    latents, dim = gallery.latents, gallery.latents.shape[1]
    radius = float(latents.norm(dim=1).mean())
    manifold = Flat() if settings.flat else Sphere(radius)
    started = time.perf_counter()

    def tell(progress: Progress) -> None:
        if progress.step is None:
            on_event(Event("pairs", progress.done, progress.of))
        else:
            worst = f"residual {float(progress.step.residual.max()):.1e}"
            on_event(Event("pairs", progress.done, progress.of, worst))

    matrix = distance_matrix(
        LevelScore(gallery.denoiser, gallery.timestep, gallery.condition),
        latents,
        alpha=settings.alpha_for(dim),
        manifold=manifold,
        solver=PreconditionedFlow(settings.intervals),
        reference=settings.reference,
        tol=settings.tol,
        max_steps=settings.max_steps,
        starts=settings.starts,
        seed=settings.seed,
        batch=settings.batch,
        resume=resume,
        identity=f"{model.hash} {settings.place.prompt!r} {gallery.timestep}",
        callback=tell,
    )
    cost = Cost(matrix.score_evals, matrix.calls, time.perf_counter() - started)
    return Distances(
        gallery=gallery,
        matrix=matrix,
        manifold=manifold,
        settings=settings,
        model_id=model.id,
        model_hash=model.hash,
        device=str(latents.device),
        dtype=str(model.dtype).removeprefix("torch."),
        ledger=gallery.ledger.add("solve", cost),
    )
