"""Threads that share a model get what each of them would get alone."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event, Thread
from typing import Any

import pytest
import torch
from torch import Tensor

from diffusion_geodesics.diffusion import Condition
from diffusion_geodesics.models import DiffusionModel, from_pipeline, load_model
from diffusion_geodesics.models.attention import interpolated_attention
from diffusion_geodesics.models.locks import exclusive
from tests.conformance.model import CASES, FamilyCase
from tests.tiny_pipelines import tiny_pipeline

THREADS, ROUNDS = 6, 3


def together(jobs: list[Callable[[], Any]]) -> list[Any]:
    """What jobs give that run at the same time, round after round."""
    start = Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> list[Any]:
        start.wait()
        return [job() for _ in range(ROUNDS)]

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def check(jobs: list[Callable[[], Any]]) -> None:
    """Jobs at the same time give what they give one after the other."""
    alone = [job() for job in jobs]
    for expected, rounds in zip(alone, together(jobs), strict=True):
        for got in rounds:
            for a, b in zip(expected, got, strict=True):
                torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_conditions_are_not_mixed(case: FamilyCase, tmp_path: Path) -> None:
    model = from_pipeline(case.make(tmp_path))
    denoiser, codec = model.denoiser(*case.size), model.codec(*case.size)
    a, b = (model.encode_prompt(text) for text in case.prompts)
    timestep = denoiser.schedule.timestep(10, 0.5)

    def job(k: int) -> Callable[[], tuple[Tensor, ...]]:
        x = torch.randn(2, denoiser.network.dim, generator=torch.Generator().manual_seed(k))
        condition = a.lerp(b, torch.tensor([k / THREADS, 1 - k / THREADS]))
        if k % 3 == 0:
            return lambda: denoiser.features(x, timestep, condition)
        if k % 3 == 1:
            return lambda: (codec.decode(x), *model.encode_prompt(case.prompts[k % 2]).parts)
        return lambda: (denoiser.output(x, timestep, condition),)

    check([job(k) for k in range(THREADS)])


@pytest.fixture(params=["tiny", "embedded"])
def unet_model(request: pytest.FixtureRequest, tmp_path: Path) -> DiffusionModel:
    if request.param == "embedded":
        return load_model(device="cpu")
    return from_pipeline(tiny_pipeline(tmp_path))


def test_interpolated_attention_is_its_own_threads(unet_model: DiffusionModel) -> None:
    denoiser = unet_model.denoiser(64, 64)
    a = unet_model.encode_prompt("")
    b = Condition((a.parts[0].flip(1),))
    x = torch.randn(4, denoiser.network.dim, generator=torch.Generator().manual_seed(0))
    t = torch.linspace(0, 1, 4)

    def between(inner: bool) -> tuple[Tensor]:
        with interpolated_attention(denoiser.network, t, inner=inner):
            return (denoiser.output(x, 500.0, a.lerp(b, t)),)

    def plain(rows: int) -> tuple[Tensor]:
        return (denoiser.output(x[:rows], 500.0, b),)

    check([lambda: between(True), lambda: between(False), lambda: plain(4), lambda: plain(3)])


def test_other_threads_wait_until_attention_is_put_back(unet_model: DiffusionModel) -> None:
    denoiser = unet_model.denoiser(64, 64)
    x, condition = torch.zeros(3, denoiser.network.dim), unet_model.encode_prompt("")
    done = Event()

    def evaluate() -> None:
        denoiser.output(x[:1], 500.0, condition)
        done.set()

    other = Thread(target=evaluate)
    with interpolated_attention(denoiser.network, torch.linspace(0, 1, 3)):
        other.start()
        assert not done.wait(0.3)
        denoiser.output(x, 500.0, condition)
    other.join(60)
    assert done.is_set()


def test_a_thread_may_take_a_lock_twice_and_different_locks_are_free() -> None:
    first, second = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    taken = Event()

    def take() -> None:
        with exclusive(second):
            taken.set()

    with exclusive(first), exclusive(first):
        Thread(target=take).start()
        assert taken.wait(60)
