"""The studies run, pair by pair, in processes; finished work is kept and found again.

Every pair of every study has a folder of its own under ``runs/evidence``, below a fingerprint of
all code that results depend on, so that nothing measured by other code is ever mixed in.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import final

import torch

from benchmarks.evidence.methods import TRUTH, TrueFrames
from benchmarks.evidence.pairs import TruePair
from benchmarks.evidence.plan import Study
from benchmarks.evidence.truth import Truth
from benchmarks.record import fingerprint
from diffusion_geodesics import load_model
from diffusion_geodesics.comparison.compare import compare
from diffusion_geodesics.comparison.result import ComparisonResult
from diffusion_geodesics.models import DiffusionModel

KEPT = Path("runs") / "evidence"
CODE = ("src/diffusion_geodesics", "benchmarks/evidence", "training")
"""What results depend on."""
MODEL = "embedded"


@final
@dataclass(frozen=True, eq=False)
class Job:
    """All studies of one pair.

    Args:
        case: the pair.
        studies: that hold it.
        folder: of the run.
    """

    case: TruePair
    studies: tuple[Study, ...]
    folder: Path


def kept_folder() -> Path:
    """Where results of the present code are kept."""
    return KEPT / fingerprint(CODE)


def jobs_of(studies: Sequence[Study], folder: Path) -> list[Job]:
    """One job a pair, those first that take longest."""
    found: dict[str, tuple[TruePair, list[Study]]] = {}
    for study in studies:
        for case in study.cases():
            found.setdefault(case.name, (case, []))[1].append(study)
    jobs = [Job(case, tuple(own), folder) for case, own in found.values()]
    return sorted(jobs, key=lambda j: -sum(_weight(s) for s in j.studies))


def processes(count: int) -> ProcessPoolExecutor:
    """Processes of one thread each."""
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=spawn, initializer=single_thread)


def work(jobs: Sequence[Job], pool: Executor) -> None:
    """Do what is not done yet, and say how far it is."""
    started = time.perf_counter()
    waiting = {pool.submit(do, job): job for job in jobs}
    for count, future in enumerate(as_completed(waiting), 1):
        future.result()
        took, name = time.perf_counter() - started, waiting[future].case.name
        print(f"{count} of {len(jobs)} pairs, {took:.0f} s: {name}", flush=True)


def do(job: Job) -> None:
    """One pair in every study that holds it."""
    for study in job.studies:
        started = time.process_time()
        place = _place(job.folder, study, job.case)
        new = not any(place.rglob("*.safetensors"))
        result_of(job.folder, study, job.case)
        if new:
            told = {"seconds": time.process_time() - started}
            (place / "took.json").write_text(json.dumps(told), encoding="utf-8")


def result_of(folder: Path, study: Study, case: TruePair) -> ComparisonResult:
    """One pair of a study; measured where it is not kept."""
    size = model().native_size
    codec = model().codec(size, size)
    truth = [TrueFrames(case, codec)] if study.truth else []
    return compare(
        model(),
        [case.pair(size, study.prompts)],
        [*truth, *study.made()],
        study.settings,
        further=lambda pair: [Truth(case, codec)],
        truth=TRUTH if truth else None,
        resume=_place(folder, study, case),
    )


def seconds(folder: Path, study: Study) -> float:
    """Processor time that all pairs of a study took when they were measured, which others on the
    machine hardly change."""
    files = [_place(folder, study, case) / "took.json" for case in study.cases()]
    texts = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
    return sum(float(json.loads(text)["seconds"]) for text in texts)


@cache
def model() -> DiffusionModel:
    """The embedded model, once a process."""
    return load_model(MODEL)


def _place(folder: Path, study: Study, case: TruePair) -> Path:
    digest = hashlib.sha256(repr((study.methods, study.settings, study.along)).encode())
    return folder / f"{study.name.replace(' ', '-')}-{digest.hexdigest()[:8]}" / case.name


def _weight(study: Study) -> int:
    """About how many strips it takes as long as; the paper's algorithm as long as many."""
    theirs = sum(m.startswith("published") for m in study.methods)
    return len(study.methods) + 10 * theirs


def single_thread() -> None:
    """What a process of a pool starts with."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
