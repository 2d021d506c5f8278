"""Batches on SLURM, with submitit's executor for this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from diffusion_geodesics.batch.engines.slurm import ShardTask, run_on_slurm
from diffusion_geodesics.batch.pair_store import PairStore
from diffusion_geodesics.batch.pool import EngineError
from diffusion_geodesics.batch.progress import BatchProgress
from diffusion_geodesics.batch.settings import BatchSettings
from tests.batch.test_here import environment
from tests.batch.toys import ToyJob, begun, toy_pairs

submitit = pytest.importorskip("submitit")


@pytest.mark.whole
def test_an_array_computes_every_pair_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    pairs, out = toy_pairs(tmp_path / "in", 9), tmp_path / "out"
    job = ToyJob(behaviour={"pair4": "refuse"}, log=tmp_path / "log")
    how, seen = BatchSettings(workers=2), list[BatchProgress]()
    progress = run_on_slurm(job, pairs, out, how, observer=seen.append, cluster="local", workers=1)
    assert (progress.done, progress.failed, progress.total) == (8, 1, 9)
    assert sorted(begun(tmp_path / "log")) == sorted(p.name for p in pairs)
    assert len(PairStore(out).done()) == 8
    assert sorted(p.name for p in out.iterdir()) == ["failed", "manifest.jsonl", "pairs", "slurm"]


def test_a_task_whose_time_is_up_is_queued_again_as_it_was(tmp_path: Path) -> None:
    task = ShardTask(ToyJob(), (), tmp_path, BatchSettings(), (1, 2))
    assert task.checkpoint().function == task


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    if shutil.which("srun") is None:
        with pytest.raises(EngineError, match="SLURM cannot be had: .*srun"):
            run_on_slurm(ToyJob(), (), tmp_path, BatchSettings(), observer=print)
    how = BatchSettings(sbatch=("partition",))
    with pytest.raises(EngineError, match="expected NAME=VALUE"):
        run_on_slurm(ToyJob(), (), tmp_path, how, observer=print)
