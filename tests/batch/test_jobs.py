"""The jobs: a pair of a batch is what the job gives for this pair alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from diffusion_geodesics.batch.collect import collect
from diffusion_geodesics.batch.job import Device, Facts, Job, OpenJob
from diffusion_geodesics.batch.jobs.distance import DistanceJob
from diffusion_geodesics.batch.jobs.model_job import ModelJob
from diffusion_geodesics.batch.jobs.pair_jobs import CompareJob, ExtrapolateJob, InterpolateJob
from diffusion_geodesics.batch.manifest import BatchPair
from diffusion_geodesics.batch.pair_store import PairStore
from diffusion_geodesics.batch.pool import Ended, Pool
from diffusion_geodesics.batch.run import run_batch
from diffusion_geodesics.batch.sources import pairs_from
from diffusion_geodesics.batch.worker import Task, Worker
from diffusion_geodesics.comparison.baselines import PixelBlend
from diffusion_geodesics.comparison.settings import ComparisonSettings
from diffusion_geodesics.extrapolation.directions import Past
from diffusion_geodesics.extrapolation.extrapolate import extrapolate
from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings
from diffusion_geodesics.image_sets.distances import image_distances
from diffusion_geodesics.image_sets.settings import DistanceSettings
from diffusion_geodesics.images import save_png
from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.models import StableDiffusionModel
from diffusion_geodesics.models.model import DiffusionModel
from diffusion_geodesics.models.settings import ModelSettings
from tests.tiny_pipelines import tiny_pipeline

QUICK = {"steps": 5, "refinements": 0, "size": 32}


class Loaded(Job):
    """A job whose model is there already."""

    def __init__(self, job: ModelJob, model: DiffusionModel) -> None:
        self.job, self.model = job, model
        self.header = job.header

    header: Any = None

    def open(self, device: Device) -> OpenJob:
        return self.job.opened(self.model)


class InProcess(Pool):
    """One worker in this process."""

    def __init__(self, job: Job, out: Path) -> None:
        self.worker = Worker(job, out, 0, Device())
        self.ended: list[Ended] = []

    def start(self) -> Facts:
        return self.worker.facts

    def grow(self, facts: Facts, most: int) -> int:
        return 1

    @property
    def idle(self) -> int:
        return 1 - len(self.ended)

    def submit(self, task: Task) -> None:
        self.ended.append(Ended(task, self.worker.run(task)))

    def wait(self, seconds: float) -> Sequence[Ended]:
        found, self.ended = self.ended, []
        return found

    def close(self) -> None:
        self.ended = []


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusionModel:
    return StableDiffusionModel.from_pipeline(tiny_pipeline(tmp_path_factory.mktemp("tokenizer")))


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("images")
    noise = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    smooth = torch.nn.functional.interpolate(noise, size=(40, 40), mode="bicubic").clamp(0, 1)
    files = [folder / f"{i}.png" for i in range(4)]
    for file, image in zip(files, smooth, strict=True):
        save_png(file, image)
    return files


Batch = Callable[[ModelJob, Sequence[BatchPair]], PairStore]


@pytest.fixture
def batch(tmp_path: Path, model: StableDiffusionModel) -> Batch:
    def run(job: ModelJob, pairs: Sequence[BatchPair]) -> PairStore:
        out, loaded = tmp_path / "out", Loaded(job, model)
        progress = run_batch(loaded, pairs, out, InProcess(loaded, out))
        assert dict(progress.names) == {}
        collect(out)
        return PairStore(out)

    return run


def results(store: PairStore) -> dict[str, dict[str, Any]]:
    """The results by the images' names."""
    found = [json.loads(f.read_text()) for f in store.pairs.glob("*/result.json")]
    return {"-".join(Path(x.get("source", x) if isinstance(x, dict) else x).stem
                     for x in each["images"]): each for each in found}  # fmt: skip


@pytest.mark.whole
def test_interpolations(batch: Batch, model: StableDiffusionModel, images: list[Path]) -> None:
    settings = InterpolationSettings.of(path="slerp", frames=3, prompt="cat", **QUICK)
    a, b, c = map(str, images[:3])
    pairs = [BatchPair("one", a, b), BatchPair("two", b, c, "dog", "dog")]
    store = batch(InterpolateJob(ModelSettings(), settings, report=False), pairs)
    found = results(store)
    assert found.keys() == {"0-1", "1-2"}
    alone = interpolate(model, (b, c), settings, prompt=("dog", "dog"))
    assert found["1-2"]["length"] == pytest.approx(alone.lengths)
    assert found["0-1"]["settings"]["prompts"]["prompt"] == ["cat"]
    assert found["1-2"]["settings"]["prompts"]["prompt"] == ["dog", "dog"]
    files = {f.name for f in next(store.pairs.iterdir()).iterdir()}
    assert files == {"frames", "path.safetensors", "report.html", "result.json", "settings.toml"}


def test_a_report_for_each_pair(batch: Batch, images: list[Path]) -> None:
    settings = InterpolationSettings.of(path="slerp", frames=3, film_only=True, **QUICK)
    pairs = [BatchPair("one", str(images[0]), str(images[1]))]
    store = batch(InterpolateJob(ModelSettings(), settings), pairs)
    [folder] = store.pairs.iterdir()
    assert {"strip.png", "morph.mp4"} <= {f.name for f in folder.iterdir()}
    assert f"pairs/{folder.name}/strip.png" in (store.out / "index.html").read_text()


@pytest.mark.whole
def test_extrapolations(batch: Batch, model: StableDiffusionModel, images: list[Path]) -> None:
    settings = ExtrapolationSettings.of(frames=3, ray_steps=4, film_only=True, stop=False, **QUICK)
    pairs = [BatchPair("one", str(images[0]), str(images[1]), prompt_a="cat")]
    store = batch(ExtrapolateJob(ModelSettings(), settings, report=False), pairs)
    [found] = (json.loads(f.read_text()) for f in store.pairs.glob("*/result.json"))
    alone = extrapolate(model, images[0], Past(images[1]), settings, prompt="cat")
    assert found["log_density"] == pytest.approx(alone.log_density.tolist())


def test_comparisons(batch: Batch, images: list[Path]) -> None:
    settings = ComparisonSettings.of(frames=3, **QUICK)
    pairs = pairs_from(images[:3], all_pairs=True)
    job = CompareJob(ModelSettings(), settings, False, (PixelBlend(),))
    store = batch(job, pairs)
    with (store.out / "methods.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["method"] for row in rows} == {"pixel blend"}
    assert {row["pairs"] for row in rows} == {"3"}


@pytest.mark.whole
def test_distances_are_those_of_one_metric(
    batch: Batch, tmp_path: Path, model: StableDiffusionModel, images: list[Path]
) -> None:
    """The table of a batch is the matrix that one process computes, to rounding."""
    settings = DistanceSettings.of(batch=2, max_steps=6, intervals=(8,), **QUICK)
    pairs = pairs_from(images, all_pairs=True)
    paths = tuple(map(str, images))
    cache = tmp_path / "out" / "latents"
    store = batch(DistanceJob(ModelSettings(), settings, False, paths, cache), pairs)
    with (store.out / "distances.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    matrix = image_distances(model, images, settings).matrix
    index = torch.combinations(torch.arange(4))
    expected = matrix.values[index[:, 0], index[:, 1]].tolist()
    assert [float(row["distance"]) for row in rows] == pytest.approx(expected, rel=1e-5)
    errors = matrix.errors[index[:, 0], index[:, 1]].tolist()
    assert [float(row["error"]) for row in rows] == pytest.approx(errors, rel=1e-2)
    assert {row["density_relative_to"] for row in rows} == {"all images"}
    assert len(list(cache.rglob("*.safetensors"))) == 4


def test_distances_of_some_pairs_are_relative_to_each(batch: Batch, tmp_path: Path,
                                                      images: list[Path]) -> None:  # fmt: skip
    settings = DistanceSettings.of(max_steps=2, intervals=(4,), **QUICK)
    a, b, c = map(str, images[:3])
    pairs = [BatchPair("one", a, b), BatchPair("two", b, c)]
    job = DistanceJob(ModelSettings(), settings, False, (a, b, c), tmp_path / "latents")
    store = batch(job, pairs)
    with (store.out / "distances.csv").open(newline="") as file:
        assert {row["density_relative_to"] for row in csv.DictReader(file)} == {"the pair"}


def test_identical_images_fail_alone(tmp_path: Path, model: StableDiffusionModel,
                                     images: list[Path]) -> None:  # fmt: skip
    settings = DistanceSettings.of(max_steps=2, intervals=(4,), **QUICK)
    a, b = map(str, images[:2])
    job = DistanceJob(ModelSettings(), settings, False, (a, b), tmp_path / "latents")
    loaded, out = Loaded(job, model), tmp_path / "out"
    pairs = [BatchPair("same", a, a), BatchPair("one", a, b)]
    progress = run_batch(loaded, pairs, out, InProcess(loaded, out))
    assert (progress.done, progress.failed) == (1, 1)
    assert "identical" in progress.names[0][1]
