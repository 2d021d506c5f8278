"""The training loop: resumption, budgets and schedules."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from training.loop import Budget, Run, Schedule, averaged, generator, train


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.Linear(8, 1))


def run_to(total: int, path: Path, stop: int | None = None) -> Run:
    """Train towards `total` steps; with stop, break off there after saving."""
    run = Run.start(network(), horizon=10)

    class KilledError(Exception):
        pass

    def loss(step: int, progress: float) -> Tensor:
        if step == stop:
            run.save(path)
            raise KilledError
        x = torch.randn(16, 3, generator=generator(step))
        return (run.network(x) - x.sum(1, keepdim=True)).square().mean()

    if stop is None:
        train(run, loss, Budget(total), Schedule(1e-2, warmup=5), path)
    else:
        with pytest.raises(KilledError):
            train(run, loss, Budget(total), Schedule(1e-2, warmup=5), path)
    return run


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path):
    whole = run_to(30, tmp_path / "whole.safetensors")
    run_to(30, tmp_path / "parts.safetensors", stop=13)
    resumed = run_to(30, tmp_path / "parts.safetensors")
    assert whole.step == resumed.step == 30
    for a, b in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(a, b)
    for name, value in whole.average.items():
        assert torch.equal(value, resumed.average[name])


def test_training_lowers_the_loss_and_the_average_is_saved(tmp_path: Path):
    path = tmp_path / "run.safetensors"
    run = run_to(200, path)
    run.load_average()
    x = torch.randn(64, 3, generator=generator(0, stream=1))
    target = x.sum(1, keepdim=True)
    assert (run.network(x) - target).square().mean() < 0.3 * target.square().mean()
    saved = averaged(path)
    assert set(saved) == {name for name, _ in run.network.named_parameters()}
    assert all(torch.equal(saved[name], run.average[name]) for name in saved)


def test_budgets_count_steps_or_minutes():
    assert Budget(10).progress(5, 1e6) == 0.5
    assert Budget(minutes=2).progress(10**6, 60) == 0.5
    assert Budget(10, 1).progress(20, 0) == 1
    with pytest.raises(ValueError, match="steps or minutes"):
        Budget()


def test_the_rate_rises_stays_and_falls():
    rate = Schedule(1.0, warmup=10, flat=0.5)
    assert rate(0, 0.0) == pytest.approx(0.1)
    assert rate(100, 0.5) == pytest.approx(1.0)
    assert rate(100, 0.75) == pytest.approx(0.5)
    assert rate(100, 1.0) == pytest.approx(0.0)


PAIR = """
import sys
from pathlib import Path
import torch
from training.loop import Budget, Run, Schedule, generator, train

torch.manual_seed(0)
run = Run.start(torch.nn.Linear(3, 1))

def loss(step, progress):
    x = torch.randn(8, 3, generator=generator(step))[run.crew.share(8)]
    return (run.network(x) - x.sum(1, keepdim=True)).square().mean()

train(run, loss, Budget(5), Schedule(1e-2, warmup=1), Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(tmp_path: Path):
    script, root = tmp_path / "pair.py", Path(__file__).parents[2]
    script.write_text(PAIR, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    pair = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for launch, name in (([], "one"), (pair, "two")):
        command = [sys.executable, *launch, str(script), str(tmp_path / name)]
        subprocess.run(command, check=True, env=environment, capture_output=True, timeout=300)
    one, two = averaged(tmp_path / "one"), averaged(tmp_path / "two")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value)
