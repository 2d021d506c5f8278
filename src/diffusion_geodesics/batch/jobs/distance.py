"""Distances of pairs, in one metric for all images of the batch.

All images are brought to one size and carried to the noise level first; each latent is kept in a
cache of the batch, which its workers fill together. Distances are measured on the sphere of their
mean norm, as `diffusion_geodesics.image_distances` does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast, final

import torch
from torch import Tensor

from diffusion_geodesics.batch.job import OpenJob, Write
from diffusion_geodesics.batch.jobs.model_job import ModelJob, OpenModelJob
from diffusion_geodesics.batch.manifest import BatchPair
from diffusion_geodesics.bvp import Result, Solution
from diffusion_geodesics.distances import CommonMean, DistanceMatrix, EndsMean
from diffusion_geodesics.distances.pair import relative_error
from diffusion_geodesics.framing import choose_size
from diffusion_geodesics.geodesics import geodesic
from diffusion_geodesics.image_sets.settings import DistanceSettings, ReferenceName
from diffusion_geodesics.images import load_image
from diffusion_geodesics.latents.choices import solver_of
from diffusion_geodesics.latents.encode import Noised, encode, invert
from diffusion_geodesics.latents.geometry import Geometry, shared_geometry
from diffusion_geodesics.latents.pictures import load_pictures
from diffusion_geodesics.manifold import Flat, Manifold, Sphere
from diffusion_geodesics.models.model import DiffusionModel
from diffusion_geodesics.models.settings import ModelSettings
from diffusion_geodesics.reporting.report import Sheet
from diffusion_geodesics.reporting.tables import csv_text
from diffusion_geodesics.runtime.content_key import content_key
from diffusion_geodesics.runtime.jsonable import to_json
from diffusion_geodesics.runtime.keyed_cache import CacheEntry, KeyedCache
from diffusion_geodesics.runtime.run import Run
from diffusion_geodesics.runtime.storage import PROGRAM, staged_folder


@final
@dataclass(frozen=True)
class DistanceJob(ModelJob):
    """The distance of each pair."""

    name: ClassVar[str] = "distance"
    model: ModelSettings
    settings: DistanceSettings
    images: tuple[str, ...] = ()  # of all pairs
    cache: Path = Path()  # folder that keeps their latents

    def opened(self, model: DiffusionModel) -> OpenJob:
        return OpenDistances(self, model)

    def together(self, model: DiffusionModel) -> int:
        return self.settings.batch


class OpenDistances(OpenModelJob):
    """Distances with the model loaded."""

    def __init__(self, job: DistanceJob, model: DiffusionModel) -> None:
        super().__init__(job, model)
        self._job = job
        self._cache = KeyedCache(job.cache, "noised-latent-2")

    def results(self, pairs: Sequence[BatchPair]) -> Sequence[Write]:
        settings, manifold = self._job.settings, self._manifold
        solve, geometry = settings.solve, self._geometry
        ends = [
            manifold.project(torch.stack([self._latent(path) for path in paths]))
            for paths in ([p.a for p in pairs], [p.b for p in pairs])
        ]
        if bool((ends[0] == ends[1]).all(-1).any()):
            raise ValueError("both images are identical; give each only once")
        found = geodesic(
            geometry.score,
            *ends,
            alpha=geometry.alpha,
            manifold=manifold,
            solver=solver_of(solve),
            tol=solve.tol,
            max_steps=solve.max_steps,
            starts=solve.starts,
            seed=solve.seed,
        )
        records = [self._record(pair, found, i, len(pairs)) for i, pair in enumerate(pairs)]
        return [lambda folder, record=record: _write(folder, record) for record in records]

    def _record(self, pair: BatchPair, found: Solution, i: int, count: int) -> dict[str, object]:
        return {
            "job": "distance",
            "images": [pair.a, pair.b],
            "distance": float(found.distance[i]),
            "relative_error": float(relative_error(found)[i]),
            "log_ratio": float(found.log_density[-1, i]),
            "residual": float(found.residual[i]),
            "result": found.results[i].name,
            "alpha": self._geometry.alpha,
            "dim": self._dim,
            "size": list(self._size),
            "cost": {"nfe": round(found.nfe / count), "seconds": 0.0},
            "settings": self._job.settings.as_nested(),
            "model": self._model.info.as_dict(),
            "warnings": [*self._foreign(pair.a), *self._foreign(pair.b)],
        }

    @cached_property
    def _size(self) -> tuple[int, int]:
        """The working size of all images."""
        asked, model = self._job.settings.framing.size, self._model
        shapes = [(1, 1)]
        if not isinstance(asked, tuple):
            shapes = [shape for image in self._job.images if (shape := _shape(image))]
        return choose_size(
            shapes, native=model.native_size, multiple=model.size_multiple, requested=asked
        )

    def _noised(self, image: str) -> Noised:
        settings = self._job.settings
        framing = settings.framing.model_copy(update={"size": self._size})
        run, pictures = Run(), load_pictures(self._model, [image], framing)
        encoded = encode(run, self._model, pictures, settings.prompts.prompts)
        return invert(run, encoded, settings.inversion)

    def _key(self, image: str) -> str:
        settings = self._job.settings
        made_with = (settings.framing, settings.prompts, settings.inversion, self._size)
        return content_key(self._model.hash, made_with, Path(image).read_bytes())

    def _latent(self, image: str) -> Tensor:
        """The latent of an image at the noise level."""
        return self._entry(image).tensors["latent"].to(self._model.device)

    def _foreign(self, image: str) -> list[object]:
        """What must be said of an image that the model does not know."""
        return cast("list[object]", self._entry(image).metadata["foreign"])

    def _entry(self, image: str) -> CacheEntry:
        """What is known about an image, kept in the cache."""

        def compute() -> CacheEntry:
            noised = self._noised(image)
            notes = [n.as_dict() for n in noised.encoded.notes if n.code == "foreign"]
            return CacheEntry({"latent": noised.latents[0]}, {"foreign": notes})

        return self._cache.get_or_compute(self._key(image), compute, on_damage=lambda error: None)

    @cached_property
    def _norms(self) -> tuple[float, ...]:
        """The norms of all images' latents; workers begin at different ones to fill the cache."""
        images = self._job.images
        first = os.getpid() % len(images)
        found: dict[str, float] = {}
        for image in (*images[first:], *images[:first]):
            try:
                found[image] = float(self._latent(image).norm())
            except (ValueError, OSError):  # its own pairs will say so
                continue
        return tuple(found[image] for image in images if image in found)

    @cached_property
    def _manifold(self) -> Manifold:
        if self._job.settings.metric.flat:
            return Flat()
        return Sphere(sum(self._norms) / len(self._norms))

    @cached_property
    def _geometry(self) -> Geometry:
        settings = self._job.settings
        image = next(path for path in self._job.images if _shape(path))
        return shared_geometry(self._noised(image), settings.metric, settings.solve.seed)

    @cached_property
    def _dim(self) -> int:
        return int(self._latent(next(p for p in self._job.images if _shape(p))).numel())


def _shape(image: str) -> tuple[int, int] | None:
    """(height, width) of an image; None where it cannot be read."""
    try:
        found = load_image(image).shape
    except (ValueError, OSError):
        return None
    return int(found[1]), int(found[2])


def _write(folder: Path, record: Mapping[str, object]) -> None:
    with staged_folder(folder) as staging:
        content = to_json({**record, "program": PROGRAM, "files": ["result.json"]})
        (staging / "result.json").write_text(content, encoding="utf-8")


def distances_csv(header: Mapping[str, Any], done: Mapping[BatchPair, Mapping[str, Any]]) -> str:
    """The table of distances. Where all pairs of the images are there, and the settings ask for it,
    they are relative to the mean density of all images; else each to that of its own two."""
    images = list(dict.fromkeys(path for pair in done for path in (pair.a, pair.b)))
    place = {image: i for i, image in enumerate(images)}
    order = {(place[pair.a], place[pair.b]): found for pair, found in done.items()}
    asked = header["settings"].get("reference") == ReferenceName.COMMON.value
    whole = len(order) == len(images) * (len(images) - 1) // 2
    common = asked and whole and all(i < j for i, j in order)
    matrix = _matrix(order, len(images), common)
    values, errors = matrix.values.tolist(), matrix.errors.tolist()
    reference = "all images" if common else "the pair"
    rows = [
        (pair.name, pair.a, pair.b, values[i][j], errors[i][j], reference, found["result"])
        for pair, found in done.items()
        for i, j in [(place[pair.a], place[pair.b])]
    ]
    columns = ("name", "a", "b", "distance", "error", "density_relative_to", "result")
    return csv_text(Sheet(columns, rows))


def _matrix(
    order: Mapping[tuple[int, int], Mapping[str, Any]], count: int, common: bool
) -> DistanceMatrix:
    def square(name: str, sign: float = 1.0) -> Tensor:
        full = torch.zeros(count, count, dtype=torch.float64)
        for (i, j), found in order.items():
            full[i, j] = found[name]
            full[j, i] = sign * found[name]
        return full

    every = list(order.values())
    return DistanceMatrix(
        relative=square("distance"),
        relative_error=square("relative_error"),
        log_ratio=square("log_ratio", -1.0),
        alpha=every[0]["alpha"],
        reference=CommonMean() if common else EndsMean(),
        pairs=torch.tensor(list(order)),
        results=tuple(Result[found["result"]] for found in every),
        residual=torch.tensor([found["residual"] for found in every]),
        nfe=sum(found["cost"]["nfe"] for found in every),
        batches=0,
    )
