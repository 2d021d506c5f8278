"""Finished segments on disk: taken up bit by bit, by the same images, model and settings only."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from diffusion_geodesics.interpolation import segments as segments_module
from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.interpolation.kept_segments import entry_of, value_of
from diffusion_geodesics.interpolation.result import InterpolationResult
from diffusion_geodesics.interpolation.settings import KEPT_SEGMENTS, InterpolationSettings
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.runtime.keyed_cache import KeyedCache
from diffusion_geodesics.runtime.run import Event
from tests.interpolation.test_loops import pictures

QUICK = InterpolationSettings.of(
    steps=4,
    level=0.5,
    frames=9,
    path="geodesic",
    strength=1.0,
    max_steps=3,
    allow_atypical=True,
    film_only=True,
)
"""Four images: three segments in two groups."""


@pytest.fixture(autouse=True, scope="module")
def two_in_a_group() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments_module, "GROUP", 2)
        yield


@pytest.fixture(scope="module")
def images() -> list[Tensor]:
    return pictures(4)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def done(
    model: DiffusionModel, images: list[Tensor], kept: Path, two_in_a_group: None
) -> InterpolationResult:
    return interpolate(model, images, QUICK, resume=kept)


@pytest.fixture
def folder(kept: Path, done: InterpolationResult, tmp_path: Path) -> Path:
    """A copy of what was kept."""
    shutil.copytree(kept, tmp_path / "copy")
    return tmp_path / "copy"


def equal(one: Any, other: Any) -> bool:
    """Whether two values are equal bit by bit, in all fields."""
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    if is_dataclass(one) and not isinstance(one, Enum):
        same = type(one) is type(other)
        return same and all(
            equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(one)
        )
    return bool(one == other)


def spent(result: InterpolationResult) -> list[int]:
    return [result.costs[name].nfe for name in ("solve", "measure", "decode")]


@pytest.mark.whole
def test_a_segment_comes_back_as_it_was(model: DiffusionModel, images: list[Tensor]) -> None:
    natural = QUICK.updated(path="natural", film_only=False)
    (segment,) = interpolate(model, images[:2], natural).segments
    assert segment.matches is not None
    assert segment.solution is not None
    again = value_of(entry_of(segment), torch.device("cpu"))
    assert equal(again, segment)
    assert again.solution is not None
    assert again.solution.warnings == segment.solution.warnings


def test_only_what_segments_are_made_of_is_kept() -> None:
    with pytest.raises(TypeError, match="got a PosixPath"):
        entry_of((1, Path()))


@pytest.mark.whole
def test_the_same_film_again_costs_no_solving(
    model: DiffusionModel, images: list[Tensor], folder: Path, done: InterpolationResult
) -> None:
    again = interpolate(model, images, QUICK, resume=folder)
    assert spent(again) == [0, 0, 0]
    assert torch.equal(again.frames, done.frames)
    assert equal(again.segments, done.segments)
    assert [w.code for w in again.warnings if w.code == "resumed"] == ["resumed"]
    assert "resumed" not in [w.code for w in done.warnings]
    alone = interpolate(model, images, QUICK)
    assert torch.equal(alone.frames, done.frames)


@pytest.mark.whole
def test_a_group_is_taken_whole_or_not_at_all(
    model: DiffusionModel, images: list[Tensor], folder: Path, done: InterpolationResult
) -> None:
    cache, solved = KeyedCache(folder, KEPT_SEGMENTS), []
    for key in list(cache.keys()):
        held = cache.get(key)
        assert held is not None
        value = held.metadata["value"]
        if isinstance(value, dict) and "tensor" in value:  # latents of frames
            continue
        cache.discard(key)
        again = interpolate(model, images, QUICK, resume=folder)
        assert torch.equal(again.frames, done.frames)
        assert again.costs["decode"].nfe == 0
        solved.append(again.costs["measure"].nfe)
    alone, both = min(solved), max(solved)
    assert both == 2 * alone
    assert sorted(solved) == [alone, both, both], "one group of one segment, one of two"


def test_a_damaged_entry_is_computed_again(
    model: DiffusionModel, images: list[Tensor], folder: Path, done: InterpolationResult
) -> None:
    for file in (folder / KEPT_SEGMENTS).iterdir():
        file.write_bytes(file.read_bytes()[:-40])
    again = interpolate(model, images, QUICK, resume=folder)
    assert torch.equal(again.frames, done.frames)
    assert spent(again) == spent(done)


@pytest.mark.parametrize(
    "changes", [{"strength": 2.0}, {"prompt": "ab"}, {"level": 0.75}, {"tol": 1e-2}]
)
def test_other_settings_are_other_segments(
    model: DiffusionModel,
    images: list[Tensor],
    folder: Path,
    done: InterpolationResult,
    changes: dict[str, Any],
) -> None:
    other = interpolate(model, images, QUICK, resume=folder, **changes)
    assert other.costs["solve"].nfe > 0


def test_timing_and_order_solve_nothing_again(
    model: DiffusionModel, images: list[Tensor], folder: Path, done: InterpolationResult
) -> None:
    longer = interpolate(model, images, QUICK, resume=folder, frames=12, ease="smooth")
    assert spent(longer)[:2] == [0, 0]
    assert longer.costs["decode"].nfe > 0


@pytest.mark.slow
def test_a_film_that_is_cancelled_anywhere_ends_as_it_would_have(
    model: DiffusionModel, images: list[Tensor], tmp_path: Path, done: InterpolationResult
) -> None:
    cancelled = 0
    for left in (12, 25, 40):
        try:
            interpolate(model, images, QUICK, resume=tmp_path, observer=Cancel(left))
        except KeyboardInterrupt:
            cancelled += 1
    assert cancelled
    again = interpolate(model, images, QUICK, resume=tmp_path)
    assert torch.equal(again.frames, done.frames)
    assert equal(again.segments, done.segments)


class Cancel:
    """An observer that cancels a run after some events."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self, event: Event) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
