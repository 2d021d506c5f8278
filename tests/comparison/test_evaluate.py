"""Strips of frames ranked without a model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from diffusion_geodesics.comparison.evaluate import evaluate
from diffusion_geodesics.comparison.pairs import Pair
from diffusion_geodesics.runtime.run import Event
from tests.comparison.scenes import fade, write_strip
from tests.gaussian_model import picture

A, B, C, D = (picture(k, 32, 32) for k in range(1, 5))


def jump(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.stack([a, a, b, b])


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Path]:
    """Two methods on two pairs."""
    for name, (first, last) in {"one": (A, B), "two": (C, D)}.items():
        write_strip(tmp_path / "fade" / name, fade(first, last, 9))
        write_strip(tmp_path / "jump" / name, jump(first, last))
    return {"slerp": tmp_path / "jump", "fade": tmp_path / "fade"}


def test_folders_are_ranked_pair_by_pair(runs: dict[str, Path]) -> None:
    found = evaluate(runs, frames=5)
    assert [p.name for p in found.pairs] == ["one", "two"]
    assert found.baseline == "slerp"
    assert found.mean("fade", "ghosting").mean > 0.99
    assert found.values("slerp", "ghosting") == [0.0, 0.0]
    assert found.values("slerp", "largest step") == [4.0, 4.0], "one step of four is all"
    assert max(found.values("fade", "largest step")) < 1.1
    assert not any(q.name.startswith("end ") for q in found.quantities)
    ghost = next(q for q in found.measured if q.name == "ghosting")
    won = found.wins("fade", ghost)
    assert won is not None
    assert (won.mean, won.count) == (0.0, 2)
    assert found.model is None
    assert found.settings is None
    assert found.record["frames"] == 5
    assert any("4 frames only" in str(w) for w in found.warnings)


def test_with_the_images_the_ends_are_measured_as_well(runs: dict[str, Path]) -> None:
    pairs = [Pair("one", A, B), Pair("two", C, 0.9 * D)]
    found = evaluate(runs, frames=3, pairs=pairs)
    first, second = found.values("fade", "end PSNR")
    assert first > 50
    assert second < first - 10, "its second image is darker than the strip's"


def test_one_strip_a_method_and_other_sizes_are_ranked(tmp_path: Path) -> None:
    write_strip(tmp_path / "small", fade(A, B, 5))
    wide = torch.nn.functional.interpolate(fade(A, B, 5), scale_factor=2, mode="bilinear")
    write_strip(tmp_path / "large", wide)
    found = evaluate({"small": tmp_path / "small", "large": tmp_path / "large"}, frames=3)
    assert found.baseline == "small"
    (pair,) = found.pairs
    assert pair.name == "pair"
    assert {o.frames.shape for o in pair.outcomes.values()} == {(3, 3, 32, 32)}


def test_a_strip_without_a_name_belongs_to_the_only_pair(runs: dict[str, Path]) -> None:
    """As the frames of another program beside those of a comparison of one pair."""
    theirs = runs["fade"] / "one"
    write_strip(runs["slerp"].parent / "ours" / "one", jump(A, B))
    found = evaluate({"theirs": theirs, "ours": runs["slerp"].parent / "ours"}, frames=5)
    assert [p.name for p in found.pairs] == ["one"]
    assert found.mean("theirs", "ghosting").mean > 0.99
    with pytest.raises(ValueError, match="of 2 pairs, it is not known to which a strip belongs"):
        evaluate({"theirs": theirs, **runs}, frames=5)


def test_progress_is_told_pair_by_pair(runs: dict[str, Path]) -> None:
    events: list[Event] = []
    evaluate(runs, frames=3, observer=events.append)
    assert [(e.done, e.total, e.detail) for e in events] == [
        (0, 2, "one"), (1, 2, "two"), (2, 2, ""),
    ]  # fmt: skip


def test_bad_runs_are_refused(tmp_path: Path) -> None:
    write_strip(tmp_path / "x", fade(A, B))
    write_strip(tmp_path / "y", fade(1 - A, B))
    write_strip(tmp_path / "z" / "p", fade(A, B))
    write_strip(tmp_path / "w" / "q", fade(A, B))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="does not start and end with the same"):
        evaluate({"x": tmp_path / "x", "y": tmp_path / "y"})
    with pytest.raises(ValueError, match="no pair is in all runs"):
        evaluate({"w": tmp_path / "w", "z": tmp_path / "z"})
    with pytest.raises(ValueError, match="has no frames"):
        evaluate({"x": tmp_path / "empty"})
    with pytest.raises(ValueError, match="is no folder"):
        evaluate({"x": tmp_path / "nowhere"})
    with pytest.raises(ValueError, match="baseline is 'slerp', which is none of x"):
        evaluate({"x": tmp_path / "x"}, baseline="slerp")
    with pytest.raises(ValueError, match="at least one folder"):
        evaluate({})
    with pytest.raises(ValueError, match="at least 3"):
        evaluate({"x": tmp_path / "x"}, frames=2)
